"""What comes back for good reasons in another hand's streams, and looks like fraud from afar."""

import math

from benchmarks.stranger_chain import DAY, Entry, Line, Shop, World, weekday
from benchmarks.stranger_trade import basket, pay_back, sell_apart, some_time

KINDS = (
    "evening_event",
    "holiday",
    "new_shop",
    "offline",
    "outage",
    "policy",
    "price_point",
    "recall",
    "retry",
    "returner",
    "sale_day",
    "service_desk",
    "web_batch",
    "wholesale",
)
"""Every innocent occasion there is; `benchmarks.stranger_tills` has what befalls the tills."""

_MOST = 5.0
"""How many times the usual refunds the liveliest day may have."""


def take_back(world: World, shop: Shop) -> None:
    """What is brought back of the shop's sales: one in eight within the hour, else after days.

    On a holiday, a sale day and under a looser policy more of the same: those have the tag `lift`.
    """
    rng = world.rng
    for sale in shop.sales:
        if rng.random() >= shop.refund_share * _MOST:
            continue
        if rng.random() < 0.12:
            at = sale.at + rng.exponential(25) * 60
        else:
            kept = max(1, int(min(60, rng.lognormal(math.log(5), 0.8))))
            at = some_time(world, shop, int(sale.at // DAY) + kept)
        day = int(at // DAY)
        if at % DAY / 3600 > shop.closes:
            at = day * DAY + shop.closes * 3600 - 60
        young = shop.first > 0 and day < shop.first
        if at < sale.at or not 0 <= day < world.days or young:
            continue
        draw = rng.random()
        if draw >= shop.refund_lift.get(day, 1) / _MOST:
            continue
        tag = "base" if draw < 1 / _MOST else "lift"
        if shop.promotion and sale.total == shop.promotion.price:
            tag = "price_point"
        give_back(world, shop, sale, at, tag)


def give_back(world: World, shop: Shop, sale: Entry, at: float, tag: str) -> None:
    """One refund of a sale: often one article of several, now and then in another shop.

    The money goes back the way it came, but for one in sixteen, and one in four without receipt.
    """
    rng, tenders = world.rng, world.chain.tenders
    lines, tender, card = sale.lines, sale.tender, sale.card
    if len(lines) > 1 and rng.random() < 0.65:
        lines = [lines[rng.integers(len(lines))]]
    receipt = rng.random() >= shop.without_receipt
    if rng.random() < (0.06 if receipt else 0.25):
        tender = tenders[rng.integers(3)]
        any_card = card
        if tender == tenders[0] and not card:
            any_card = shop.cards[rng.integers(len(shop.cards))]
        card = any_card if tender == tenders[0] else None
    where = shop
    if rng.random() < 0.03 and tag == "base":
        other = world.shops[rng.integers(len(world.shops))]
        if other.first < 0:
            where, at = other, some_time(world, other, int(at // DAY))
            if at // DAY >= world.days:
                return
    shop.used.add(sale.transaction_id)
    pay_back(
        world,
        where,
        at,
        lines,
        tag=tag,
        tender=tender,
        card=card,
        customer=sale.customer,
        original=sale.transaction_id if receipt else None,
        reason=("size", "damaged", "unwanted", None)[rng.integers(4)],
    )


def befall(world: World, shop: Shop) -> None:
    """All that comes back for a reason of its own."""
    for _ in range(int(world.rng.integers(0, 3))):
        _returner(world, shop)
    if shop.web:
        _web_batches(world, shop)
    if world.rng.random() < 0.25:
        _wholesale(world, shop)
    for day in shop.evenings:
        if shop.is_open(day):
            _evening(world, shop, day)
    if shop.shop_id in world.recalled:
        _bring_recalled(world, shop, *world.recalled[shop.shop_id])


def _returner(world: World, shop: Shop) -> None:
    """One who buys every few days and brings every second purchase back, to the card that paid."""
    rng = world.rng
    card, customer = world.token(), f"M{rng.integers(10**8, 10**9)}"
    at: float = max(shop.first, -20) * DAY
    while True:
        at = some_time(world, shop, int(at // DAY) + int(rng.integers(1, 5)))
        day = int(at // DAY)
        if day >= world.days:
            break
        lines = basket(world, shop, day)
        sale = sell_apart(world, shop, at, lines)
        sale.card, sale.customer = card, customer
        if day >= 0:
            world.entries.append(sale)
        if rng.random() >= 0.55:
            continue
        back = some_time(world, shop, day + int(rng.integers(1, 6)))
        if 0 <= back < world.days * DAY:
            pay_back(
                world,
                shop,
                back,
                lines if rng.random() < 0.5 else lines[:1],
                tag="returner",
                original=sale.transaction_id if rng.random() < 0.92 else None,
                tender=sale.tender,
                card=card,
                customer=customer,
            )
    world.happens(shop.shop_id, "returner", -1, world.days)


def _web_batches(world: World, shop: Shop) -> None:
    """What came by post, booked in one go before the doors open, of orders that no till knows."""
    rng, web = world.rng, shop.web
    if web is None:
        return
    for day in range(max(0, web.begins, shop.first), world.days):
        if not shop.is_open(day):
            continue
        for place in range(rng.poisson(web.daily * (1.6 if weekday(day) == 0 else 0.9))):
            rng.integers(len(shop.cards))  # not used; without it all that follows would differ
            lines = basket(world, shop, day)[:1]
            pay_back(
                world,
                shop,
                day * DAY + web.hour * 3600 + place * rng.uniform(20, 90),
                lines,
                tag="web_batch",
                till=("BO", "WEB"),
                original=f"WEB-{rng.integers(10**7, 10**8)}",
                tender=world.chain.tenders[0],
                card=world.token(),
                reason="online",
            )


def _wholesale(world: World, shop: Shop) -> None:
    """A business buys dozens of one article, and brings all or half of them back within days."""
    rng, chain = world.rng, world.chain
    at = some_time(world, shop, int(rng.integers(5, world.days - 8)))
    day = int(at // DAY)
    if not shop.first < day < world.days:
        return
    article = shop.pool[rng.integers(250)]
    price = int(world.prices[article])
    money = rng.uniform(12, 40) * 25 * chain.scale * chain.unit
    count = int(max(12, money / price))
    line = Line(world.items[article], world.categories[article], count, price)
    sale = sell_apart(world, shop, at, [line])
    sale.card, sale.customer = world.token(), f"B{rng.integers(10**5, 10**6)}"
    world.entries.append(sale)
    back = some_time(world, shop, day + int(rng.integers(1, 8)))
    if back < world.days * DAY:
        returned = count if rng.random() < 0.6 else max(1, count // 2)
        pay_back(
            world,
            shop,
            back,
            [line._replace(quantity=returned)],
            tag="wholesale",
            original=sale.transaction_id,
            tender=sale.tender,
            card=sale.card,
            customer=sale.customer,
        )
    world.happens(shop.shop_id, "wholesale", day, int(back // DAY) + 1)


def _evening(world: World, shop: Shop, day: int) -> None:
    """An evening with open doors: sales until late, and a few refunds among them."""
    rng, sales = world.rng, shop.sales
    for _ in range(rng.poisson(shop.sales_a_day * shop.refund_share * 0.12)):
        sale = sales[rng.integers(max(0, len(sales) - 3000), len(sales))]
        at = day * DAY + (shop.closes + rng.uniform(0, 3)) * 3600
        if 0 <= sale.at < at and sale.transaction_id not in shop.used:
            give_back(world, shop, sale, at, "evening_event")


def call_back(world: World) -> None:
    """Two articles are recalled, each in some of the shops that sell it."""
    rng = world.rng
    for _ in range(2):
        day, article = int(rng.integers(15, world.days - 3)), int(rng.integers(3, 30))
        for shop in world.shops:
            if article in shop.pool and shop.first < day and rng.random() < 0.3:
                world.recalled[shop.shop_id] = (day, world.items[article])
                world.happens(shop.shop_id, "recall", day, day + 2)


def _bring_recalled(world: World, shop: Shop, day: int, item: str) -> None:
    """Up to sixty customers bring the recalled article back, nearly all on its day."""
    rng = world.rng
    bought = [
        sale
        for sale in shop.sales
        if sale.at < day * DAY
        and sale.transaction_id not in shop.used
        and any(line.item == item for line in sale.lines)
    ]
    share = min(0.35, 60 / max(1, len(bought)))
    for sale in bought:
        if rng.random() >= share:
            continue
        at = some_time(world, shop, day + (rng.random() < 0.25))
        if at < world.days * DAY:
            shop.used.add(sale.transaction_id)
            pay_back(
                world,
                shop,
                at,
                [line for line in sale.lines if line.item == item][:1],
                tag="recall",
                original=sale.transaction_id if rng.random() < 0.93 else None,
                tender=sale.tender,
                card=sale.card,
                customer=sale.customer,
                reason="recall",
            )
