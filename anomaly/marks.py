"""Marks that one refund carries by itself, and how usual each is in a shop."""

from collections.abc import Iterable, Sequence
from typing import Any

from river import base

from anomaly.state import MarkState, Recent
from anomaly.surprise import evidence_of_share
from events.transaction import Transaction

WITHOUT_RECEIPT = 1
UNDER_LIMIT = 2
OUT_OF_HOURS = 4

MARKS = (
    (WITHOUT_RECEIPT, "receipt", "refunds without receipt"),
    (UNDER_LIMIT, "limit", "refunds just under the limit"),
    (OUT_OF_HOURS, "hours", "refunds out of hours"),
)
"""Bit, kind of the reason, unit."""

PRIORS = ((0.5, 6.0), (0.06, 40.0), (0.01, 60.0))
"""Share of each mark where nothing is known, and how many refunds that counts for."""

THIEVES = ((1.4, 0.9), (0.5, 1.5), (0.3, 1.5))
"""Beta priors of each mark's share among a thief's refunds: most have no receipt, few kinds of
thieves keep just under the limit, and fewer come after hours."""

SHARE_MAX = 0.98
"""A mark that nearly every refund carries says nothing: such a source does not send receipts."""

MEMORY = 600.0
"""Refunds that count, about."""

UNDER_LIMIT_FROM = 0.85
"""A refund of at least this part of the approval limit, and not above it, lies just under it."""

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


class MarkShares(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Beta–Binomial shares of each mark among a shop's refunds.

    `x` has `marks`, the bits of one refund, and may have `weight`, how much to learn. A source that
    never sends receipts has a share near one, and so the missing receipt says nothing there.

    Args:
        memory: refunds that count, about.
    """

    def __init__(self, memory: float = MEMORY) -> None:
        self.memory = memory
        self.state = MarkState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Count the marks of one refund; without `marks` nothing is learnt."""
        bits = x.get("marks")
        if bits is None:
            return
        state, weight = self.state, x.get("weight", 1.0)
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
        hits = [1.0 if bits & bit else 0.0 for bit, _, _ in MARKS]
        return max(sum(part[1] for part in self.parts(hits, 1.0)), 0.0)

    def share(self, place: int) -> float:
        """The usual share of the mark at `place` of `MARKS`."""
        prior, strength = PRIORS[place]
        return (self.state.counts[place] + prior * strength) / (self.state.n + strength)

    def parts(self, hits: Sequence[float], trials: float) -> list[Part]:
        """What `hits` of each mark among `trials` refunds say, for or against.

        A missing receipt is rare enough among customers for a receipt to speak for them; that a
        refund is neither under the limit nor out of hours says nothing.
        """
        found = []
        for place, (bit, kind, unit) in enumerate(MARKS):
            count = hits[place]
            if count <= 0.0 and bit != WITHOUT_RECEIPT:
                continue
            if count > trials:  # noqa: PLR1730 -- a call of min() for every mark
                count = trials
            share = self.share(place)
            if share < SHARE_MAX:
                nats = evidence_of_share(count, trials, share, THIEVES[place])
                found.append((kind, nats, trials * share, count, unit))
        return found


def hits_of(refunds: Iterable[Recent]) -> list[float]:
    """How many of `refunds` carry each mark."""
    bare = limit = hours = 0
    for refund in refunds:
        bits = refund.marks
        if bits:
            bare += bits & 1
            limit += bits >> 1 & 1
            hours += bits >> 2 & 1
    return [float(bare), float(limit), float(hours)]
