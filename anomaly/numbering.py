"""When a sale was, by its receipt's number: tills number their receipts one after the other."""

from math import log1p
from typing import Any

from river import base

from anomaly.sale_state import NUMBERED_DAYS_MAX, NumberingState

DIGITS_MAX = 15
PREFIX_MAX = 24
"""Numbers with more digits, or more in front of them, are none that a till counts."""

KNOWN_DAYS = 10
"""Days that have to follow one another with rising numbers before anything is said: numbers drawn
at random do so once in three million."""


def number_of(receipt: str) -> tuple[str, int] | None:
    """What stands before a receipt's number, and the number; None if it does not end with one."""
    prefix = receipt.rstrip("0123456789")
    digits = receipt[len(prefix) :]
    if not digits or len(digits) > DIGITS_MAX or len(prefix) > PREFIX_MAX:
        return None
    return prefix, int(digits)


class Numbering(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """The number with which each day of a shop began, as long as numbers rise.

    `x` has `receipt`: in learning an early sale of a day, in scoring the receipt of a refund; in
    learning it may have `days`, which go by first. A receipt numbered below a day's first is of
    that day or before, so that it is at least as old. Where numbers do not rise with the days, or
    what stands before them differs, nothing is known: the error is to miss.
    """

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = NumberingState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Note the first number of a day; without `receipt` only days go by."""
        self.next_day(x.get("days", 0))
        receipt = x.get("receipt")
        if receipt is not None:
            self.begin_day(receipt)

    def score_one(self, x: dict[str, Any]) -> float:
        """Logarithm of one and the days that `receipt` is old at least; 0.0 if not known."""
        receipt = x.get("receipt")
        return 0.0 if receipt is None else log1p(self.days_old(receipt) or 0)

    def next_day(self, days: int) -> None:
        """Let `days` go by."""
        rises = self.state.rises
        rises += [0] * min(days, NUMBERED_DAYS_MAX)
        del rises[:-NUMBERED_DAYS_MAX]

    def begin_day(self, receipt: str) -> None:
        """Note an early sale of the day."""
        state, numbered = self.state, number_of(receipt)
        if numbered is None:
            state.rises, state.last = [], 0
            return
        prefix, number = numbered
        if prefix == state.prefix and number > state.last and state.rises:
            state.rises[-1] += number - state.last
        else:
            state.prefix, state.rises = prefix, [0]
        state.last = number

    def days_old(self, receipt: str) -> int | None:
        """How many days ago a receipt was given, at least; None if that is not known."""
        state, numbered = self.state, number_of(receipt)
        rises = state.rises
        if numbered is None or numbered[0] != state.prefix or len(rises) < KNOWN_DAYS:
            return None
        began, number = state.last, numbered[1]
        if number < began - 2 * sum(rises):
            return None  # far below all that is known: of another row of numbers
        days = 0
        for ago, rise in enumerate(reversed(rises)):
            if number >= began:
                break
            if rise or ago == len(rises) - 1:
                days = ago
            began -= rise
        return days
