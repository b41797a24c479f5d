"""Marks that one refund carries by itself, and how usual each is in a shop."""

from math import log
from typing import Any
from zlib import crc32

from river import base

from anomaly.sale_state import MarkState
from events.transaction import Transaction

WITHOUT_RECEIPT = 1
UNDER_LIMIT = 2
OUT_OF_HOURS = 4
ABOVE_SALE = 8
LATE_RETURN = 16

MARKS = (
    (WITHOUT_RECEIPT, "receipt", "refunds without receipt"),
    (UNDER_LIMIT, "limit", "refunds just under the limit"),
    (OUT_OF_HOURS, "hours", "refunds out of hours"),
)
"""Bit, kind of the reason, unit; how usual the last two are is learnt in misfits.py."""

PRIORS = ((0.5, 6.0), (0.06, 40.0), (0.01, 60.0))
"""Share of each mark where nothing is known, and how many refunds that counts for."""

THIEVES = (0.6, 0.85, 0.9)
"""Share of each mark among the refunds of a thief who goes that way."""

RATIO_MAX = 20.0
"""No mark speaks more strongly than this."""

SHARE_MAX = 0.98
"""A mark that nearly every refund carries says nothing: such a source does not send receipts."""

MEMORY = 600.0
"""Refunds that count, about."""

UNDER_LIMIT_FROM = 0.85
"""A refund of at least this part of the approval limit, and not above it, lies just under it."""

ITEM_BITS = 0xFFFF

Part = tuple[str, float, float, float, str]
"""One part of a suspicion: kind, nats, expected, observed, unit."""


def marks_of(transaction: Transaction, *, out_of_hours: bool) -> int:
    """The marks of one refund as bits."""
    bits = OUT_OF_HOURS if out_of_hours else 0
    if transaction.original_transaction_id is None:
        bits |= WITHOUT_RECEIPT
    limit = transaction.approval_limit
    if limit is not None and UNDER_LIMIT_FROM * limit <= transaction.total <= limit:
        bits |= UNDER_LIMIT
    return bits


def item_of(transaction: Transaction) -> int:
    """The first article of a receipt in 16 bits; 0 where none is named."""
    for line in transaction.lines:
        if line.item_id is not None:
            return crc32(line.item_id.encode("utf-8", "surrogatepass")) & ITEM_BITS | 1
    return 0


class MarkShares(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Beta–Binomial shares of each mark among a shop's refunds.

    `x` has `marks`, the bits of one refund, and may have `weight`, how much to learn. A source that
    never sends receipts has a share near one, and so the missing receipt says nothing there.

    Args:
        memory: refunds that count, about.
    """

    __slots__ = ("memory", "state")

    def __init__(self, memory: float = MEMORY) -> None:
        self.memory = memory
        self.state = MarkState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Count the marks of one refund; without `marks` nothing is learnt."""
        bits = x.get("marks")
        if bits is not None:
            self.learn(bits, x.get("weight", 1.0))

    def learn(self, bits: int, weight: float) -> None:
        """`learn_one` without a dictionary."""
        state = self.state
        if state.n >= self.memory:
            kept = 1.0 - weight / state.n
            state.n *= kept
            state.counts = [count * kept for count in state.counts]
        state.n += weight
        for place, (bit, _, _) in enumerate(MARKS):
            if bits & bit:
                state.counts[place] += weight

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against the marks of one refund; 0.0 without `marks`."""
        bits = x.get("marks")
        if bits is None:
            return 0.0
        return sum([max(log(self.ratio(place, bits)), 0.0) for place in range(len(MARKS))])

    def share(self, place: int) -> float:
        """The usual share of the mark at `place` of `MARKS`."""
        prior, strength = PRIORS[place]
        return (self.state.counts[place] + prior * strength) / (self.state.n + strength)

    def tells(self, place: int) -> bool:
        """Whether the mark at `place` says anything: not if (nearly) all refunds carry it."""
        state = self.state
        return state.n - state.counts[place] >= 1.0 and self.share(place) < SHARE_MAX

    def ratio(self, place: int, bits: int) -> float:
        """How much likelier the mark at `place`, or its absence, is with a thief."""
        if not self.tells(place):
            return 1.0
        share = self.share(place)
        if not bits & MARKS[place][0]:
            return (1.0 - THIEVES[place]) / (1.0 - share)
        ratio = THIEVES[place] / share
        return min(RATIO_MAX, ratio)
