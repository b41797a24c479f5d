"""How the last sales were paid: whether money goes back the way it came.

Who shows a receipt that is not his own wants the money for himself, in cash or on a card that did
not pay. Of every sale one byte is kept, at a place that follows from its number: four bits of the
number and four of what it was paid with. A later sale at the same place takes it; a byte of another
sale passes for the one asked for once in sixteen times. So the error is mostly to know nothing,
seldom to take a stranger's tender for the sale's, and how often that happens is learnt with the
rest: a Beta–Binomial share (Gelman et al., Bayesian Data Analysis, section 2.4). The table is a
hash table of fingerprints that overwrites on collision (Fan, Andersen, Kaminsky and Mitzenmacher
2014, doi:10.1145/2674005.2674994, without its second place).
"""

from math import log
from typing import Any, Final
from zlib import crc32

from river import base

from anomaly.sale_state import TENDERS_MAX, TenderState

OTHER_TENDER: Final = 32
SAME_TENDER: Final = 64
"""Marks of a refund whose sale is known: it goes another way than the money came, or the same."""

TENDERS_MIN: Final = 256
DAYS_HELD = 8.0
"""A shop has room for at least the sales of so many days, while `TENDERS_MAX` allows it."""

THIEVES = 0.85
"""Share of refunds over a thief's receipts that go elsewhere; a fingerprint hides some."""

PRIOR, STRENGTH = 0.25, 8.0
"""Share of usual ones where nothing is known, and how many refunds that counts for."""

MEMORY = 600.0
"""Refunds that count, about."""

RATIO_MAX = 20.0


class Tenders(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Remembers how sales were paid, and how usual it is that a refund goes another way.

    `x` has `receipt`, the number of a sale, and `tender`, what was paid with; with `refund` true it
    is a refund over that receipt, and may have `weight`, how much to learn. Where no receipt has
    ever been shown nothing is kept.
    """

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = TenderState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Keep a sale, or learn from a refund; without `receipt` nothing is learnt."""
        receipt, tender = x.get("receipt"), x.get("tender")
        if receipt is None:
            return
        if x.get("refund"):
            self.learn(receipt, self.marks(receipt, tender), x.get("weight", 1.0))
        else:
            self.keep(receipt, tender)

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against a refund over `receipt` to `tender`; 0.0 where its sale is not known."""
        receipt = x.get("receipt")
        if receipt is None:
            return 0.0
        return max(log(self.ratio(self.marks(receipt, x.get("tender")))), 0.0)

    def grow(self, daily: float) -> None:
        """Make room for a shop that sells `daily` times a day; what is kept stays found."""
        paid = self.state.paid
        if paid and len(paid) < TENDERS_MAX and len(paid) < DAYS_HELD * daily:
            self.state.paid = paid + paid

    def keep(self, receipt: str, tender: str | None) -> None:
        """Note how the sale `receipt` was paid."""
        if self.state.paid and tender is not None:
            self.keep_hashed(crc32(receipt.encode("utf-8", "surrogatepass")), tender)

    def keep_hashed(self, hashed: int, tender: str) -> None:
        """`keep` for the path of sales, by the CRC-32 of the receipt, where something is kept."""
        paid = self.state.paid  # below are `_hashed` and `_of_tender`, without their calls
        code = crc32(tender.encode("utf-8", "surrogatepass")) % 15 + 1
        paid[hashed & len(paid) - 1] = hashed >> 24 & 0xF0 | code

    def marks(self, receipt: str | None, *tenders: str | None) -> int:
        """What a refund over `receipt` to one of `tenders`, names of the same, is marked with."""
        paid = self.state.paid
        if receipt is None or not paid:
            return 0
        place, number = _hashed(receipt)
        kept = paid[place & len(paid) - 1]
        known = [_of_tender(one) for one in tenders if one is not None]
        if not known or not kept or kept & 0xF0 != number:
            return 0
        return SAME_TENDER if kept & 0x0F in known else OTHER_TENDER

    def learn(self, receipt: str | None, marks: int, weight: float) -> None:
        """Learn from a refund over `receipt` with these marks, `weight` of it as usual."""
        state, kept = self.state, 1.0
        if receipt is not None and not state.paid:
            state.paid = bytearray(TENDERS_MIN)
        if not marks & (OTHER_TENDER | SAME_TENDER):
            return
        if state.known >= MEMORY:
            kept = 1.0 - weight / state.known
        state.known = state.known * kept + weight
        state.other = state.other * kept + (weight if marks & OTHER_TENDER else 0.0)

    def ratio(self, marks: int) -> float:
        """How much likelier these marks are with a thief who shows receipts."""
        if not marks & (OTHER_TENDER | SAME_TENDER):
            return 1.0
        share = self.usual_share()
        if marks & OTHER_TENDER:
            return min(THIEVES / share, RATIO_MAX)
        return (1.0 - THIEVES) / (1.0 - share)

    def usual_share(self) -> float:
        """The part of the refunds over a receipt that go another way than the sale was paid."""
        state = self.state
        return (state.other + PRIOR * STRENGTH) / (state.known + STRENGTH)


def _hashed(receipt: str) -> tuple[int, int]:
    """Where a sale is kept, and four bits of its number as they stand there."""
    hashed = crc32(receipt.encode("utf-8", "surrogatepass"))
    return hashed, hashed >> 24 & 0xF0


def _of_tender(tender: str) -> int:
    """Four bits of what was paid with, never nought."""
    return crc32(tender.encode("utf-8", "surrogatepass")) % 15 + 1
