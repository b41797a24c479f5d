"""The supervisor on real processes: small programs stand in for the daemon's command."""

import io
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from consumer.children import Children
from consumer.heartbeat import Bounds
from consumer.log_writer import LogWriter
from consumer.logs import LINE_BYTES_MAX, SOCKET_VARIABLE
from consumer.relay import daemon_line
from consumer.supervisor import HEALTHY_SECONDS, Supervisor
from consumer.vitals import Vitals
from tests.consumer.daemon_program import program

DEADLINE_SECONDS = 60


class Out(io.StringIO):
    """What the supervisor writes out, with a way to wait for it."""

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]

    def find(self, message: str) -> dict[str, Any] | None:
        return next((line for line in self.lines() if line["message"] == message), None)


def make(command: list[str], directory: Path, out: LogWriter, **more: Any) -> Supervisor:
    bounds = Bounds(heartbeat_seconds_max=5, stalled_seconds_max=DEADLINE_SECONDS)
    return Supervisor(
        command,
        directory,
        out=out,
        children=Children(bounds),
        vitals=Vitals(bounds, time.monotonic),
        **more,
    )


class Bench:
    """A supervisor of one program, in a thread."""

    def __init__(
        self,
        directory: Path,
        body: str,
        *,
        restarts_max: int = 0,
        shutdown_seconds_max: float = DEADLINE_SECONDS,
        clock: Callable[[], float] = lambda: 0.0,
        jitter: Callable[[float, float], float] = lambda low, _: low,
    ) -> None:
        self.out = Out()
        self.status: int | None = None
        self.directory = directory
        self.log = LogWriter(self.out)
        self.supervisor = make(
            program(directory, body),
            directory,
            self.log,
            restarts_max=restarts_max,
            shutdown_seconds_max=shutdown_seconds_max,
            clock=clock,
            jitter=jitter,
        )
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self.status = self.supervisor.run()

    def start(self) -> None:
        self._thread.start()

    def wait_for(self, message: str) -> dict[str, Any]:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while (line := self.out.find(message)) is None:
            assert time.monotonic() < deadline, f"no {message!r} in {self.out.lines()}"
            time.sleep(0.01)
        return line

    def join(self) -> int:
        self._thread.join(DEADLINE_SECONDS)
        assert not self._thread.is_alive()
        assert self.status is not None
        self.log.close()
        return self.status

    def run(self) -> int:
        self.start()
        return self.join()


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    made: list[Bench] = []

    def make(body: str, **more: Any) -> Bench:
        made.append(Bench(tmp_path, body, **more))
        return made[-1]

    yield make
    for one in made:
        one.supervisor.request_stop()
        if one._thread.is_alive():
            one._thread.join(DEADLINE_SECONDS)


def gone(pid: int) -> bool:
    """Whether the process has ended; one that was killed may still be waited for by init."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# -- logs -----------------------------------------------------------------------------------------


def test_a_line_of_the_daemon_has_its_own_level_and_shard(bench: Callable[..., Bench]) -> None:
    running = bench(
        """
say("INFO", "s.a.k.coordinator.Scheduler", "", "started")
say("WARN", "s.a.k.leases.Lease", "shardId-7", "lost | at one | at two")
say("DEBUG", "a.b", "", "tabs\\tin it")
print("OpenJDK 64-Bit Server VM warning: something", file=sys.stderr, flush=True)
sys.stdout.buffer.write(b"caf\\xe9\\n\\n")
"""
    )
    assert running.run() == 1
    found = running.out.lines()
    assert all(line.pop("time") for line in found)
    assert found == [
        {"level": "INFO", "logger": "kcl.s.a.k.coordinator.Scheduler", "message": "started"},
        {
            "level": "WARNING",
            "logger": "kcl.s.a.k.leases.Lease",
            "shard_id": "shardId-7",
            "message": "lost | at one | at two",
        },
        {"level": "DEBUG", "logger": "kcl.a.b", "message": "tabs\tin it"},
        {
            "level": "WARNING",
            "logger": "kcl",
            "message": "OpenJDK 64-Bit Server VM warning: something",
        },
        {"level": "WARNING", "logger": "kcl", "message": "caf�"},
    ]


def test_tabs_alone_make_no_line_of_the_daemons_logger() -> None:
    assert daemon_line("a\tb\tc\td") == {
        "level": "WARNING",
        "logger": "kcl",
        "message": "a\tb\tc\td",
    }


def test_a_line_without_end_is_cut_and_the_next_is_whole(bench: Callable[..., Bench]) -> None:
    running = bench(
        f"""
sys.stdout.write("INFO\\tx\\t\\t" + "y" * {5 * LINE_BYTES_MAX} + "\\n")
say("INFO", "x", "", "the next")
sys.stdout.write("no newline")
"""
    )
    running.run()
    first, second, third = running.out.lines()
    assert first["level"] == "INFO"
    assert LINE_BYTES_MAX // 2 < len(first["message"]) <= LINE_BYTES_MAX
    assert second["message"] == "the next"
    assert third["message"] == "no newline"


def test_a_childs_datagrams_are_written_out_as_they_are_to_the_last(
    bench: Callable[..., Bench],
) -> None:
    running = bench(
        f"""
sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
for number in range(500):
    line = {{"level": "ERROR", "shard_id": "shardId-1", "position": "12-0", "message": str(number)}}
    sender.sendto(json.dumps(line).encode(), os.environ[{SOCKET_VARIABLE!r}])
"""
    )
    running.run()
    found = running.out.lines()
    assert [line["message"] for line in found] == [str(number) for number in range(500)]
    assert found[-1]["level"] == "ERROR"
    assert found[-1]["shard_id"] == "shardId-1"
    assert found[-1]["position"] == "12-0"


class _Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(text)


def test_where_nobody_reads_the_log_the_daemon_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done = tmp_path / "done"
    body = f"""
for number in range(5_000): say("INFO", "x", "", "more than a pipe holds " * 4)
open({str(done)!r}, "w").close()
"""
    with LogWriter(_Broken()) as log:
        supervisor = make(
            program(tmp_path, body),
            tmp_path,
            log,
            restarts_max=0,
            shutdown_seconds_max=DEADLINE_SECONDS,
        )
        assert supervisor.run() == 1
    assert done.exists()
    assert log.dropped == 5_000


# -- starts ---------------------------------------------------------------------------------------


def test_a_daemon_that_fails_is_started_again_and_given_up_after_bounded_tries(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    ceilings: list[float] = []

    def no_pause(low: float, high: float) -> float:
        assert low == 0
        ceilings.append(high)
        return 0.0

    running = bench('say("INFO", "x", "", "up"); sys.exit(3)', restarts_max=6, jitter=no_pause)
    with caplog.at_level(logging.INFO, "tillwatch.supervisor"):
        assert running.run() == 1
    assert len(running.out.lines()) == 7
    assert ceilings == [2, 4, 8, 16, 30, 30]
    said = caplog.messages[-1]
    assert "7 times in a row" in said
    assert "status 3" in said
    assert "giving up" in said
    assert "nothing that was not checkpointed is lost" in said
    assert caplog.records[-1].levelname == "ERROR"
    assert "start 2 of 7" in next(
        text for text in caplog.messages if "start" in text and "of" in text
    )


def test_a_daemon_that_ran_for_long_had_started_well(bench: Callable[..., Bench]) -> None:
    # Each daemon seems to run as long as the clock says; the fourth and fifth end at once.
    moments = iter([0, HEALTHY_SECONDS, 0, HEALTHY_SECONDS, 0, 1, 0, 1, 0, 1])
    running = bench(
        'say("INFO", "x", "", "up"); sys.exit(3)', restarts_max=2, clock=lambda: next(moments)
    )
    assert running.run() == 1
    assert len(running.out.lines()) == 4


def test_even_after_a_thousand_failures_the_pause_has_its_bound(
    bench: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch
) -> None:
    ceilings: list[float] = []

    def no_pause(_: float, high: float) -> float:
        ceilings.append(high)
        return 0.0

    running = bench("", restarts_max=1_100, jitter=no_pause)
    monkeypatch.setattr(running.supervisor, "_run_daemon", lambda: 1)
    assert running.run() == 1
    assert set(ceilings[5:]) == {30.0}


def test_a_stop_during_the_pause_ends_it_at_once(bench: Callable[..., Bench]) -> None:
    paused = threading.Event()

    def an_hour(low: float, high: float) -> float:
        paused.set()
        return 3_600.0

    running = bench("sys.exit(3)", restarts_max=5, jitter=an_hour)
    running.start()
    assert paused.wait(DEADLINE_SECONDS)
    running.supervisor.request_stop()
    assert running.join() == 0


def test_a_stop_before_the_start_starts_nothing(bench: Callable[..., Bench]) -> None:
    running = bench('say("INFO", "x", "", "up")')
    running.supervisor.request_stop()
    assert running.run() == 0
    assert running.out.lines() == []


def test_a_program_that_is_not_there_leaves_nothing_behind(tmp_path: Path) -> None:
    out = Out()
    with LogWriter(out) as log:
        supervisor = make(
            [str(tmp_path / "nothing")], tmp_path, log, restarts_max=0, shutdown_seconds_max=1
        )
        assert supervisor.run() == 1
    assert list(tmp_path.iterdir()) == []
    assert any("cannot be started" in line["message"] for line in out.lines())


# -- the end --------------------------------------------------------------------------------------


def test_sigterm_is_passed_on_and_the_last_checkpoint_waited_for(
    bench: Callable[..., Bench],
) -> None:
    running = bench(
        """
def last_checkpoint(*_):
    say("INFO", "x", "", "checkpointing")
    time.sleep(0.5)
    say("INFO", "x", "", "checkpointed")
    sys.exit(0)
signal.signal(signal.SIGTERM, last_checkpoint)
say("INFO", "x", "", "up")
forever()
"""
    )
    running.start()
    running.wait_for("up")
    running.supervisor.request_stop()
    assert running.join() == 0
    messages = [line["message"] for line in running.out.lines()]
    assert messages == ["up", "checkpointing", "checkpointed"]


def test_a_daemon_that_ignores_sigterm_is_killed_with_its_children(
    bench: Callable[..., Bench], caplog: pytest.LogCaptureFixture
) -> None:
    running = bench(
        """
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
say("INFO", "x", "", "up")
say("INFO", f"{os.getpid()}", f"{child.pid}", "pids")
forever()
""",
        shutdown_seconds_max=0.2,
    )
    running.start()
    line = running.wait_for("pids")
    running.supervisor.request_stop()
    assert running.join() == 0
    assert "is killed" in caplog.text
    for pid in (int(line["logger"].removeprefix("kcl.")), int(line["shard_id"])):
        wait_until(lambda pid=pid: gone(pid))  # type: ignore[misc]  # a default argument


def test_children_of_a_daemon_that_died_are_ended_too(bench: Callable[..., Bench]) -> None:
    running = bench(
        """
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
say("INFO", "x", f"{child.pid}", "pid")
os.kill(os.getpid(), signal.SIGKILL)
"""
    )
    assert running.run() == 1
    line = running.out.find("pid")
    assert line is not None
    wait_until(lambda: gone(int(line["shard_id"])))


SUPERVISE = """
import signal, sys, time
from pathlib import Path
from consumer.children import Children
from consumer.heartbeat import Bounds
from consumer.log_writer import Descriptor, LogWriter
from consumer.supervisor import Supervisor
from consumer.vitals import Vitals
with LogWriter(Descriptor(2)) as log:
    bounds = Bounds(60, 600)
    made = Supervisor(
        sys.argv[2:], Path(sys.argv[1]), restarts_max=0, shutdown_seconds_max=60, out=log,
        children=Children(bounds), vitals=Vitals(bounds, time.monotonic),
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: made.request_stop())
    status = made.run()
sys.exit(status)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_process_ends_it_in_good_order(
    tmp_path: Path, number: signal.Signals
) -> None:
    command = program(
        tmp_path,
        """
def end(*_):
    say("INFO", "x", "", "ended by SIGTERM")
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
say("INFO", "x", "", "up")
forever()
""",
    )
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(tmp_path), *command],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            assert process.stderr is not None
            assert json.loads(process.stderr.readline())["message"] == "up"
            # As Ctrl-C does: to the whole process group of the terminal.
            os.killpg(process.pid, number)
            rest = [json.loads(line)["message"] for line in process.stderr.read().splitlines()]
            assert process.wait(DEADLINE_SECONDS) == 0
        finally:
            with suppress(ProcessLookupError):
                process.kill()
    assert rest == ["ended by SIGTERM"]


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells of a parent's death")
def test_a_supervisor_killed_at_once_leaves_no_daemon_behind(tmp_path: Path) -> None:
    command = program(tmp_path, 'say("INFO", "x", "", str(os.getpid()))\nforever()\n')
    with subprocess.Popen(
        [sys.executable, "-c", SUPERVISE, str(tmp_path), *command],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        daemon = int(json.loads(process.stderr.readline())["message"])
        process.kill()
        wait_until(lambda: gone(daemon))


def test_nothing_is_left_in_the_folder_but_what_was_there(bench: Callable[..., Bench]) -> None:
    running = bench('say("INFO", "x", "", "up")')
    running.run()
    assert [file.name for file in running.directory.iterdir()] == ["daemon.py"]
    with pytest.raises(FileNotFoundError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as late:
        late.sendto(b"{}", str(running.directory / "log"))
