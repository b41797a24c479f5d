"""The trade of another hand's streams: sales by hour and day, and refunds as a till writes them."""

import numpy as np

from benchmarks.stranger_chain import (
    BEFORE,
    DAY,
    REFUND,
    SALE,
    VOID,
    Entry,
    Floats,
    Line,
    Shop,
    World,
    receipt_id,
    weekday,
)


def hours(world: World, shop: Shop, count: int, *, evening: bool = False) -> Floats:
    """When that many customers come: a third at any hour, the others about noon or after work."""
    rng = world.rng
    noon, later = shop.peaks
    share = noon[2] / sum(peak[2] for peak in shop.peaks)
    closes = shop.closes + (3.2 if evening else 0)
    found: list[float] = []
    while len(found) < count:
        if rng.random() < 0.35:
            hour = rng.uniform(shop.opens, closes)
        else:
            hour = rng.normal(*(noon if rng.random() < share else later)[:2])
        if evening and rng.random() < 0.35:
            hour = rng.uniform(shop.closes, closes)
        if shop.opens <= hour < closes:
            found.append(hour)
    return np.sort(found)


def some_time(world: World, shop: Shop, day: int) -> float:
    """When a customer comes on that day, or on the next that the shop is open."""
    while day < world.days and not shop.is_open(day):
        day += 1
    moment: float = day * DAY + hours(world, shop, 1)[0] * 3600
    return moment


def at_the_till(
    world: World, shop: Shop, day: int, hour: float, *, refund: bool = False
) -> tuple[str, str]:
    """At which register, and who serves; refunds go to those who take back more."""
    rng = world.rng
    shifts = shop.rota[day]
    there = [shift for shift in shifts if shift.begins <= hour < shift.ends] or shifts
    if refund:
        weights = np.array([shop.refund_weights[shift.who] for shift in there])
        shift = there[rng.choice(len(there), p=weights / weights.sum())]
    else:
        shift = there[rng.integers(len(there))]
    own = rng.random() < 0.85
    register = shift.register if own else shop.registers[rng.integers(len(shop.registers))]
    return register, shop.staff[shift.who]


def basket(world: World, shop: Shop, day: int) -> list[Line]:
    """One to eight articles, some of them twice and more; while it lasts, the promoted one."""
    rng, promotion = world.rng, shop.promotion
    count = 1 + min(7, rng.geometric(0.45) - 1)
    lines = [
        Line(
            world.items[article],
            world.categories[article],
            1 if rng.random() < 0.88 else int(rng.integers(2, 5)),
            int(world.prices[article]),
        )
        for article in rng.choice(shop.pool, count, p=shop.pool_weights)
    ]
    if promotion and promotion.begins <= day < promotion.ends and rng.random() < promotion.share:
        return [Line("8800000000017", "media", 1, promotion.price)]
    return lines


def _paid(world: World, shop: Shop) -> tuple[str, str | None, str | None]:
    """Tender, card and customer: two thirds pay by card."""
    first, second, third = world.chain.tenders
    draw = world.rng.random()
    tender = first if draw < 0.66 else second if draw < 0.93 else third
    who = shop.queue[shop.served % len(shop.queue)]
    shop.served += 1
    return tender, (shop.cards[who] if tender == first else None), shop.customers[who]


def _new_queue(world: World, shop: Shop) -> None:
    shop.queue = world.rng.choice(len(shop.cards), 4000, p=shop.card_weights)


def trade(world: World, shop: Shop) -> None:
    """All sales of a shop, from before the stream on; six in a thousand are voided at once."""
    rng = world.rng
    _new_queue(world, shop)
    for day in range(max(shop.first, -BEFORE), world.days):
        if not shop.is_open(day):
            continue
        young = 0.6 + 0.4 * min(1, (day - shop.first) / 10) if shop.first > 0 else 1
        usual = shop.sales_a_day * shop.weekdays[weekday(day)] * rng.gamma(40, 1 / 40)
        expected = usual * shop.sale_lift.get(day, 1) * young * (1 + shop.trend * day)
        evening = day in shop.evenings
        if evening:
            expected *= 1.25
        if day % 9 == 0:
            _new_queue(world, shop)
        for hour in hours(world, shop, rng.poisson(expected), evening=evening):
            _sell(world, shop, day, hour)


def _sell(world: World, shop: Shop, day: int, hour: float) -> None:
    rng, at = world.rng, day * DAY + hour * 3600
    till = at_the_till(world, shop, day, hour)
    tender, card, customer = _paid(world, shop)
    lines = basket(world, shop, day)
    name = receipt_id(world, shop, at, till[0])
    sale = Entry(name, shop, SALE, at, *till, tender, card, customer, lines)
    shop.sales.append(sale)
    if day < 0:
        return
    world.entries.append(sale)
    if rng.random() < 0.006:
        name = receipt_id(world, shop, at + 60, till[0])
        later = at + rng.uniform(20, 200)
        void = Entry(name, shop, VOID, later, *till, tender, card, customer, lines)
        void.original = sale.transaction_id
        world.entries.append(void)


def sell_apart(world: World, shop: Shop, at: float, lines: list[Line]) -> Entry:
    """A sale by card to one who is not among the usual customers; it stands in no list yet."""
    till = at_the_till(world, shop, int(at // DAY), at % DAY / 3600)
    name = receipt_id(world, shop, at, till[0])
    return Entry(name, shop, SALE, at, *till, world.chain.tenders[0], None, None, lines)


def pay_back(
    world: World,
    shop: Shop,
    at: float,
    lines: list[Line],
    *,
    tag: str,
    tender: str,
    card: str | None = None,
    customer: str | None = None,
    original: str | None = None,
    reason: str | None = None,
    till: tuple[str, str] | None = None,
) -> Entry:
    """Write a refund; without `till` it is at that of somebody who is there."""
    if till is None:
        till = at_the_till(world, shop, int(at // DAY), at % DAY / 3600, refund=True)
    name = receipt_id(world, shop, at, till[0])
    refund = Entry(name, shop, REFUND, at, *till, tender, card, customer, lines, original)
    refund.reason, refund.tag = reason, tag
    world.entries.append(refund)
    shop.refunds.append(refund)
    return refund
