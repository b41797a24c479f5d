"""The one way to wait out trouble that passes."""

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

import tenacity

from sinks.sink import Stopped

Result = TypeVar("Result")

WAIT_SECONDS_MAX = 30.0
_WAIT_SECONDS_FIRST = 0.25

_log = logging.getLogger(__name__)


class Transient(Exception):  # noqa: N818 -- it says that trying again helps, not what failed
    """A service could not take something now; the same call may succeed later."""


def is_transient(error: BaseException) -> bool:
    """Whether `error` says of itself that it passes."""
    return isinstance(error, Transient)


def told(error: BaseException | None) -> str:
    """What `error` says, with the notes that say what a person can do about it."""
    return "; ".join((str(error), *getattr(error, "__notes__", ())))


class Retry:
    """Tries until it works or the stop event is set: the number of tries has no bound.

    A sink that is down holds its shard back, and the shard must catch up by itself however long
    that takes. What is bounded is each wait: random between 0 and a ceiling that doubles from
    0.25 s to `wait_seconds_max` (full jitter), so that many shards do not come back in step.

    `count` is called with the service's name once for every retry; `passes` tells trouble that
    passes from the rest, which is raised as it is.
    """

    def __init__(
        self,
        service: str,
        stop: threading.Event,
        *,
        passes: Callable[[BaseException], bool] = is_transient,
        count: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._service = service
        self._stop = stop
        self._passes = passes
        self._count = count
        self._wait = tenacity.wait_random_exponential(
            multiplier=min(_WAIT_SECONDS_FIRST, wait_seconds_max), max=wait_seconds_max
        )

    def call(self, attempt: Callable[[], Result]) -> Result:
        """What `attempt` returns, once it returns.

        Raises:
            Stopped: the stop event was set while trouble lasted; what `attempt` would have done
                may or may not have been done.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._passes),
            wait=self._wait,
            stop=tenacity.stop_when_event_set(self._stop),
            sleep=tenacity.sleep_using_event(self._stop),
            before_sleep=self._note,
        )
        try:
            return retrying(attempt)
        except tenacity.RetryError as error:
            cause = error.last_attempt.exception()
            raise Stopped(f"stopped while waiting for {self._service}: {cause}") from cause

    def _note(self, state: tenacity.RetryCallState) -> None:
        if self._count is not None:
            self._count(self._service)
        outcome = state.outcome
        _log.warning(
            "%s: try %d failed, next in %.1f s: %s",
            self._service,
            state.attempt_number,
            state.upcoming_sleep,
            told(outcome.exception()) if outcome is not None else None,
            extra={"service": self._service, "attempt": state.attempt_number},
        )
