"""What is remembered of a shop's sales, and how refunds look, as plain values kept by state.py."""

from typing import Final

import msgspec

SOLD_MAX: Final = 144
"""Sales of a shop whose amount and day are remembered, by hash of their receipt."""

SOLD_DAYS_MAX: Final = 90
NUMBERED_DAYS_MAX: Final = 80
"""Days that such a sale is remembered for at most; days whose first receipt's number is."""

TENDERS_MAX: Final = 4096
"""Sales of a shop whose way of payment is remembered, a byte each; the table is a power of two."""


class SoldState(msgspec.Struct, array_like=True):
    """The newest sales, packed by sold.py; how many are of each of the last days, today last."""

    every: int = 1
    """Each so many-th sale is remembered."""
    most: int = 2**53
    """What a sale may bring to be remembered."""
    entries: bytearray = msgspec.field(default_factory=bytearray)
    days: list[int] = msgspec.field(default_factory=lambda: [0])


class NumberingState(msgspec.Struct, array_like=True):
    """By how much the first receipt number of each of the last days was above the one before."""

    prefix: str = ""
    last: int = 0
    """The newest day's."""
    rises: list[int] = msgspec.field(default_factory=list)


class ChainMisfitState(msgspec.Struct, array_like=True):
    """Of the last refunds of a key group's shops: how many, and those long after their sale."""

    count: int = 0
    n: float = 0.0
    late: float = 0.0


class TenderState(msgspec.Struct, array_like=True):
    """How the last sales were paid (tenders.py).

    `known` are refunds, fading, whose sale was known, `other` those that went another way.
    """

    paid: bytearray = msgspec.field(default_factory=bytearray)
    least: int = 0
    """Smaller sales are not kept: hardly any comes back."""
    known: float = 0.0
    other: float = 0.0


class MarkState(msgspec.Struct, array_like=True):
    """Refunds, and those that carry each mark; they fade together."""

    n: float = 0.0
    counts: list[float] = msgspec.field(default_factory=lambda: [0.0, 0.0, 0.0])
