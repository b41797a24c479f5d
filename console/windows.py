"""The stretches of event time that the page can show: a fixed, small set."""

import msgspec

from events.instant import DAY, HOUR, MINUTE, WEEK, Instant


class Window(msgspec.Struct, frozen=True):
    """The last `span` of event time, drawn in buckets of `bucket`; both in microseconds.

    A bucket divides an hour, so buckets start where the clock's hours do.
    """

    name: str
    label: str
    span: Instant
    bucket: Instant

    def start(self, now: Instant) -> Instant:
        """Where the window that ends at `now` begins: at a bucket's edge, so the first is whole."""
        begin = now - self.span
        return begin - begin % self.bucket


WINDOWS = {
    window.name: window
    for window in (
        Window("3h", "3 hours", 3 * HOUR, MINUTE),
        Window("24h", "24 hours", DAY, 10 * MINUTE),
        Window("7d", "7 days", WEEK, HOUR),
    )
}

DEFAULT_WINDOW = "3h"

NORMAL_SPAN: Instant = 4 * WEEK
"""How much event time before the window says what a shop's normal refund rate is."""
