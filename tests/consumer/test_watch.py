"""The supervisor's watch over real processes: a daemon that notices nothing, and its children."""

import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from consumer.children import Child, Children, shard_of
from consumer.heartbeat import Bounds
from consumer.log_writer import LogWriter
from consumer.supervisor import Supervisor
from consumer.telemetry import HALTED
from consumer.vitals import Vitals
from tests.consumer.daemon_program import program

DEADLINE_SECONDS = 60
HEARTBEAT_SECONDS = 3.0

CHILD = """
import os, signal, sys, threading, time
from consumer.telemetry import HALTED, LISTENING, Commit, Telemetry
shard, life = sys.argv[1:]
if life == "dies unheard":
    if not os.path.exists(f"{shard}.died"):  # only the first child does
        open(f"{shard}.died", "w").close()
        os._exit(1)
    life = "idle"
telemetry = Telemetry.of_this_process()
telemetry.took(shard, None)
def told(*_):
    if life == "takes leave":  # as a child whose last commit takes a while
        time.sleep(3)
        open(f"{shard}.committed", "w").close()
    telemetry.bye("told to")
    os._exit(0)
signal.signal(signal.SIGTERM, told)
if life == "hangs" and os.path.exists(f"{shard}.hung"):
    life = "idle"  # only the first child hangs
while True:
    telemetry.beat(LISTENING)
    if life == "waits":
        telemetry.beat("waiting")
        telemetry.count_retry("opensearch")
    elif life == "hangs":
        open(f"{shard}.hung", "w").close()
        telemetry.beat("records")
        threading.Event().wait()
    elif life == "leaves":
        telemetry.bye("lease lost")
        sys.exit()
    elif life == "halts":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # the daemon does not reach it either
        telemetry.beat(HALTED)
        telemetry.commit_began()
        threading.Event().wait()
    elif life == "works":
        telemetry.beat("records")
        telemetry.commit_began()
        telemetry.committed(Commit(position="1-0", records=10))
    time.sleep(0.05)
"""

# Like KCL's: it does not look at idle children, and when told to end it waits for all of them.
DAEMON = """
lives = json.loads({lives!r})
children = [subprocess.Popen([sys.executable, "-c", {child!r}, *pair]) for pair in lives.items()]
def end(*_):
    for child in children: child.send_signal(signal.SIGTERM)
    say("INFO", "x", "", "told to end")
    forever()
signal.signal(signal.SIGTERM, end)
while True:
    # A child that died is met when there is something for it; then it ends as KCL's does.
    if any(child.poll() for child in children) and lives.get("a") == "dies unheard":
        time.sleep(0.5)
        last_words = "Process terminated, will initiate shutdown."
        say("INFO", "s.a.k.multilang.MultiLangDaemon", "", last_words)
        end()
    time.sleep(0.05)
"""


class Watched:
    """A supervisor in a thread, over a daemon whose children live as `lives` says."""

    def __init__(
        self, directory: Path, lives: dict[str, str], shutdown_seconds_max: float = 1
    ) -> None:
        bounds = Bounds(HEARTBEAT_SECONDS, stalled_seconds_max=DEADLINE_SECONDS)
        self.children = Children(bounds)
        self.vitals = Vitals(bounds, time.monotonic)
        self.lines: list[str] = []
        self.log = LogWriter(self)
        self.supervisor = Supervisor(
            program(directory, DAEMON.format(lives=json.dumps(lives), child=CHILD)),
            directory,
            restarts_max=3,
            shutdown_seconds_max=shutdown_seconds_max,
            out=self.log,
            children=self.children,
            vitals=self.vitals,
            jitter=lambda low, _: low,
        )
        self.thread = threading.Thread(target=self.supervisor.run)

    def write(self, text: str) -> None:
        self.lines.append(text)

    def child(self, shard_id: str, *, besides: int = 0) -> Child:
        """The child of the shard, once there is one, other than the process `besides`."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            for child in self.children.living():
                if shard_of(child.report) == shard_id and child.report.pid != besides:
                    return child
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)

    def records(self, shard_id: str) -> int:
        shard = self.children.shards().get(shard_id)
        return 0 if shard is None else shard.totals.records

    def retries(self, shard_id: str) -> int:
        shard = self.children.shards().get(shard_id)
        return 0 if shard is None else shard.totals.retries.get("opensearch", 0)

    def wait_until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not true():
            assert time.monotonic() < deadline, self.lines
            time.sleep(0.02)


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Watched]]:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.chdir(tmp_path)
    made: list[Watched] = []

    def make(shutdown_seconds_max: float = 1, **lives: str) -> Watched:
        made.append(Watched(tmp_path, lives, shutdown_seconds_max))
        made[-1].thread.start()
        return made[-1]

    yield make
    for one in made:
        one.supervisor.request_stop()
        one.thread.join(DEADLINE_SECONDS)
        assert not one.thread.is_alive()
        one.log.close()


def ended(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    return True


@pytest.mark.parametrize(
    ("number", "cause"), [(signal.SIGKILL, "died"), (signal.SIGSTOP, "silent")]
)
def test_an_idle_child_that_dies_or_stops_is_replaced_and_the_others_end_well(
    watched: Callable[..., Watched],
    caplog: pytest.LogCaptureFixture,
    number: signal.Signals,
    cause: str,
) -> None:
    running = watched(a="idle", b="works")
    victim, other = running.child("a").report.pid, running.child("b").report.pid
    running.wait_until(lambda: running.records("b") > 0)
    with caplog.at_level(logging.INFO, "tillwatch"):
        os.kill(victim, number)
        assert running.child("a", besides=victim).report.shard_id == "a"
        before = running.records("b")
        running.child("b", besides=other)
        running.wait_until(lambda: running.records("b") > before)
    assert running.vitals.replaced == {cause: 1}
    assert running.vitals.daemon_starts == 2
    assert ended(victim)
    assert ended(other)
    assert any("told to end" in line for line in running.lines)
    said = next(record for record in caplog.records if "it is replaced" in record.message)
    assert said.levelname == "WARNING"
    assert "the child of a" in said.message
    assert (said.__dict__["cause"], said.__dict__["child_pid"]) == (cause, victim)


def test_a_child_that_dies_before_its_first_report_is_told_of_by_the_daemon(
    watched: Callable[..., Watched], caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    with caplog.at_level(logging.INFO, "tillwatch"):
        running = watched(a="dies unheard", b="takes leave")
        running.child("a")
        running.child("b")
    assert running.vitals.daemon_starts == 2
    assert running.vitals.replaced == {}, "nobody knows which"
    assert any("told to end" in line for line in running.lines)
    assert (tmp_path / "b.committed").exists(), "b makes its last checkpoint"
    said = [record.message for record in caplog.records if "ends by itself" in record.message]
    assert len(said) == 1


def test_a_child_whose_main_thread_hangs_is_replaced(watched: Callable[..., Watched]) -> None:
    running = watched(a="hangs", b="idle")
    victim = running.child("a").report.pid
    running.child("a", besides=victim)
    assert running.vitals.replaced == {"hung": 1}
    assert ended(victim)


def test_a_child_that_waits_for_a_service_is_left_alone(watched: Callable[..., Watched]) -> None:
    running = watched(a="waits", b="idle")
    waiting, idle = running.child("a").report.pid, running.child("b").report.pid
    began = time.monotonic()
    running.wait_until(lambda: time.monotonic() - began > 2 * HEARTBEAT_SECONDS)
    assert running.retries("a") > 10
    assert running.child("a").report.pid == waiting
    assert running.child("a").report.waiting_for == "opensearch"
    assert running.child("b").report.pid == idle
    assert running.vitals.replaced == {}
    assert running.vitals.daemon_starts == 1
    assert running.vitals.ready(running.children)[0]


def test_a_child_that_says_goodbye_may_go(watched: Callable[..., Watched]) -> None:
    running = watched(a="leaves", b="works")
    running.wait_until(lambda: "a" in running.children.shards())
    running.wait_until(lambda: running.children.shards()["a"].child is None)
    running.child("b")
    before = running.records("b")
    running.wait_until(lambda: running.records("b") > before + 500)
    assert running.vitals.replaced == {}
    assert running.vitals.daemon_starts == 1


def test_a_shard_that_stands_still_is_left_alone_and_holds_up_neither_others_nor_the_end(
    watched: Callable[..., Watched],
) -> None:
    running = watched(a="halts", b="works", shutdown_seconds_max=2 * DEADLINE_SECONDS)
    halted = running.child("a").report.pid
    running.wait_until(lambda: running.child("a").report.doing == HALTED)
    began = time.monotonic()
    running.wait_until(lambda: time.monotonic() - began > 2 * HEARTBEAT_SECONDS)
    before = running.records("b")
    running.wait_until(lambda: running.records("b") > before)
    assert running.child("a").report.pid == halted
    assert running.vitals.replaced == {}
    assert running.vitals.ready(running.children)[1]["why"] == ["a: halted"]
    # The daemon would wait for it; b's goodbye is all that there is to wait for.
    running.supervisor.request_stop()
    running.thread.join(DEADLINE_SECONDS)
    assert not running.thread.is_alive()
    assert ended(halted)


FLOODED = """
import logging, signal, sys, time
from pathlib import Path
from consumer.children import Children
from consumer.heartbeat import Bounds
from consumer.log_writer import Descriptor, LogWriter
from consumer.logs import configure
from consumer.supervisor import Supervisor
from consumer.vitals import Vitals
log = LogWriter(Descriptor(2))
configure("INFO", log)
bounds = Bounds(60, 600)
made = Supervisor(
    sys.argv[2:], Path(sys.argv[1]), restarts_max=0, shutdown_seconds_max=60, out=log,
    children=Children(bounds), vitals=Vitals(bounds, time.monotonic),
)
signal.signal(signal.SIGTERM, lambda *_: made.request_stop())
status = made.run()
log.close(0.1)
sys.exit(status)
"""


def test_a_log_that_nobody_reads_stops_neither_the_daemon_nor_the_end(tmp_path: Path) -> None:
    done, ended_well = tmp_path / "done", tmp_path / "ended"
    command = program(
        tmp_path,
        f"""
def end(*_):
    open({str(ended_well)!r}, "w").close()
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
for number in range(20_000): say("INFO", "x", "", "more than any pipe and backlog hold " * 20)
open({str(done)!r}, "w").close()
forever()
""",
    )
    with subprocess.Popen(
        [sys.executable, "-c", FLOODED, str(tmp_path), *command],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not done.exists():
                assert time.monotonic() < deadline, "the daemon waits for its log"
                time.sleep(0.05)
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            with suppress(ProcessLookupError):
                process.kill()
    assert ended_well.exists()
