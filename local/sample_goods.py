"""What thieves in the sample stream say was brought back: what customers bring back anyway."""

from random import Random

from events.instant import Instant
from local.sample_shops import Item, Shop
from local.sample_trade import Draft, LineDraft, Trade, part_of, worth

TRIES_MAX = 60
"""Purchases that a thief thinks of, at most, before he takes something else."""


def goods_worth(
    trade: Trade, amounts: tuple[int, int], before: Instant
) -> tuple[tuple[LineDraft, ...], Draft | None]:
    """What a customer might bring back, worth so much, and the sale it is of; None: no sale fits.

    Thieves take what is brought back anyway, so that neither articles nor prices tell of them.
    """
    rng = trade.rng
    least, most = amounts
    fitting = []
    for sale in rng.sample(trade.receipts, min(len(trade.receipts), TRIES_MAX)):
        if sale.occurred_at < before and rng.random() * 2 < sale.returns:
            lines = part_of(rng, sale.lines)
            if least <= worth(lines) <= most:
                fitting.append((lines, sale))
    if fitting:
        return rng.choice(fitting)
    return lines_worth(rng, trade.shop, amounts), None


def lines_worth(rng: Random, shop: Shop, amounts: tuple[int, int]) -> tuple[LineDraft, ...]:
    """One to six of the shop's articles at its price points, worth so much if any try comes to it.

    The nearest of the tries otherwise.
    """
    middle = sum(amounts) // 2
    tries = [_pick(rng, shop, rng.randint(*amounts)) for _ in range(TRIES_MAX)]
    fitting = [lines for lines in tries if amounts[0] <= worth(lines) <= amounts[1]]
    if fitting:
        return min(fitting, key=len)
    return min(tries, key=lambda lines: abs(worth(lines) - middle))


def _pick(rng: Random, shop: Shop, target: int) -> tuple[LineDraft, ...]:
    lines: list[LineDraft] = []
    left = target
    while left > 0 and len(lines) < 6:  # lines of a usual receipt
        item = _item_under(rng, shop, left)
        # Nobody buys forty of a thing, but the last line has to make up for what is left.
        quantity_max = 4 if len(lines) < 5 else 40
        quantity = max(1, min(quantity_max, left // item.price))
        lines.append((item, quantity, item.price))
        left -= quantity * item.price
        if left < target * 0.1:
            break
    return tuple(lines)


def _item_under(rng: Random, shop: Shop, price_max: int) -> Item:
    """An article that costs `price_max` or less, dear ones first; the cheapest if none does."""
    tries = rng.choices(shop.items, cum_weights=shop.item_weights, k=8)
    fitting = [item for item in tries if item.price <= price_max]
    if fitting:
        return max(fitting, key=_price)
    return min(tries, key=_price)


def _price(item: Item) -> int:
    return item.price
