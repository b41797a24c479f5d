"""What a child tells of itself, over a real socket."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from consumer.telemetry import (
    LABEL_BYTES_MAX,
    LABELS_MAX,
    LISTENING,
    OTHER,
    REPORT_BYTES_MAX,
    SOCKET_VARIABLE,
    WAITING_SECONDS,
    Commit,
    Report,
    Telemetry,
)
from tests.consumer.reports import Clock

DEADLINE_SECONDS = 30


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "telemetry"))
        made.settimeout(DEADLINE_SECONDS)
        yield made


def received(receiver: socket.socket) -> Report:
    return msgspec.msgpack.decode(receiver.recv(REPORT_BYTES_MAX), type=Report)


def test_a_report_says_everything_since_the_beginning(tmp_path: Path) -> None:
    clock = Clock()
    telemetry = Telemetry(None, clock)
    telemetry.took("shardId-7", "12-0")
    telemetry.beat("records")
    telemetry.lag(2_500)
    telemetry.commit_began()
    clock.now += 4
    first = telemetry.report()
    assert (first.shard_id, first.position, first.doing) == ("shardId-7", "12-0", "records")
    assert first.pid == os.getpid()
    assert (first.beat_age, first.commit_age, first.progress_age) == (4, 4, 4)
    assert (first.lag_seconds, first.lag_age) == (2.5, 4)
    assert first.checkpoint_age is None
    assert first.resident_bytes > 1_000_000

    telemetry.count_retry("opensearch")
    telemetry.count_retry("opensearch")
    assert telemetry.report().waiting_for == "opensearch"
    assert telemetry.report().progress_age == 0
    commit = Commit(
        position="19-0",
        records=10,
        record_bytes=5_000,
        transactions=8,
        refunds=3,
        pages=1,
        rejections={"parse/bad": 2},
        repeated=3,
        late=1,
        hours_published=2,
        seconds=0.5,
        snapshot_bytes=300,
        snapshot_seconds=0.25,
        hours_open=4,
        pages_waiting=5,
    )
    telemetry.committed(commit)
    telemetry.committed(commit)
    clock.now += 3
    second = telemetry.report()
    assert second.sequence > first.sequence
    assert (second.commit_age, second.waiting_for) == (None, None)
    assert (second.checkpoint_age, second.position) == (3, "19-0")
    assert second.last is not None
    assert second.last.hours_open == 4
    assert second.last.pages_waiting == 5
    totals = second.totals
    assert (totals.commits, totals.records, totals.transactions, totals.refunds) == (2, 20, 16, 6)
    assert (totals.record_bytes, totals.snapshot_bytes, totals.pages) == (10_000, 600, 2)
    assert (totals.commit_seconds, totals.snapshot_seconds) == (1.0, 0.5)
    assert (totals.late, totals.repeated, totals.hours_published) == (2, 6, 4)
    assert totals.rejections == {"parse/bad": 4}
    assert totals.retries == {"opensearch": 2}


def test_a_service_that_is_not_tried_again_is_not_waited_for() -> None:
    clock = Clock()
    telemetry = Telemetry(None, clock)
    telemetry.count_retry("s3")
    clock.now += WAITING_SECONDS - 1
    assert telemetry.report().waiting_for == "s3"
    clock.now += 1
    assert telemetry.report().waiting_for is None
    telemetry.waiting("opensearch")
    assert telemetry.report().waiting_for == "opensearch"
    telemetry.waiting(None)
    assert telemetry.report().waiting_for is None


def test_what_a_report_holds_is_bounded_whatever_it_is_told(receiver: socket.socket) -> None:
    telemetry = Telemetry(receiver.getsockname())
    telemetry.took("shardId-" + "0" * 12, "9" * 56 + "-0")
    telemetry.beat("y" * 10_000)
    for number in range(2 * LABELS_MAX):
        telemetry.count_retry(f"{number}" + "𝄞" * 1_000)
        telemetry.committed(Commit(position="9" * 56, rejections={f"{number}" + "𝄞" * 1_000: 1}))
    telemetry.beat("\ud800")
    telemetry.start()
    telemetry.bye("told to")
    while (report := received(receiver)).ended is None:
        pass
    assert len(msgspec.msgpack.encode(report)) < REPORT_BYTES_MAX
    assert len(report.totals.rejections) == LABELS_MAX + 1
    assert report.totals.rejections[OTHER] == LABELS_MAX
    assert sum(report.totals.rejections.values()) == 2 * LABELS_MAX
    assert sum(report.totals.retries.values()) == 2 * LABELS_MAX
    assert all(len(name.encode()) <= LABEL_BYTES_MAX for name in report.totals.retries)


def test_the_thread_reports_by_itself_and_goodbye_is_the_last_word(
    receiver: socket.socket,
) -> None:
    telemetry = Telemetry(receiver.getsockname())
    telemetry.start()
    telemetry.beat(LISTENING)
    assert [received(receiver).sequence for _ in range(3)] == [1, 2, 3]
    telemetry.bye("shard ended")
    while (report := received(receiver)).ended is None:
        pass
    assert report.ended == "shard ended"


def test_a_supervisor_that_does_not_read_holds_nothing_up_and_drops_are_counted(
    receiver: socket.socket,
) -> None:
    telemetry = Telemetry(receiver.getsockname())
    telemetry.start()
    for _ in range(3_000):  # more than any queue of datagrams holds
        telemetry.send()
    dropped = telemetry.report().totals.reports_dropped
    assert dropped > 0
    # The reports that got through are the first ones; what comes later says all of it again.
    assert received(receiver).sequence == 1
    telemetry.committed(Commit(position="1-0", records=5))
    while (report := received(receiver)).totals.records != 5:
        pass
    assert report.totals.reports_dropped >= dropped
    telemetry.bye("done")


def test_without_a_supervisor_there_is_no_socket_and_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(SOCKET_VARIABLE, raising=False)
    telemetry = Telemetry.of_this_process()
    telemetry.beat("records")
    telemetry.committed(Commit(position="1-0", records=5))
    telemetry.bye("done")
    assert telemetry._socket is None
    assert telemetry.report().totals.records == 5


def test_a_supervisor_that_is_gone_is_no_error(tmp_path: Path) -> None:
    telemetry = Telemetry(str(tmp_path / "nobody"))
    telemetry.start()
    telemetry.send()
    telemetry.bye("done")
    assert telemetry.report().totals.reports_dropped >= 2


ORPHAN = """
import sys, time
from consumer.orphan import Parent
parent = Parent()
print(int(parent.gone), flush=True)
while not parent.gone: time.sleep(0.01)
print("gone", flush=True)
"""
PARENT = """
import subprocess, sys
subprocess.Popen([sys.executable, "-c", sys.argv[1]])
sys.stdin.read()
"""


def test_a_process_learns_that_its_parent_died_without_reading_from_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, ORPHAN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"0\n"
        time.sleep(0.05)
        parent.kill()
        assert parent.stdout.readline() == b"gone\n"
