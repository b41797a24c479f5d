"""A stop event that sets itself: what bounds the waits of a command."""

import threading
import time
from collections.abc import Callable


class Deadline(threading.Event):
    """Set once `seconds` have passed, or when `outer` is set, or by hand.

    A worker waits for its services without end; a person at a command line does not. Whoever
    waits by a stop event (sinks/retry.py) waits by this one too.
    """

    def __init__(
        self,
        seconds: float,
        outer: threading.Event | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._clock = clock
        self._end = clock() + seconds
        self._outer = outer

    def is_set(self) -> bool:
        """Whether the time is up, or somebody said stop."""
        outer = self._outer is not None and self._outer.is_set()
        return super().is_set() or outer or self._clock() >= self._end

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for at most `timeout` seconds, and never beyond the deadline; whether it is set."""
        left = max(0.0, self._end - self._clock())
        super().wait(left if timeout is None else min(timeout, left))
        return self.is_set()
