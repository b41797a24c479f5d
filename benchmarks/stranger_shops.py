"""The shops of another hand's streams: no two alike in size, hours, staff, customers and habits.

Which occasions a shop will have is settled here: a returns desk, a first day within the stream, a
sale day, a looser policy, an article just under the approval limit, returns by post that are booked
in the morning, an evening with open doors.
"""

import math
from zoneinfo import ZoneInfo

import numpy as np

from benchmarks.stranger_chain import (
    ARTICLES,
    BEFORE,
    Promotion,
    Shift,
    Shop,
    Web,
    World,
)


def open_shop(world: World, place: int) -> Shop:
    """The chain's next shop. The last two of usual size open in the middle of the stream."""
    shop = _building(world, place)
    _hire(world, shop)
    if place >= world.draw.shops - 2 and not world.draw.small:
        shop.first = int(world.rng.integers(12, 26))
        world.happens(shop.shop_id, "new_shop", shop.first, shop.first + 10)
    _win_customers(world, shop)
    _lift_days(world, shop)
    _set_limit(world, shop)
    _take_habits(world, shop)
    for day in range(-BEFORE, world.days + 1):
        shop.rota[day] = _shifts(world, shop, day)
    return shop


def _building(world: World, place: int) -> Shop:
    """20 to 700 sales a day, to 60 in a small one; 2 to 6 of 100 come back, most with receipt."""
    rng, ids = world.rng, world.chain.ids
    number = 100 + place * 7
    receipts = int(rng.integers(1000, 900_000))
    street = rng.bytes(3).hex()
    names = {"uuid": f"filiale-{street}", "date": f"US{number}", "ulid": f"{number}@west"}
    zone = ZoneInfo(world.chain.zones[rng.integers(len(world.chain.zones))])
    most = 60 if world.draw.small else 700
    sales_a_day = math.exp(rng.uniform(math.log(20), math.log(most)))
    refund_share, without_receipt = rng.uniform(0.02, 0.06), rng.uniform(0.04, 0.16)
    opens, closes = ((8, 20), (9, 18), (10, 21), (7, 22), (9.5, 19))[rng.integers(5)]
    sundays = rng.random() < 0.5
    weekdays = np.clip(rng.normal([0.85, 0.85, 0.9, 1, 1.25, 1.5, 0.7], 0.1), 0.4, 2)
    noon = (12.5 + rng.normal(0, 0.7), 1.7, 1.0)
    evening = (17.5 + rng.normal(0, 0.6), 1.4, rng.uniform(0.5, 1.5))
    return Shop(
        number=number,
        shop_id=names.get(ids, str(88_000 + number)),
        zone=zone,
        receipts=receipts,
        sales_a_day=sales_a_day,
        refund_share=refund_share,
        without_receipt=without_receipt,
        opens=opens,
        closes=closes,
        sundays=sundays,
        weekdays=weekdays / weekdays.mean(),
        peaks=(noon, evening),
    )


def _hire(world: World, shop: Shop) -> None:
    """Three to twelve cashiers, some new; some take back more than others, one at the desk most."""
    rng = world.rng
    wanted = round(3 + shop.sales_a_day / 60 + rng.normal(0, 1))
    count = int(np.clip(wanted, 3, 12))
    shop.staff = [
        rng.bytes(4).hex() if world.chain.ids == "uuid" else f"E{rng.integers(10_000, 99_999)}"
        for _ in range(count)
    ]
    shop.refund_weights = rng.gamma(4, 0.25, count)
    if count > 4 and rng.random() < 0.3:
        shop.refund_weights[0] *= 6
        world.happens(shop.shop_id, "service_desk", -1, world.days)
    shop.hired = np.where(rng.random(count) < 0.1, rng.integers(10, world.days, count), -BEFORE)
    shop.hired[:3] = -BEFORE
    registers = max(1, min(8, round(count / 1.8)))
    shop.registers = [f"T{register + 1:02d}" for register in range(registers)]


def _win_customers(world: World, shop: Shop) -> None:
    """Eighteen days' cards, a few of which buy often; four in ten belong to a known customer."""
    rng = world.rng
    shop.cards = [world.token() for _ in range(int(shop.sales_a_day * 18) + 40)]
    shop.customers = [
        f"M{rng.integers(10**8, 10**9)}" if rng.random() < 0.4 else None for _ in shop.cards
    ]
    weights = np.minimum(rng.pareto(1.6, len(shop.cards)) + 0.2, 20)
    shop.card_weights = weights / weights.sum()
    rng.uniform(0, 6)  # once said something; without it all that follows would be another stream
    shop.trend = rng.normal(0, 0.004)


def _lift_days(world: World, shop: Shop) -> None:
    """Days of more sales or more returns: the chain's, a sale day of the shop, a looser policy."""
    rng, refunds, sales = world.rng, shop.refund_lift, shop.sale_lift
    for day in range(world.sale.begins, world.sale.ends + 1):
        sales[day], refunds[day] = world.sale.lift, 1.4
    for day in range(world.holiday.begins, world.holiday.ends + 1):
        usual = refunds.get(day, 1)
        refunds[day] = usual * world.holiday.lift * rng.uniform(0.85, 1.15)
    if rng.random() < 0.35:
        begins = int(rng.integers(2, world.days - 2))
        lift = rng.uniform(1.7, 3)
        for day in range(begins, begins + int(rng.integers(1, 3))):
            sales[day] = lift
            refunds[day] = refunds.get(day, 1) * rng.uniform(1, 1.8)
        world.happens(shop.shop_id, "sale_day", begins, begins + 2)
    if rng.random() < 0.12:
        begins = int(rng.integers(15, world.days - 5))
        lift = rng.uniform(1.4, 1.8)
        for day in range(begins, world.days + 1):
            refunds[day] = refunds.get(day, 1) * lift
        world.happens(shop.shop_id, "policy", begins, world.days)


def _set_limit(world: World, shop: Shop) -> None:
    """A round approval limit of more than four articles' money, if there is such a one."""
    chain = world.chain
    shop.pool = world.rng.permutation(ARTICLES)[:250]
    shop.pool_weights = world.popularity[shop.pool] / world.popularity[shop.pool].sum()
    mean = float((world.prices[shop.pool] * shop.pool_weights).sum())
    for round_one in (50, 75, 100, 150, 200, 300):
        money = round_one * chain.scale
        step = 10 ** math.floor(math.log10(money)) // 10 or 1
        shop.limit = int(money * chain.unit / step) * step
        if shop.limit > 4 * mean:
            break


def _take_habits(world: World, shop: Shop) -> None:
    """An article just under the limit, returns by post, an evening: each in some shops."""
    rng = world.rng
    if rng.random() < 0.35:
        begins = int(rng.integers(-BEFORE, world.days - 8))
        ends = min(world.days, begins + int(rng.integers(10, 80)))
        price = int(shop.limit * rng.uniform(0.93, 0.999))
        shop.promotion = Promotion(begins, ends, price, rng.uniform(0.02, 0.07))
        world.happens(shop.shop_id, "price_point", begins, ends)
    if rng.random() < 0.25:
        always = rng.random() < 0.5
        begins = -BEFORE if always else int(rng.integers(10, world.days - 5))
        daily = max(2.0, shop.sales_a_day * shop.refund_share * rng.uniform(0.3, 0.8))
        shop.web = Web(begins, daily, shop.opens - rng.uniform(0.5, 1.5))
        world.happens(shop.shop_id, "web_batch", begins, world.days)
    if rng.random() < 0.25:
        day = int(rng.integers(10, world.days))
        shop.evenings.add(day)
        world.happens(shop.shop_id, "evening_event", day, day + 1)


def _shifts(world: World, shop: Shop, day: int) -> list[Shift]:
    """Who works that day: two at least, the early ones and the late ones, at a till each."""
    rng = world.rng
    have = [who for who in range(len(shop.staff)) if shop.hired[who] <= day]
    present = {who for who in have if rng.random() < 0.58}
    while len(present) < min(2, len(have)):
        present.add(have[rng.integers(len(have))])
    span = shop.closes - shop.opens
    early = (shop.opens, shop.opens + 0.62 * span)
    late = (shop.closes - 0.62 * span, shop.closes)
    return [
        Shift(
            who,
            *(early if place % 2 == 0 else late),
            shop.registers[place % len(shop.registers)],
        )
        for place, who in enumerate(sorted(present))
    ]
