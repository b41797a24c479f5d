"""Receipts that do not fit what is brought back: of too small a sale, too old, of a cut price."""

from local.sample_shops import Item
from local.sample_trade import RETURN_DAYS_MAX, Day, Draft, LineDraft, Trade

TRIES_MAX = 40
"""Receipts that a thief looks through, at most."""

ABOVE_LEAST = 1.3
"""He gives back at least so many times what the sale brought; for less he needs no such trick."""

OLD_DAYS = RETURN_DAYS_MAX + 5
"""From this age on a receipt is old: goods come back sooner, but for some days of shut doors."""

CUTS = (0.5, 0.6, 0.7, 0.75, 0.8, 0.9)
"""What a sale day leaves of a price."""


def receipt_below(trade: Trade, refund: Draft) -> Draft | None:
    """A receipt of a sale that brought clearly less than `refund` gives back; None: there is none.

    The first that fits of those he looks at, so that all sizes of sales serve alike.
    """
    rng = trade.rng
    for sale in rng.sample(trade.receipts, min(len(trade.receipts), TRIES_MAX)):
        if sale.occurred_at < refund.occurred_at and sale.total * ABOVE_LEAST < refund.total:
            trade.receipts.remove(sale)
            return sale
    return None


def show_old_receipt(trade: Trade, day: Day, refund: Draft) -> None:
    """Let `refund` be of the goods of an old receipt; as it is, where there is none."""
    sale = trade.drawer.take(trade.rng, until=day.number - OLD_DAYS)
    if sale is not None:
        refund.lines, refund.original = sale.lines, sale


def at_shelf_price(trade: Trade, sale: Draft) -> tuple[LineDraft, ...]:
    """The goods of `sale` at what they cost today: a sale day had cut their prices then."""
    kept = trade.rng.choice(CUTS)
    return tuple(
        (item, quantity, _raised(item, price, kept)) for item, quantity, price in sale.lines
    )


def _raised(item: Item, price: int, kept: float) -> int:
    return max(item.price, round(price / kept))
