"""Pages on their way to people: sent at once, kept in the state until they went out."""

import logging
import random
import threading
from collections.abc import Callable, Iterable
from typing import Literal

from events.page import Page
from sinks.sink import Stopped

_log = logging.getLogger("tillwatch.outbox")

PAGES_WAITING_MAX = 10_000
"""Pages that wait for the topic; beyond that the shard waits too."""
WAIT_SECONDS_FIRST = 0.25
WAIT_SECONDS_MAX = 30.0
END_SECONDS_MAX = 10.0
FAILURES_MAX = 3
"""Pages that fail one after the other before a round of sending ends."""

Send = Callable[[Page], bool]
"""Tries once: True where the page went out, False where another process is at it; or raises."""


class Outbox:
    """The pages of one shard that people are still to be told of, in order.

    Pages come in before their batch goes to the sinks, and stay until `send` took them; what a
    snapshot says is waiting is sent again by whoever restores it, and the ledger behind `send`
    sees to it that nobody is told twice. A page that cannot be sent is tried again, with pauses
    of up to `wait_seconds_max` and full jitter, after the others: it holds up nothing but itself
    and the later revisions of the same page.
    """

    def __init__(
        self,
        send: Send,
        stop: threading.Event,
        waiting: Iterable[Page] = (),
        *,
        pages_waiting_max: int = PAGES_WAITING_MAX,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
        count_retry: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._send = send
        self._stop = stop
        self._waiting = list(waiting)
        self._pages_waiting_max = pages_waiting_max
        self._wait_seconds_max = wait_seconds_max
        self._count_retry = count_retry
        self._begin = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Send in a thread of its own, until the stop event is set."""
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop sending; a page that is on its way is waited for, for a bounded time."""
        self._stop.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(timeout=END_SECONDS_MAX)

    def add(self, pages: Iterable[Page]) -> None:
        """Take `pages` in; waits while too many are waiting already.

        Raises:
            Stopped: the stop event was set meanwhile.
        """
        with self._changed:
            while len(self._waiting) >= self._pages_waiting_max:
                if self._stop.is_set():
                    raise Stopped("stopped while pages waited for their topic")
                self._changed.wait(self._wait_seconds_max)
            self._waiting += pages
            self._changed.notify_all()

    def waiting(self) -> list[Page]:
        """The pages that are not known to have gone out, in order."""
        with self._changed:
            return list(self._waiting)

    def count(self) -> int:
        """How many pages are waiting."""
        return len(self._waiting)

    def flush(self) -> bool:
        """Try every waiting page once, in order; True where none is left.

        A page's later revisions wait for its earlier ones. After `FAILURES_MAX` failures in a row
        the round ends, for it is the topic that does not answer; the next one begins behind them,
        so that pages that can never be sent do not stand before those that can.
        """
        waiting = self.waiting()
        begin = self._begin % len(waiting) if waiting else 0
        held: set[str] = {page.page_id for page in waiting[:begin]}
        failures: list[Exception] = []
        for index in [*range(begin, len(waiting)), *range(begin)]:
            if index == 0:
                held = set()
            if self._stop.is_set():
                return False
            page = waiting[index]
            if page.page_id in held:
                continue
            error = self._try(page)
            if error is None:
                failures.clear()
            else:
                held.add(page.page_id)
                if isinstance(error, Exception):
                    failures.append(error)
            if len(failures) == FAILURES_MAX:
                self._begin = index + 1
                break
        if failures:
            _log.warning(
                "%d pages wait for their topic: %s",
                self.count(),
                failures[-1],
                extra={"service": "sns", "pages_waiting": self.count()},
            )
        return not self.count()

    def _try(self, page: Page) -> Exception | Literal["held"] | None:
        """Send `page` and take it off; what kept it from going out."""
        try:
            if not self._send(page):
                return "held"
        except Exception as error:  # noqa: BLE001 -- a topic that is gone must not stop the shard
            self._count_retry("sns")
            return error
        with self._changed:
            self._waiting.remove(page)
            self._changed.notify_all()
        return None

    def _run(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            if self.flush():
                attempt = 0
                with self._changed:
                    if not self._waiting:
                        self._changed.wait(self._wait_seconds_max)
            else:
                ceiling = min(self._wait_seconds_max, WAIT_SECONDS_FIRST * 2 ** min(attempt, 16))
                attempt += 1
                self._stop.wait(random.uniform(0, ceiling))
