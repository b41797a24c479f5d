"""The log writer against readers that are slow, stop, or go away."""

import io
import json
import os
import subprocess
import sys
import threading

import pytest

from consumer.log_writer import BACKLOG_BYTES_MAX, Descriptor, LogWriter

DEADLINE_SECONDS = 60


class Held(io.StringIO):
    """Takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.asked = threading.Event()

    def write(self, text: str) -> int:
        self.asked.set()
        assert self.free.wait(DEADLINE_SECONDS)
        return super().write(text)


def test_lines_come_out_whole_and_in_order() -> None:
    out = io.StringIO()
    with LogWriter(out) as log:
        for number in range(1_000):
            log.write(f"{number}\n")
    assert out.getvalue().splitlines() == [str(number) for number in range(1_000)]
    assert log.dropped == 0


def test_beyond_the_backlog_lines_are_dropped_and_the_gap_says_how_many() -> None:
    out = Held()
    log = LogWriter(out, backlog_bytes_max=100)
    log.write("first 789\n")
    assert out.asked.wait(DEADLINE_SECONDS)
    for number in range(20):
        log.write(f"{number:09}\n")
    assert log.dropped == 11
    out.free.set()
    while log._backlog or log._size:
        threading.Event().wait(0.01)
    log.write("last 6789\n")
    log.close()
    lines = out.getvalue().splitlines()
    assert lines[:2] == ["first 789", "000000000"]
    assert lines[9] == "000000008"
    told = json.loads(lines[10])
    assert told["lines_dropped"] == 11
    assert told["message"].startswith("11 lines are missing here")
    assert lines[11:] == ["last 6789"]


def test_the_end_tells_of_a_gap_too_and_does_not_wait_for_ever() -> None:
    out = Held()
    log = LogWriter(out, backlog_bytes_max=10)
    log.write("123456789\n")
    assert out.asked.wait(DEADLINE_SECONDS)
    log.write("dropped\n")
    log.close(seconds_max=0.05)
    log.write("too late\n")
    assert log.dropped == 2
    out.free.set()
    log.close()
    assert "1 lines are missing" in out.getvalue()


@pytest.mark.parametrize("error", [BrokenPipeError, ValueError])
def test_a_reader_that_is_gone_is_no_error(error: type[Exception]) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise error(text)

    with LogWriter(Gone()) as log:
        log.write("a\n")
        log.write("b\n")
    assert log.dropped == 2


FLOOD = """
import os, sys
from consumer.log_writer import Descriptor, LogWriter
with LogWriter(Descriptor(2)) as log:
    line = "x" * 1023 + "\\n"
    for _ in range(20_000): log.write(line)
    sys.stdout.write(f"{log.dropped}\\n"); sys.stdout.flush()
"""


def test_a_pipe_that_nobody_reads_stops_nobody() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        dropped = int(process.stdout.readline())
        lines = process.stderr.read().splitlines()
        assert process.wait(DEADLINE_SECONDS) == 0
    full = [line for line in lines if line == b"x" * 1_023]
    assert dropped > 0
    assert BACKLOG_BYTES_MAX // 1_024 <= len(full) == 20_000 - dropped
    told = [json.loads(line)["lines_dropped"] for line in lines if line[:1] == b"{"]
    assert told == sorted(told)
    assert told[-1] == dropped


def test_a_descriptor_that_does_not_block_is_waited_for() -> None:
    source, target = os.pipe()
    os.set_blocking(target, False)
    text = "é" * 500_000
    read: list[bytes] = []

    def drain() -> None:
        with open(source, "rb") as stream:  # noqa: PTH123 -- a descriptor
            read.append(stream.read())

    reader = threading.Thread(target=drain)
    reader.start()
    Descriptor(target).write(text)
    os.close(target)
    reader.join(DEADLINE_SECONDS)
    assert read[0].decode() == text
