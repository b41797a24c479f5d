"""The names of indices that hold a day or a month, and what they hold. Pure."""

import re
from calendar import monthrange
from datetime import date

DAILY = ("transactions", "rejections", "operations")
MONTHLY = ("pages",)

_DAY = re.compile(rf"(?:{'|'.join(DAILY)})-([0-9]{{4}})\.([0-9]{{2}})\.([0-9]{{2}})")
_MONTH = re.compile(rf"(?:{'|'.join(MONTHLY)})-([0-9]{{4}})\.([0-9]{{2}})")


def last_day(index: str) -> date | None:
    """The last day that `index` holds; None where the name is not exactly one of ours."""
    if found := _DAY.fullmatch(index):
        return _date(*map(int, found.groups()))
    if found := _MONTH.fullmatch(index):
        year, month = map(int, found.groups())
        first = _date(year, month, 1)
        return first and first.replace(day=monthrange(year, month)[1])
    return None


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
