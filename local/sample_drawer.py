"""Where receipts lie for months, in the sample stream."""

from collections import deque
from random import Random
from typing import Generic, TypeVar

DAILY_MAX = 6
DRAWER_MAX = 600
"""Receipts of one day that are put away, at most, and of all days."""

Sale = TypeVar("Sale")


class Drawer(Generic[Sale]):
    """Some receipts of every day, the oldest first. Putting one away draws nothing at random."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Sale]] = deque(maxlen=DRAWER_MAX)
        self._day = 0
        self._today = 0

    def put(self, day: int, sale: Sale) -> None:
        """Put away the receipt of `sale`, unless there are enough of that day."""
        if day != self._day:
            self._day, self._today = day, 0
        self._today += 1
        if self._today <= DAILY_MAX:
            self._kept.append((day, sale))

    def take(self, rng: Random, until: int) -> Sale | None:
        """One of `until` that day or before; None: there is none."""
        old = [place for place, (day, _) in enumerate(self._kept) if day <= until]
        if not old:
            return None
        place = rng.choice(old)
        sale = self._kept[place][1]
        del self._kept[place]
        return sale
