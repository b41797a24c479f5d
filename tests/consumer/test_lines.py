"""Lines of a pipe, however it gives its bytes."""

import io
import os
import queue
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer import lines
from consumer.lines import PIECE_BYTES, Lines, LineTooLongError, widen


class Trickle:
    """Gives a few bytes at a time, as many as it is told."""

    def __init__(self, data: bytes, sizes: list[int]) -> None:
        self._data = io.BytesIO(data)
        self._sizes = sizes or [1]
        self._reads = 0

    def readinto(self, buffer: memoryview, /) -> int:
        size = self._sizes[self._reads % len(self._sizes)]
        self._reads += 1
        given = self._data.read(min(size, len(buffer)))
        buffer[: len(given)] = given
        return len(given)


def all_of(found: Lines) -> list[bytes]:
    every = []
    while (line := found.next_line()) is not None:
        every.append(bytes(line))
    return every


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "PIECE_BYTES", 8)


@given(
    data=st.lists(st.sampled_from([b"\n", b"a", b"bc", b"d" * 9, b"e" * 40])).map(b"".join),
    sizes=st.lists(st.integers(1, 50), max_size=5),
)
def test_lines_are_those_of_readline_whatever_a_read_gives(data: bytes, sizes: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "PIECE_BYTES", 8)
        found = all_of(Lines(Trickle(data, sizes)))
    assert found == [line[:-1] for line in io.BytesIO(data) if line.endswith(b"\n")]


def test_a_line_stays_readable_until_the_next_is_asked_for() -> None:
    source = Lines(io.BytesIO(b"one\ntwo\n" + b"x" * (3 * PIECE_BYTES) + b"\nend\nunfinished"))
    first = source.next_line()
    assert first is not None
    assert bytes(first) == b"one"
    assert bytes(source.next_line() or b"") == b"two"
    assert bytes(source.next_line() or b"") == b"x" * (3 * PIECE_BYTES)
    assert bytes(source.next_line() or b"") == b"end"
    assert source.next_line() is None
    assert source.next_line() is None


def test_the_memory_of_a_long_line_goes_with_it() -> None:
    source = Lines(io.BytesIO(b"x" * (5 * PIECE_BYTES) + b"\n" + b"y" * (2 * PIECE_BYTES) + b"\n"))
    long = source.next_line()
    assert long is not None
    assert len(source._buffer) > 5 * PIECE_BYTES, "more than it is behind it already"
    assert bytes(source.next_line() or b"") == b"y" * (2 * PIECE_BYTES)
    assert len(source._buffer) == PIECE_BYTES


@pytest.mark.usefixtures("small")
def test_a_line_that_does_not_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LINE_BYTES_MAX", 64)
    assert bytes(Lines(io.BytesIO(b"x" * 63 + b"\n")).next_line() or b"") == b"x" * 63
    with pytest.raises(LineTooLongError, match="no end of line within 64 bytes"):
        Lines(io.BytesIO(b"x" * 65)).next_line()


def test_a_real_pipe_gives_what_was_written_into_it() -> None:
    reading, writing = os.pipe()
    widen(reading)
    written = [b"%d" % number * size for number, size in enumerate((1, 700_000, 3, 2_000_000))]

    def write() -> None:
        with os.fdopen(writing, "wb") as target:
            for line in written:
                target.write(line + b"\n")
                target.flush()

    writer = threading.Thread(target=write)
    writer.start()
    with os.fdopen(reading, "rb", buffering=0) as source:
        assert all_of(Lines(source)) == written
    writer.join(30)


@pytest.mark.parametrize("before", [2000, 1, 4096, 4095])
def test_a_line_is_given_when_its_end_is_there_whatever_the_reads_were(before: int) -> None:
    reading, writing = os.pipe()
    widen(reading)
    found: queue.Queue[int] = queue.Queue()
    source = os.fdopen(reading, "rb", buffering=0)
    lines_of = Lines(source)
    reader = threading.Thread(target=lambda: found.put(len(lines_of.next_line() or b"")))
    reader.start()
    with os.fdopen(writing, "wb", buffering=0) as target:
        left = memoryview(b"x" * (PIECE_BYTES - before))
        while left:
            left = left[target.write(left) or 0 :]
        time.sleep(0.05)
        target.write(b"y" * (before + 50) + b"\n")
        assert found.get(timeout=30) == PIECE_BYTES + 50, "it does not wait for more"
    reader.join(30)
    source.close()


def test_a_single_giant_is_forgotten() -> None:
    source = Lines(io.BytesIO(b"x" * (40 * PIECE_BYTES) + b"\n" + b"y" * (2 * PIECE_BYTES) + b"\n"))
    assert len(source.next_line() or b"") == 40 * PIECE_BYTES
    assert source._foreseen <= 16 * PIECE_BYTES


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lets a pipe be enlarged")
def test_a_pipe_is_widened_where_the_system_allows_it() -> None:
    import fcntl

    reading, writing = os.pipe()
    before = fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ)
    widen(reading)
    assert fcntl.fcntl(reading, fcntl.F_GETPIPE_SZ) >= before
    os.close(reading)
    os.close(writing)


def test_what_is_no_pipe_is_left_alone() -> None:
    with Path(os.devnull).open("rb") as no_pipe:
        widen(no_pipe.fileno())
