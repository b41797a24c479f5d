"""Feeds the stream from a thread of its own, so that the demo can watch its parts meanwhile."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

from events.instant import DAY, MINUTE, Instant, to_iso
from local.feed import Keyed, keyed, paced, wire_lines
from local.producer import put_all
from local.samples import START, Sample, sample_stream

SHOPS = 40
HISTORY_DAYS = 14
BOUNDED_DAYS = 4
_LIVE_DAYS = 365
_LIVE_LEAD: Instant = 20 * MINUTE
"""The live part begins so long before the first burst, that something happens soon."""
_LOOK_AHEAD_DAYS_MAX = 14
_JOIN_SECONDS_MAX = 30.0

Tell = Callable[[str], None]


class Feeder:
    """Puts records until its source ends or it is told to stop."""

    def __init__(self, kinesis: Any, stream: str, tell: Tell) -> None:
        self.put = 0
        self.error: BaseException | None = None
        self._kinesis = kinesis
        self._stream = stream
        self._tell = tell
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def done(self) -> bool:
        """Whether it has put everything, or failed."""
        return self._thread is not None and not self._thread.is_alive()

    def start_file(self, path: Path) -> None:
        """Put every line of `path`, as fast as the stream takes them."""
        self._start(lambda: self._put_all(wire_lines(path)))

    def start_samples(self, seed: int) -> None:
        """Put a few days of samples, as fast as the stream takes them."""
        self._start(
            lambda: self._put_all(keyed(sample_stream(seed, shops=SHOPS, days=BOUNDED_DAYS)))
        )

    def start_live(self, seed: int, speedup: float) -> None:
        """Put two weeks of history at once, and then go on at `speedup` times real time."""
        self._start(lambda: self._live(seed, speedup))

    def stop(self) -> None:
        """End it with the request that is under way; safe to call twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_JOIN_SECONDS_MAX)

    def _start(self, feed: Callable[[], None]) -> None:
        def run() -> None:
            try:
                feed()
            except Exception as error:  # noqa: BLE001 -- raised by the main thread, which watches
                self.error = error

        self._thread = threading.Thread(target=run, name="feeder", daemon=True)
        self._thread.start()

    def _put_all(self, records: Iterable[Keyed]) -> None:
        before = self.put

        def progress(acknowledged: int) -> None:
            self.put = before + acknowledged

        put_all(
            self._kinesis,
            self._stream,
            self._until_stopped(records),
            on_progress=progress,
            sleep=self._sleep,
        )

    def _sleep(self, seconds: float) -> None:
        self._stop.wait(seconds)

    def _until_stopped(self, records: Iterable[Keyed]) -> Iterator[Keyed]:
        return takewhile(lambda _: not self._stop.is_set(), records)

    def _live(self, seed: int, speedup: float) -> None:
        live_from = first_burst(seed) - _LIVE_LEAD
        samples = _live_stream(seed)
        began = time.monotonic()
        first: list[Sample] = []
        history = takewhile(lambda sample: _before(sample, live_from, first), samples)
        self._put_all(keyed(history))
        if self._stop.is_set():
            return
        self._tell(
            f"put {self.put:,} records of history, {HISTORY_DAYS} days and more, "
            f"in {time.monotonic() - began:.0f} s"
        )
        self._tell(
            f"live from {to_iso(live_from)} on at {speedup:g} times real time: "
            f"{60 * speedup / 3600:.1g} h pass in a minute, quiet hours faster"
        )
        live = paced(chain(first, samples), speedup, clock=time.monotonic, wait=self._stop.wait)
        for due in live:
            self._put_all(keyed(due))
        if not self._stop.is_set():
            self._tell("the sample stream has ended; what came out of it stays up until Ctrl-C")


def first_burst(seed: int) -> Instant:
    """When the live stream's first burst of fraud begins, or its history ends where none comes."""
    bound = START + (HISTORY_DAYS + _LOOK_AHEAD_DAYS_MAX) * DAY
    for sample in _live_stream(seed):
        if sample.arrives_at >= bound:
            break
        if sample.label is not None and sample.label.endswith(":burst"):
            return sample.arrives_at
    return START + HISTORY_DAYS * DAY


def _live_stream(seed: int) -> Iterator[Sample]:
    return sample_stream(seed, shops=SHOPS, days=_LIVE_DAYS, warm_up_days=HISTORY_DAYS)


def _before(sample: Sample, moment: Instant, first: list[Sample]) -> bool:
    """Whether `sample` is before `moment`; the first that is not is kept, not lost."""
    if sample.arrives_at < moment:
        return True
    first.append(sample)
    return False
