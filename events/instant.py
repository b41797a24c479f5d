"""Time as Tillwatch keeps it: whole microseconds since 1970-01-01T00:00Z."""

from datetime import UTC, datetime, timedelta

Instant = int
"""Microseconds since the epoch, UTC. Integers, so that equal times compare and hash equal."""

SECOND: Instant = 1_000_000
MINUTE: Instant = 60 * SECOND
HOUR: Instant = 60 * MINUTE
DAY: Instant = 24 * HOUR
WEEK: Instant = 7 * DAY

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def from_datetime(moment: datetime) -> Instant:
    """The instant of an aware `moment`; exact for every year that datetime knows."""
    return (moment - _EPOCH) // _MICROSECOND


def to_datetime(instant: Instant) -> datetime:
    """The aware UTC datetime of `instant`.

    Raises:
        OverflowError: outside the years 1 to 9999.
    """
    return _EPOCH + timedelta(microseconds=instant)


def to_iso(instant: Instant) -> str:
    """`instant` as ISO 8601 in UTC with milliseconds, such as 2026-01-05T10:31:07.250Z."""
    return to_datetime(instant).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def floor_hour(instant: Instant) -> Instant:
    """The start of the UTC hour that `instant` lies in."""
    return instant - instant % HOUR
