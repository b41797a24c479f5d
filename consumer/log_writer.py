"""Writes the worker's log out without ever holding the worker up.

Whoever reads standard error may stop reading. Then a write waits, and the supervisor with it: no
restart, no heartbeat watched, no SIGTERM passed on. So lines go through a bounded backlog to a
thread of their own; where that is full, lines are dropped and counted, and the next line that gets
through is preceded by one that says how many are missing.
"""

import json
import os
import select
import threading
from collections import deque
from datetime import UTC, datetime
from types import TracebackType
from typing import Protocol, Self

BACKLOG_BYTES_MAX = 8 * 2**20
"""Characters of lines that wait to be written."""
DRAIN_SECONDS_MAX = 10.0
"""How long the end waits for them."""


class Target(Protocol):
    """Where text goes; may take as long as it likes."""

    def write(self, text: str, /) -> object:
        """Write all of `text`."""
        ...


class Descriptor:
    """A file descriptor as a target, without a lock that the interpreter's end would wait for."""

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, text: str) -> None:
        """Write all of `text`; OSError where nobody can read it any more."""
        left = memoryview(text.encode(errors="backslashreplace"))
        while left:
            try:
                left = left[os.write(self._number, left) :]
            except BlockingIOError:  # somebody made the file non-blocking for all who share it
                select.select([], [self._number], [])


class LogWriter:
    """A stream for log lines: `write` takes whole lines, returns at once, and never raises."""

    def __init__(self, target: Target, *, backlog_bytes_max: int = BACKLOG_BYTES_MAX) -> None:
        self._target = target
        self._backlog_bytes_max = backlog_bytes_max
        self._changed = threading.Condition()
        self._backlog: deque[str] = deque()
        self._size = 0
        self._closed = False
        self._told = 0
        self.dropped = 0
        """Lines that were not written, since the beginning."""
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def write(self, text: str) -> None:
        """Take `text`, one or more whole lines; drops and counts it where the backlog is full."""
        with self._changed:
            if self._closed or self._size + len(text) > self._backlog_bytes_max:
                self.dropped += 1
                return
            self._tell()
            self._put(text)

    def flush(self) -> None:
        """Nothing: a stream for the logging module has to have it."""

    def close(self, seconds_max: float = DRAIN_SECONDS_MAX) -> None:
        """Write out what waits, within `seconds_max`; what nobody reads by then is lost."""
        with self._changed:
            self._tell()
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds_max)

    def _tell(self) -> None:
        if self.dropped > self._told:
            self._put(_notice(self.dropped - self._told, self.dropped))
            self._told = self.dropped

    def _put(self, text: str) -> None:
        self._backlog.append(text)
        self._size += len(text)
        self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._backlog:
                    if self._closed:
                        return
                    self._changed.wait()
                text = self._backlog.popleft()
            try:
                self._target.write(text)
            except (OSError, ValueError):  # nobody reads any more, and the worker goes on
                with self._changed:
                    self.dropped += 1
                    self._told += 1
            finally:
                with self._changed:
                    self._size -= len(text)


def _notice(number: int, dropped: int) -> str:
    line = {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "level": "WARNING",
        "logger": "tillwatch.logs",
        "message": f"{number} lines are missing here: they came faster than anybody read them",
        "lines_dropped": dropped,
    }
    return json.dumps(line) + "\n"
