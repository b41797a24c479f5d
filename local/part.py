"""One program that the embedded stack is made of: started, waited for, ended by its own pid."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_POLL_SECONDS = 0.05
_LOG_TAIL_BYTES = 4_000
_running: set["Part"] = set()


class PartError(Exception):
    """A part did not come up or did not stay up; the message ends with the tail of its log."""


class Part:
    """A child process with its own log file and its own session.

    Its own session, so that Ctrl-C in a terminal reaches the demo alone, which then ends its parts
    in order. It is tethered (consumer/tether.py): it also ends when the demo is killed. Start it
    from the main thread: the tether holds for the life of the thread that started it.
    """

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        tether = [sys.executable, "-m", "consumer.tether", str(os.getpid())]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*tether, *command],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        _running.add(self)

    @property
    def pid(self) -> int:
        """The process id, the same before and after the tether becomes the program."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with (minus the signal's number for a signal), None while it runs."""
        return self._process.poll()

    def wait_for(self, ready: Callable[[], bool], seconds_max: float) -> None:
        """Return when `ready()` is true.

        Raises:
            PartError: it ended first, or was not ready in time (it is stopped then).
        """
        deadline = time.monotonic() + seconds_max
        while not ready():
            if self.exit_code is not None:
                raise PartError(f"{self.name} ended with {self.exit_code}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                self.stop(5.0)
                raise PartError(
                    f"{self.name} was not up after {seconds_max:.0f} s:\n{self.log_tail()}"
                )
            time.sleep(_POLL_SECONDS)

    def terminate(self) -> None:
        """SIGTERM, without waiting for what comes of it."""
        if self._process.poll() is None:
            self._process.terminate()

    def stop(self, seconds_max: float) -> int:
        """SIGTERM, then SIGKILL to it and what it started when `seconds_max` are over.

        Safe to call twice. Returns the exit code.
        """
        if self._process.poll() is None:
            self.terminate()
            try:
                self._process.wait(seconds_max)
            except subprocess.TimeoutExpired:
                self.kill()
        _running.discard(self)
        return self._process.wait()

    def kill(self) -> None:
        """SIGKILL to it and to what it started in its session."""
        # It leads its session, and it is not yet reaped: the group is its own for certain.
        with contextlib.suppress(ProcessLookupError):
            if self._process.poll() is None:
                os.killpg(self._process.pid, signal.SIGKILL)

    def log_tail(self) -> str:
        """The last lines that it wrote."""
        with self.log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _LOG_TAIL_BYTES))
            return file.read().decode(errors="replace")


def kill_all() -> None:
    """Kill every part that this process has running: for who cannot wait for a good end."""
    for part in tuple(_running):
        part.kill()
