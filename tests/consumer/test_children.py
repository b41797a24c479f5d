"""What the supervisor knows of its children."""

import os
import signal
import subprocess
import sys

import pytest

from consumer.children import CHILDREN_MAX, UNKNOWN, Children, session
from consumer.heartbeat import Bounds
from consumer.telemetry import LISTENING, Totals
from tests.consumer.reports import Clock, datagram

DAEMON = 5


class Herd:
    """Children of the daemon `DAEMON`, whose processes are here by name only."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.sessions: dict[int, int] = dict.fromkeys(range(7, 10), DAEMON)
        self.children = Children(Bounds(60, 600), clock=self.clock, session_of=self.sessions.get)
        self.children.follow(DAEMON)

    def tick(self, seconds: float) -> None:
        """Time passes, and the supervisor goes on asking who is ill."""
        for _ in range(int(seconds)):
            self.clock.now += 1
            self.children.ill()


@pytest.fixture
def herd() -> Herd:
    return Herd()


def test_totals_of_a_shard_go_on_over_all_its_children(herd: Herd) -> None:
    children = herd.children
    children.receive(
        datagram(totals=Totals(records=10, rejections={"parse/a": 1, "parse/b": 2}, retries={}))
    )
    children.receive(datagram(sequence=2, totals=Totals(records=30, rejections={"parse/a": 5})))
    children.receive(datagram(pid=8, shard_id="shardId-1", totals=Totals(records=7)))
    assert {name: shard.totals.records for name, shard in children.shards().items()} == {
        "shardId-0": 30,
        "shardId-1": 7,
    }
    # The lease moves away and comes back, and the daemon is started anew.
    children.receive(datagram(sequence=3, totals=Totals(records=31), ended="lease lost"))
    children.receive(datagram(pid=9, totals=Totals(records=4, rejections={"parse/a": 1})))
    children.follow(None)
    assert {name: shard.child for name, shard in children.shards().items()} == {
        "shardId-0": None,
        "shardId-1": None,
    }
    children.follow(DAEMON)
    children.receive(datagram(pid=7, totals=Totals(records=1)))
    totals = children.shards()["shardId-0"].totals
    assert totals.records == 31 + 4 + 1
    assert totals.rejections == {"parse/a": 1}


def test_an_older_report_and_what_is_none_are_passed_over(herd: Herd) -> None:
    children = herd.children
    children.receive(datagram(sequence=2, totals=Totals(records=30)))
    children.receive(datagram(sequence=1, totals=Totals(records=10)))
    children.receive(b"")
    children.receive(b"\xc1nonsense")
    assert children.shards()["shardId-0"].totals.records == 30


def test_a_process_that_is_not_of_the_daemon_is_not_taken_in(herd: Herd) -> None:
    herd.sessions[11] = 4
    herd.children.receive(datagram(pid=11))
    herd.children.receive(datagram(pid=12))
    assert herd.children.known() == []
    herd.children.follow(None)
    herd.children.receive(datagram(pid=7))
    assert herd.children.known() == []


def test_the_number_of_children_is_bounded(herd: Herd) -> None:
    for pid in range(100, 100 + CHILDREN_MAX + 5):
        herd.sessions[pid] = DAEMON
        herd.children.receive(datagram(pid=pid, shard_id=f"shardId-{pid}"))
    assert len(herd.children.known()) == CHILDREN_MAX
    for _ in range(2):
        herd.children.follow(DAEMON)
        for pid in range(100, 100 + CHILDREN_MAX):
            herd.children.receive(datagram(pid=pid, shard_id=f"another-{pid}"))
    herd.children.follow(None)
    assert len(herd.children.shards()) == CHILDREN_MAX


def test_a_child_that_is_gone_without_a_goodbye_died(herd: Herd) -> None:
    herd.children.receive(datagram(doing=LISTENING))
    herd.tick(100)
    herd.children.receive(datagram(sequence=2, doing=LISTENING))
    assert herd.children.ill() is None
    del herd.sessions[7]
    herd.tick(1)
    assert herd.children.ill() is None, "its goodbye may still be on its way"
    herd.tick(2)
    ill = herd.children.ill()
    assert ill is not None
    assert (ill.pid, ill.shard_id, ill.cause) == (7, "shardId-0", "died")
    herd.children.forget(7)
    assert herd.children.ill() is None


def test_a_child_that_said_goodbye_may_go(herd: Herd) -> None:
    herd.children.receive(datagram())
    del herd.sessions[7]
    herd.children.receive(datagram(sequence=2, ended="shard ended"))
    herd.tick(100)
    assert herd.children.ill() is None
    assert herd.children.known() == []


def test_silence_counts_between_reports(herd: Herd) -> None:
    herd.children.receive(datagram(shard_id=None))
    herd.tick(60)
    assert herd.children.ill() is None
    herd.tick(1)
    ill = herd.children.ill()
    assert ill is not None
    assert (ill.shard_id, ill.cause) == (UNKNOWN, "silent")


def test_a_supervisor_that_was_stopped_itself_does_not_blame_its_children(herd: Herd) -> None:
    herd.children.receive(datagram())
    herd.tick(1)
    herd.clock.now += 3_600
    herd.tick(59)
    assert herd.children.ill() is None
    herd.tick(3)
    assert herd.children.ill() is not None


def test_the_session_of_a_process_that_ended_is_none_be_it_waited_for_or_not() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "import sys; print(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert session(process.pid) == process.pid
        process.send_signal(signal.SIGSTOP)
        assert session(process.pid) == process.pid, "stopped is not ended"
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert session(process.pid) is None, "a zombie"
    assert session(process.pid) is None
