"""What each channel needs for a page, and what a detector can be run without."""

from anomaly.shop import Shop

NEEDED = {
    "volume": 10.6,
    "receipt": 7.6,
    "limit": 7.3,
    "hours": 7.6,
    "cashier": 10.7,
    "cashier receipt": 7.1,
    "cashier limit": 7.0,
    "amount": 8.6,
    "card": 8.0,
    "customer": 8.6,
    "again": 7.8,
    "above": 7.4,
    "late": 8.6,
    "unvouched": 7.8,
}
"""Nats at which each channel pages, for a budget of threshold.BUDGET.

What counts refunds of any kind needs more: what is expected is not known as well as marks are.
"""

NEEDED_UNMARKED = {**NEEDED, "volume": 9.0, "cashier": 10.2}
"""The same where nobody is told of receipts: what counts refunds has to find what marks would."""

EVIDENCE = frozenset((*NEEDED, "register", "size", "tender", "pattern"))
"""What a detector can be run without, to see what it is worth."""


def needed_in(shop: Shop) -> dict[str, float]:
    """What is needed in `shop` as far as it is known: with receipts, or without any."""
    return NEEDED if shop.marks.tells(0) else NEEDED_UNMARKED
