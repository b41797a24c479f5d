"""Which errors let a shard stand still, for how long, and that the child does so."""

import logging
import socket
import threading
from pathlib import Path

import msgspec
import pytest

from anomaly.state import StateError
from consumer.halt import HALTED_SECONDS, halt
from consumer.reject_share import TooManyRejected
from consumer.snapshot import SnapshotError
from consumer.supervisor import HEALTHY_SECONDS
from consumer.telemetry import HALTED, REPORT_BYTES_MAX, SOCKET_VARIABLE, Report, Telemetry
from sinks.fence import FencedOff
from tests.consumer.conftest import Holding
from tests.consumer.test_child import DEADLINE_SECONDS, child, environment


def never() -> bool:
    return False


def no_sleep(seconds: float) -> None:
    pytest.fail(f"slept {seconds} s")


@pytest.mark.parametrize(
    "error", [SnapshotError("key", "torn"), StateError("another version"), TooManyRejected("all")]
)
def test_what_would_come_again_is_waited_out(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    waits: list[float] = []
    telemetry = Telemetry("a supervisor")
    assert halt(error, telemetry, never, sleep=waits.append)
    assert sum(waits) == HALTED_SECONDS
    assert telemetry.report().doing == HALTED
    assert caplog.records[-1].levelno == logging.CRITICAL
    assert HALTED_SECONDS > HEALTHY_SECONDS, "a worker with a halted shard never gives up"


@pytest.mark.parametrize("error", [RuntimeError("a bug"), FencedOff("lost"), SystemExit(1)])
def test_what_a_new_start_may_mend_is_not(error: BaseException) -> None:
    assert not halt(error, Telemetry("a supervisor"), never, sleep=no_sleep)


def test_without_a_supervisor_nobody_would_see_it() -> None:
    assert not halt(TooManyRejected("all"), Telemetry(None), never, sleep=no_sleep)


def test_it_ends_with_its_daemon() -> None:
    waits: list[float] = []
    assert halt(TooManyRejected("all"), Telemetry("x"), lambda: len(waits) > 2, sleep=waits.append)
    assert len(waits) == 3


@pytest.mark.integration
def test_a_child_with_a_refused_snapshot_stands_still_and_says_so(
    tmp_path: Path, holding: Holding
) -> None:
    path = str(tmp_path / "telemetry")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as supervisor:
        supervisor.bind(path)
        supervisor.settimeout(DEADLINE_SECONDS)

        def report() -> Report:
            return msgspec.msgpack.decode(supervisor.recv(REPORT_BYTES_MAX), type=Report)

        with child(environment(tmp_path, holding, **{SOCKET_VARIABLE: path})) as process:
            process.send("initialize", shardId="shardId-0", sequenceNumber="4", subSequenceNumber=2)
            while (last := report()).doing != HALTED:
                pass
            answers: list[object] = []
            reader = threading.Thread(target=lambda: answers.append(process.answer()))
            reader.start()
            for _ in range(3):  # seconds
                assert report().doing == HALTED
            assert process.process.poll() is None
            assert answers == [], "the action must not be reported as done"
            process.process.kill()
            reader.join(DEADLINE_SECONDS)
    assert last.shard_id == "shardId-0"
    assert last.ended is None
    assert answers == [None]
