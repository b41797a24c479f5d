"""The thieves of another hand's streams: cashiers, one of seven kinds each.

A thief shows a receipt of somebody else's sale or none, and takes cash or has the money booked to
one of a few cards of his. How often he does which is his style, and he keeps to it.
"""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from benchmarks.stranger_chain import DAY, Entry, Line, Shift, Shop, World
from benchmarks.stranger_trade import basket, pay_back


class Thief(msgspec.Struct):
    """A cashier who steals: when he works, how he goes about it, and what it is called."""

    world: World
    shop: Shop
    shift: Shift
    without_receipt: float
    cash: float
    cards: list[str]
    campaign: str
    kind: str


def steal(world: World) -> None:
    """All campaigns of the stream: every kind in turn, in any shop, from its ninth day on."""
    rng, draw = world.rng, world.draw
    count = round(draw.rate * len(world.shops) * world.days / 7)
    names = list(KINDS)
    kinds: list[str] = []
    while len(kinds) < count:
        kinds += [str(kind) for kind in rng.permutation(names)]
    for kind in kinds[:count]:
        shop = world.shops[rng.integers(len(world.shops))]
        for _ in range(20):
            day = int(rng.integers(max(3, shop.first + 8), world.days - 2))
            if shop.is_open(day):
                break
        world.campaigns += 1
        campaign = f"op-{draw.seed}-{world.campaigns}-{kind}"
        KINDS[kind](_thief(world, shop, day, campaign, kind), day)


def _thief(world: World, shop: Shop, day: int, campaign: str, kind: str) -> Thief:
    rng = world.rng
    shift = shop.rota[day][rng.integers(len(shop.rota[day]))]
    return Thief(
        world=world,
        shop=shop,
        shift=shift,
        without_receipt=float(rng.choice([0.25, 0.6, 0.95])),
        cash=float(rng.choice([0.1, 0.5, 0.95])),
        cards=[
            world.token() if rng.random() < 0.6 else shop.cards[rng.integers(len(shop.cards))]
            for _ in range(int(rng.integers(1, 4)))
        ],
        campaign=campaign,
        kind=kind,
    )


def _take(
    thief: Thief,
    at: float,
    shift: Shift | None = None,
    *,
    total: int | None = None,
    card: str | None = None,
    without_receipt: float | None = None,
) -> None:
    """One false refund: of a real sale its very lines, of `total` one article, else a basket."""
    world, shop, shift = thief.world, thief.shop, shift or thief.shift
    rng, tenders = world.rng, world.chain.tenders
    without = thief.without_receipt if without_receipt is None else without_receipt
    tender = tenders[1] if rng.random() < thief.cash else tenders[0]
    if card:
        tender = tenders[0]
    if tender == tenders[0]:
        card = card or thief.cards[rng.integers(len(thief.cards))]
    sale = None
    if rng.random() >= without and total is None:
        sale = _somebodys_sale(thief, at)
    if sale:
        shop.used.add(sale.transaction_id)
        lines = sale.lines
    elif total is not None:
        lines = [Line(world.items[rng.integers(400)], "hats", 1, total)]
    else:
        day = int(at // DAY)
        lines = basket(world, shop, day)
        if rng.random() < 0.5:
            lines = lines + basket(world, shop, day)[:1]
    own = rng.random() < 0.8
    register = shift.register if own else shop.registers[rng.integers(len(shop.registers))]
    refund = pay_back(
        world,
        shop,
        at,
        lines,
        tag="fraud",
        till=(register, shop.staff[shift.who]),
        tender=tender,
        card=card if tender == tenders[0] else None,
        original=sale.transaction_id if sale else None,
        reason=("unwanted", "damaged", None)[rng.integers(3)],
    )
    refund.campaign, refund.kind = thief.campaign, thief.kind


def _somebodys_sale(thief: Thief, at: float) -> Entry | None:
    """A sale of the last twelve days to show the receipt of: large, and paid in cash if it can."""
    shop, tenders = thief.shop, thief.world.chain.tenders
    looked_at = [shop.sales[place] for place in thief.world.rng.integers(0, len(shop.sales), 60)]
    fit = [
        sale
        for sale in looked_at
        if at - 12 * DAY < sale.at < at and sale.transaction_id not in shop.used
    ]
    best = [sale for sale in fit if sale.tender == tenders[1]] or fit
    return max(best[:3], key=lambda sale: sale.total) if best else None


def _on_duty(thief: Thief, day: int, shift: Shift) -> float:
    """Some moment of that shift."""
    ends = min(shift.ends, thief.shop.closes)
    return day * DAY + thief.world.rng.uniform(shift.begins, ends) * 3600


def _shifts_of(thief: Thief, day: int) -> list[Shift]:
    return [shift for shift in thief.shop.rota[day] if shift.who == thief.shift.who]


def burst(thief: Thief, day: int) -> None:
    """Many refunds within an hour or two, more than chance has there."""
    rng, shift = thief.world.rng, thief.shift
    span = rng.uniform(0.6, 2.0)
    usual = thief.shop.refunds_a_day / 10 * span
    more = 4 + 2.6 * math.sqrt(usual + 0.5) * rng.uniform(0.8, 1.4)
    latest = min(shift.ends, thief.shop.closes) - span
    begins = rng.uniform(shift.begins, max(shift.begins + 0.1, latest))
    for _ in range(round(more * thief.world.draw.strength)):
        _take(thief, day * DAY + (begins + rng.uniform(0, span)) * 3600)


def cashier_drip(thief: Thief, day: int) -> None:
    """One to three refunds on each working day for one to two and a half weeks."""
    world, shop = thief.world, thief.shop
    rng = world.rng
    length = int(rng.integers(6, 19))
    day = min(day, max(world.days - length, shop.first + 8, 3))
    days = range(max(0, day), min(world.days, day + length))
    there = sum(len(shop.rota[one]) for one in days) / length
    weight = shop.refund_weights[thief.shift.who]
    own = shop.refunds_a_day / there * weight / shop.refund_weights.mean()
    daily = 1.0 * rng.uniform(0.8, 1.6) + 0.7 * own + 0.5 * math.sqrt(own)
    for one in range(day, min(world.days, day + length)):
        mine = _shifts_of(thief, one)
        if mine and shop.is_open(one):
            for _ in range(rng.poisson(daily * world.draw.strength)):
                _take(thief, _on_duty(thief, one, mine[0]), mine[0])


def huge_refund(thief: Thief, day: int) -> None:
    """A single refund of more than the shop's largest, and of twelve middling ones at least."""
    world = thief.world
    innocent = [
        refund.total
        for refund in thief.shop.refunds
        if refund.campaign is None and refund.tag != "wholesale"
    ]
    totals = sorted(innocent) or [3000]
    top = totals[int(0.998 * (len(totals) - 1))] * world.rng.uniform(1.4, 3.5)
    total = int(max(top, totals[len(totals) // 2] * 12) * world.draw.strength)
    _take(thief, _on_duty(thief, day, thief.shift), total=total)


def same_card(thief: Thief, day: int) -> None:
    """Four to nine refunds to one card within up to nine days, sometimes of two cashiers."""
    world, shop = thief.world, thief.shop
    rng = world.rng
    count, span = int(rng.integers(4, 10)), int(rng.integers(1, 10))
    crew = {thief.shift.who}
    if rng.random() < 0.4:
        crew.add(int(rng.integers(len(shop.staff))))
    for _ in range(round(count * world.draw.strength)):
        one = min(world.days - 1, day + int(rng.integers(0, span)))
        mine = [shift for shift in shop.rota[one] if shift.who in crew]
        if not shop.is_open(one):
            one = day
        shift = (mine or shop.rota[one])[0]
        at = _on_duty(thief, one, shift)
        without = float(rng.choice([0.5, 0.9]))
        _take(thief, at, shift, card=thief.cards[0], without_receipt=without)


def after_closing(thief: Thief, day: int) -> None:
    """Three to seven refunds in the two hours after closing, in one night or up to three."""
    world, shop = thief.world, thief.shop
    rng = world.rng
    nights = int(rng.integers(1, 4))
    for _ in range(round(int(rng.integers(3, 8)) * world.draw.strength)):
        one = min(world.days - 1, day + int(rng.integers(0, nights)))
        if not shop.is_open(one):
            one = day
        _take(thief, one * DAY + (shop.closes + rng.uniform(0.25, 2.2)) * 3600)


def under_limit(thief: Thief, day: int) -> None:
    """Five to ten refunds of 93 to 99.9 of 100 of the approval limit, within a week."""
    world, shop = thief.world, thief.shop
    rng, chain = world.rng, world.chain
    span = int(rng.integers(1, 7))
    for _ in range(round(int(rng.integers(5, 11)) * world.draw.strength)):
        one = min(world.days - 1, day + int(rng.integers(0, span)))
        mine = _shifts_of(thief, one)
        if not shop.is_open(one) or not mine:
            one, mine = day, [thief.shift]
        total = int(shop.limit * rng.uniform(0.93, 0.999))
        if rng.random() < 0.5:
            total -= total % max(1, int(chain.scale * chain.unit / 20))
        _take(thief, _on_duty(thief, one, mine[0]), mine[0], total=total)


def creeping_rate(thief: Thief, day: int) -> None:
    """Up to three cashiers take more each day for eight days."""
    world, shop = thief.world, thief.shop
    rng, usual = world.rng, shop.refunds_a_day
    day = min(day, world.days - 8)
    peak = (1 + 2.0 * math.sqrt(usual) + 0.5 * usual) * rng.uniform(0.8, 1.2)
    peak *= world.draw.strength
    crew = [shift.who for shift in shop.rota[day]][: int(rng.integers(1, 4))]
    for passed in range(8):
        one = day + passed
        if not shop.is_open(one):
            continue
        for _ in range(rng.poisson(peak * (passed + 1) / 8)):
            mine = [shift for shift in shop.rota[one] if shift.who in crew] or shop.rota[one]
            shift = mine[rng.integers(len(mine))]
            _take(thief, _on_duty(thief, one, shift), shift)


KINDS: Mapping[str, Callable[[Thief, int], None]] = MappingProxyType(
    {
        "burst": burst,
        "cashier_drip": cashier_drip,
        "huge_refund": huge_refund,
        "same_card": same_card,
        "after_closing": after_closing,
        "under_limit": under_limit,
        "creeping_rate": creeping_rate,
    }
)
"""By name; the order is the one they are drawn in."""
