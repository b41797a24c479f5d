"""What is out of the ordinary in the sample stream and nobody's fault: no page is wanted for it."""

from random import Random

import msgspec

from events.instant import HOUR, MINUTE, SECOND
from local.sample_receipts import OLD_DAYS, at_shelf_price
from local.sample_shops import Shop
from local.sample_trade import Day, Draft, Mood, Trade, draw_count, draw_reason

KINDS = (
    "sale_day",
    "holiday_returns",
    "new_policy",
    "evening_event",
    "recall",
    "outage",
    "offline_till",
    "wholesale",
)

MORE_KINDS = ("price_difference", "long_returns")
"""Kinds that a stream has only if they are asked for."""

_CHAIN_WIDE = frozenset({"holiday_returns", "recall", "long_returns"})
_PER_SHOP_WEEK = {
    "sale_day": 0.1,
    "new_policy": 0.02,
    "evening_event": 0.08,
    "outage": 0.06,
    "offline_till": 0.2,
    "wholesale": 0.25,
    "price_difference": 0.15,
}


LONG_RETURNS_DAYS = (8, 10, 14)
"""How long what was given for a holiday may be brought back, however old the receipt."""


class Occasion(msgspec.Struct, frozen=True):
    """One of `KINDS` or `MORE_KINDS` on some days, at one shop or (`shop_id` None) at all.

    `size` scales it.
    """

    kind: str
    shop_id: str | None
    first_day: int
    days: int
    size: float

    def holds(self, shop_id: str, number: int) -> bool:
        """Whether it touches that shop on that day."""
        here = self.shop_id is None or self.shop_id == shop_id
        return here and self.first_day <= number < self.first_day + self.days


def plan_occasions(
    rng: Random,
    shops: list[Shop],
    days: int,
    often: float = 1.0,
    more_kinds: tuple[str, ...] = (),
) -> list[Occasion]:
    """Occasions of every kind over the whole stream, chain-wide ones about once in four weeks.

    `often` is how many there are of them, against the usual; `more_kinds` come after the others,
    and so change none of them.
    """
    occasions = []
    for kind in (*KINDS, *more_kinds):
        if kind in _CHAIN_WIDE:
            count = draw_count(rng, often * days / 28)
        else:
            count = draw_count(rng, often * _PER_SHOP_WEEK[kind] * len(shops) * days / 7)
        for _ in range(count):
            first = rng.randrange(days)
            lasts = LONG_RETURNS_DAYS if kind == "long_returns" else (1, 1, 2)
            occasions.append(
                Occasion(
                    kind=kind,
                    shop_id=None if kind in _CHAIN_WIDE else rng.choice(shops).shop_id,
                    first_day=first,
                    days=days - first if kind == "new_policy" else rng.choice(lasts),
                    size=rng.uniform(0.7, 1.3),
                )
            )
    return occasions


def mood_of(occasions: list[Occasion], shop: Shop, weekday: int) -> Mood:
    """What these occasions, all of one shop's day, make of it."""
    mood = Mood()
    hours = shop.hours[weekday]
    for occasion in occasions:
        if occasion.kind == "sale_day":
            mood.sales *= 1 + 1.5 * occasion.size
            mood.returns *= 1.2
            mood.brought_back *= 1 + occasion.size
        elif occasion.kind == "holiday_returns":
            mood.brought_back *= 1 + 1.6 * occasion.size
        elif occasion.kind == "new_policy":
            mood.returns *= 1 + 0.5 * occasion.size
            mood.brought_back *= 1 + 0.2 * occasion.size
        elif occasion.kind == "evening_event" and hours:
            mood.sales *= 1.2
            mood.open_until = min(23, hours[1] + 3)
    return mood


def extra_trade(occasions: list[Occasion], trade: Trade, day: Day) -> list[Draft]:
    """Transactions that usual business would not have: wholesale, recalls, online returns."""
    drafts = []
    for occasion in occasions:
        if occasion.kind == "wholesale" and trade.shop.wholesale:
            drafts.append(_wholesale(occasion, trade, day))
        elif occasion.kind == "recall":
            drafts += _recall(trade, day)
        elif occasion.kind == "price_difference":
            drafts += _price_differences(occasion, trade, day)
        elif occasion.kind == "long_returns":
            drafts += _long_returns(occasion, trade, day)
    if trade.shop.books_online_returns:
        drafts += _online_returns(trade, day)
    return drafts


def _wholesale(occasion: Occasion, trade: Trade, day: Day) -> Draft:
    """A large order, of which half come back within days, on the same card and with the receipt."""
    rng = trade.rng
    hour = day.staffed_hour(rng)
    order = trade.sale(day, day.moment(rng, hour), hour)
    buyer = trade.shop.regulars[0]
    item = rng.choice(trade.shop.items)
    order.lines = ((item, int(rng.randint(20, 80) * occasion.size) + 1, item.price),)
    order.method, order.card, order.customer_id = "CARD", buyer.card, buyer.customer_id
    if rng.random() < 0.5:
        trade.bring_back(order, day.number + rng.randint(1, 10))
    return order


def _recall(trade: Trade, day: Day) -> list[Draft]:
    """Everybody brings the same article back, with the receipt: many customers, one price."""
    rng = trade.rng
    counts: dict[str, int] = {}
    for sale in trade.receipts:
        counts[sale.lines[0][0].item_id] = counts.get(sale.lines[0][0].item_id, 0) + 1
    if not counts:
        return []
    recalled = max(counts, key=lambda item_id: (counts[item_id], item_id))
    drafts = []
    for sale in [sale for sale in trade.receipts if sale.lines[0][0].item_id == recalled]:
        trade.receipts.remove(sale)
        hour = day.staffed_hour(rng)
        refund = trade.refund(day, day.moment(rng, hour), hour, sale)
        refund.lines, refund.original, refund.reason = sale.lines[:1], sale, "FAULTY"
        drafts.append(refund)
    return drafts


def _price_differences(occasion: Occasion, trade: Trade, day: Day) -> list[Draft]:
    """After a sale day the tills pay back what the goods cost now, which is more than was paid."""
    drafts = []
    for _ in range(1 + draw_count(trade.rng, occasion.size * trade.shop.sales_per_day * 0.01)):
        sale = trade.take_receipt()
        if sale is not None:
            drafts.append(_with_receipt(trade, day, sale))
            drafts[-1].lines = at_shelf_price(trade, sale)
    return drafts


def _long_returns(occasion: Occasion, trade: Trade, day: Day) -> list[Draft]:
    """What was bought long ago to be given away, and may still be brought back."""
    shop = trade.shop
    drafts = []
    usual = shop.sales_per_day * shop.refund_share
    for _ in range(draw_count(trade.rng, 0.3 * occasion.size * usual)):
        sale = trade.drawer.take(trade.rng, until=day.number - OLD_DAYS)
        if sale is not None:
            drafts.append(_with_receipt(trade, day, sale))
    return drafts


def _with_receipt(trade: Trade, day: Day, sale: Draft) -> Draft:
    hour = day.staffed_hour(trade.rng)
    refund = trade.refund(day, day.moment(trade.rng, hour), hour, sale)
    refund.original = sale
    return refund


def _online_returns(trade: Trade, day: Day) -> list[Draft]:
    """What came back by post, booked by one person in the first hour."""
    rng = trade.rng
    till = day.cashier(rng, day.opens)
    start = day.midnight + day.opens * HOUR
    drafts = []
    for _ in range(draw_count(rng, 2 + trade.shop.sales_per_day * 0.015)):
        sale = trade.take_receipt()
        if sale is None or sale.occurred_at >= start:
            continue
        start += int(rng.uniform(40_000, 200_000)) * (SECOND // 1_000)
        refund = trade.refund(day, start, day.opens, sale)
        refund.cashier_id, refund.register_id, refund.original = till[0], till[1], sale
        refund.reason = draw_reason(rng)
        drafts.append(refund)
    return drafts


def delay_deliveries(occasions: list[Occasion], drafts: list[Draft], day: Day, rng: Random) -> None:
    """Say of every draft how long its delivery takes: seconds, or until a line is up again."""
    for draft in drafts:
        draft.delay = int((0.2 + rng.expovariate(1.0)) * 1_000) * (SECOND // 1_000)
    for occasion in occasions:
        if occasion.kind not in {"outage", "offline_till"}:
            continue
        hours = rng.uniform(0.5, 2.0) if occasion.kind == "outage" else rng.uniform(1.0, 9.0)
        start = day.moment(rng, day.staffed_hour(rng))
        end = start + int(hours * occasion.size * HOUR)
        register = drafts[0].register_id if drafts and occasion.kind == "offline_till" else None
        held = [
            draft
            for draft in drafts
            if start <= draft.occurred_at < end and register in {None, draft.register_id}
        ]
        for place, draft in enumerate(held):
            draft.delay = end - draft.occurred_at + place * (SECOND // 50)


def delivered_again(rng: Random, draft: Draft) -> int | None:
    """After how long a producer that saw no answer sends `draft` again; None: it saw one."""
    share = 0.03 if draft.delay > MINUTE else 0.002
    return int(rng.uniform(1, 120) * SECOND) if rng.random() < share else None
