"""Resident memory of a worker's processes over time, looked at from outside."""

import time
from contextlib import suppress

import psutil

from local.faults import kinds

_MIB = 2**20


class Sampler:
    """Resident memory of the processes of the worker `pid`, by kind."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen: list[tuple[float, str, float]] = []

    def look(self) -> None:
        """Take one sample of each process."""
        now = time.monotonic()
        for kind, process in kinds(self._pid):
            with suppress(psutil.NoSuchProcess):
                self._seen.append((now, kind, process.memory_info().rss / _MIB))

    def most(self, kind: str, since: float, until: float) -> float:
        """The most MiB that a process of `kind` had in that time; 0 where none was seen."""
        return round(
            max((m for at, k, m in self._seen if k == kind and since <= at <= until), default=0.0),
            1,
        )
