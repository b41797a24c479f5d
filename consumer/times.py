"""Times and stretches of time as people give them at the command line."""

import re
from datetime import UTC, datetime
from typing import Any, Final

import click

from events.instant import DAY, HOUR, MINUTE, WEEK, Instant, from_datetime

_UNITS: Final = {"m": MINUTE, "h": HOUR, "d": DAY, "w": WEEK}


class TimeType(click.ParamType[Instant]):
    """An ISO 8601 time; without an offset it is in UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Instant:
        """The instant that `value` names; one that is an instant already stays it."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no ISO 8601 time, such as 2026-01-05T10:30Z", param, ctx)
        return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


class SpanType(click.ParamType[Instant]):
    """A number of minutes, hours, days or weeks, such as 90m, 12h, 1d or 2w."""

    name = "span"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Instant:
        """The microseconds that `value` names; a default in microseconds stays what it is."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"([1-9]\d{0,5})([mhdw])", str(value), re.ASCII)
        if found is None:
            self.fail(f"{value!r} is no stretch of time, such as 90m, 12h, 1d or 2w", param, ctx)
        return int(found[1]) * _UNITS[found[2]]
