"""What sales brought, and on which day: as many of a shop's newest as a bounded memory holds."""

from bisect import bisect_left
from itertools import accumulate
from math import exp, log
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from river import base

from anomaly.sale_state import SOLD_DAYS_MAX, SOLD_MAX, SoldState

HORIZON_DAYS = 6.0
"""A shop that sells more than the memory holds of so many days remembers every n-th sale alone."""

WIDTH = 4
"""Bytes of an entry: 20 bits of the receipt's hash, 12 of its amount."""

NAME = 0xFFFFF000
AMOUNT = 0xFFF
"""Which bits these are; an amount of all ones is one too large to be told."""

STEPS = 190.0
"""Steps of an amount by which it grows by a factor of e: it is rounded up, by 0.6 % at most."""

ROOM = 16
"""Entries by which the memory is allowed to grow before the oldest are cut off."""

_pack = Struct("<I").pack


class Sold(NamedTuple):
    """What a receipt brought, in minor units, at most, and how many days ago, at least."""

    total: int
    days: int


def amount_of(code: int) -> int | None:
    """The amount of an entry, or up to 0.6 % more; None if it was too large to be told."""
    return None if code == AMOUNT else int(exp(code / STEPS))


class SaleMemory(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """The newest sales of a shop, by hash of their receipt, in the order they came.

    `x` has `receipt` (a transaction's id) and `amount`; in learning that of a sale, in scoring that
    of a refund. A sale that is forgotten, or was one of those passed over, is not known. Of sales
    whose hashes collide the larger amount and the newer day count: the error is to miss. A receipt
    that is not remembered is taken for another once in 2**20 / SOLD_MAX.

    Args:
        sold_max: sales remembered.
    """

    __slots__ = ("sold_max", "state")

    def __init__(self, sold_max: int = SOLD_MAX) -> None:
        self.sold_max = sold_max
        self.state = SoldState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Remember a sale; without `receipt` and `amount` nothing is learnt."""
        receipt, amount = x.get("receipt"), x.get("amount")
        if receipt is not None and amount is not None:
            self.keep(receipt, amount)

    def score_one(self, x: dict[str, Any]) -> float:
        """Logarithm of how many times the sale's money `amount` is; 0.0 if it is not above it."""
        receipt, amount = x.get("receipt"), x.get("amount")
        sold = None if receipt is None else self.find(receipt)
        return max(log(amount / sold.total), 0.0) if sold and amount else 0.0

    def keep(self, receipt: str, total: int) -> None:
        """Remember the newest sale."""
        self.keep_hashed(crc32(receipt.encode("utf-8", "surrogatepass")), total)

    def keep_hashed(self, hashed: int, total: int) -> None:
        """`keep` for the path of sales, by the CRC-32 of the receipt."""
        state = self.state
        entries = state.entries
        code = int(log(total) * STEPS) + 1 if total > 1 else 1
        if code > AMOUNT:  # noqa: PLR1730 -- a call of min() for every sale
            code = AMOUNT
        entries += _pack(hashed & NAME | code)
        state.days[-1] += 1
        if len(entries) >= (self.sold_max + ROOM) * WIDTH:
            del entries[: -self.sold_max * WIDTH]
            self._forget_days()

    def next_day(self, days: int, daily: float) -> None:
        """Let `days` go by in a shop that makes `daily` sales."""
        state = self.state
        state.every = max(1, round(HORIZON_DAYS * daily / self.sold_max))
        state.days += [0] * min(days, SOLD_DAYS_MAX)
        gone = sum(state.days[:-SOLD_DAYS_MAX])
        del state.days[:-SOLD_DAYS_MAX], state.entries[: gone * WIDTH]

    def find(self, receipt: str) -> Sold | None:
        """What the sale `receipt` brought, and when; None if it is not remembered."""
        entries = self.state.entries
        name = crc32(receipt.encode("utf-8", "surrogatepass")) & NAME
        tail = (name >> 16).to_bytes(2, "little")
        code, place = 0, -1
        at = entries.find(tail)
        while at >= 0:
            if at % WIDTH == 2:  # noqa: PLR2004 -- where an entry's upper half begins
                entry = int.from_bytes(entries[at - 2 : at + 2], "little")
                if entry & NAME == name:
                    code, place = max(code, entry & AMOUNT), at // WIDTH
            at = entries.find(tail, at + 1)
        total = amount_of(code) if code else None
        return None if total is None else Sold(total, self._days_ago(place))

    def _days_ago(self, place: int) -> int:
        after = accumulate(reversed(self.state.days))
        return bisect_left(list(after), len(self.state.entries) // WIDTH - place)

    def _forget_days(self) -> None:
        """Drop the days of which no sale is left; the oldest may have lost some."""
        days = self.state.days
        after = list(accumulate(reversed(days)))
        last = bisect_left(after, self.sold_max)
        days[-1 - last] -= after[last] - self.sold_max
        del days[: -1 - last]
