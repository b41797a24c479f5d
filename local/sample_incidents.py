"""Thieves in the sample stream: campaigns of fraudulent refunds, of every kind that pays.

Their refunds are made of what usual ones are made of: the shop's articles and price points, its
real receipts as well as none, its cards, reasons and tills. Only what a campaign does too much of
tells it apart.
"""

from collections.abc import Callable
from random import Random

import msgspec

from events.instant import HOUR, MINUTE, SECOND, Instant
from local.sample_goods import goods_worth
from local.sample_receipts import receipt_below, show_old_receipt
from local.sample_shops import Shop, new_card
from local.sample_trade import Day, Draft, Trade, draw_count, draw_reason

KINDS = (
    "burst",
    "cashier_drip",
    "huge_refund",
    "same_card",
    "after_closing",
    "under_limit",
    "creeping_rate",
)

MORE_KINDS = ("same_receipt", "same_customer", "above_sale", "late_return")
"""Kinds that a stream has only if they are asked for."""

_DAYS = {
    # kind: how many days it lasts, least and most
    "burst": (1, 1),
    "cashier_drip": (6, 20),
    "huge_refund": (1, 1),
    "same_card": (1, 6),
    "after_closing": (1, 3),
    "under_limit": (1, 5),
    "creeping_rate": (6, 9),
    "same_receipt": (1, 5),
    "same_customer": (2, 8),
    "above_sale": (1, 8),
    "late_return": (1, 8),
}


class Campaign(msgspec.Struct):
    """One thief at one shop from `first_day` for `days`; `label` goes onto its refunds.

    `greed` scales how much is taken, `receipts` is the share that goes over a real receipt,
    `loyalty` the share that goes over one cashier's till, `intensity` how many refunds there are,
    and how large a huge one is, against the usual. Cashier and card are found on the way.
    """

    label: str
    kind: str
    shop_id: str
    first_day: int
    days: int
    greed: float
    receipts: float
    loyalty: float
    intensity: float = 1.0
    cashier_id: str | None = None
    card: str | None = None
    customer_id: str | None = None
    sale: Draft | None = None


def plan_campaigns(
    rng: Random,
    shops: list[Shop],
    days: int,
    warm_up_days: int,
    per_shop_week: float,
    intensity: float = 1.0,
    of_kinds: tuple[str, ...] = KINDS,
) -> list[Campaign]:
    """Campaigns `of_kinds` alike, at random shops and days, never two at one shop at a time.

    The same campaigns whatever the `intensity`; only how much each takes differs.
    """
    count = round(per_shop_week * len(shops) * max(0, days - warm_up_days) / 7)
    kinds = [of_kinds[number % len(of_kinds)] for number in range(count)]
    rng.shuffle(kinds)
    taken: dict[str, list[tuple[int, int]]] = {}
    campaigns: list[Campaign] = []
    for kind in kinds:
        for _ in range(50):  # tries to find a shop that is free; without one the campaign is off
            shop = rng.choice(shops)
            shortest, longest = _DAYS[kind]
            first = rng.randrange(warm_up_days, max(warm_up_days + 1, days - shortest + 1))
            last = min(days, first + rng.randint(shortest, longest)) - 1
            free = all(
                last + 2 < start or end + 2 < first for start, end in taken.get(shop.shop_id, [])
            )
            fits = kind != "under_limit" or shop.approval_limit is not None
            if free and fits and first >= shop.opens_on + 3:
                break
        else:
            continue
        taken.setdefault(shop.shop_id, []).append((first, last))
        campaigns.append(
            Campaign(
                label=f"c{len(campaigns):03}:{kind}",
                kind=kind,
                shop_id=shop.shop_id,
                first_day=first,
                days=last - first + 1,
                greed=rng.uniform(0.7, 1.5),
                receipts=rng.choice((0.0, 0.3, 0.6, 0.9)),
                loyalty=rng.choice((0.6, 0.9, 1.0)),
                intensity=intensity,
            )
        )
    return campaigns


def campaign_day(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """What the campaign takes that day, drawn from the generator of `trade`."""
    return _TAKE[campaign.kind](campaign, trade, day)


def _steal(
    campaign: Campaign,
    trade: Trade,
    day: Day,
    occurred_at: Instant,
    till: tuple[str, str],
    amounts: tuple[int, int],
) -> Draft:
    """One refund worth about so much, for goods that were sold, with the receipt or without."""
    rng = trade.rng
    lines, sale = goods_worth(trade, amounts, before=occurred_at - 5 * MINUTE)
    receipt = None
    if sale is not None and rng.random() < campaign.receipts:
        trade.receipts.remove(sale)
        receipt = sale
    card = campaign.card
    method = "CASH" if card is None else "CARD"
    if card is None and rng.random() < 0.6:  # cash as well as cards
        method, card = ("GIFT_CARD", None) if rng.random() < 0.06 else ("CARD", new_card(rng))
    return Draft(
        shop=trade.shop,
        occurred_at=occurred_at,
        offset_minutes=day.offset_minutes,
        type="REFUND",
        register_id=till[1],
        cashier_id=till[0],
        lines=lines,
        method=method,
        card=card,
        customer_id=receipt.customer_id if receipt else None,
        original=receipt,
        reason=draw_reason(rng),
        label=campaign.label,
    )


def _till(campaign: Campaign, trade: Trade, day: Day, hour: int) -> tuple[str, str]:
    """The thief's own till if he works in that hour, now and then a colleague's."""
    if campaign.cashier_id is None:
        campaign.cashier_id = day.cashier(trade.rng, hour)[0]
    if trade.rng.random() < campaign.loyalty:
        for till in day.on_shift[hour]:
            if till[0] == campaign.cashier_id:
                return till
    return day.cashier(trade.rng, hour)


def _times(usual: float, campaign: Campaign) -> int:
    return round(usual * campaign.intensity)


def _usual(trade: Trade, greed: float) -> tuple[int, int]:
    """About what a usual refund is worth, as least and most."""
    target = max(100.0, trade.shop.typical_basket * greed * trade.rng.lognormvariate(0.4, 0.5))
    return int(target / 1.25), int(target * 1.25)


def _at_random_hours(
    campaign: Campaign, trade: Trade, day: Day, amounts: list[tuple[int, int]]
) -> list[Draft]:
    drafts = []
    for wanted in amounts:
        hour = day.staffed_hour(trade.rng)
        till = _till(campaign, trade, day, hour)
        drafts.append(_steal(campaign, trade, day, day.moment(trade.rng, hour), till, wanted))
    return drafts


def _burst(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """Many refunds within an hour or two."""
    rng = trade.rng
    span = rng.randint(30, 120) * MINUTE
    latest = day.midnight + day.closes * HOUR
    start = min(day.moment(rng, day.staffed_hour(rng)), latest - span)
    drafts = []
    usual = rng.randint(6, 14) + int(trade.shop.sales_per_day / 80)
    for _ in range(_times(usual, campaign)):
        occurred_at = start + int(rng.random() * span) // 1_000 * 1_000
        hour = min(23, (occurred_at - day.midnight) // HOUR)
        till = _till(campaign, trade, day, hour)
        drafts.append(
            _steal(campaign, trade, day, occurred_at, till, _usual(trade, campaign.greed))
        )
    return drafts


def _cashier_drip(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """One cashier, a few too many refunds on every day of work."""
    rng = trade.rng
    if campaign.cashier_id is None:
        _till(campaign, trade, day, day.staffed_hour(rng))
    hours = [
        hour
        for hour, staff in enumerate(day.on_shift)
        if any(cashier == campaign.cashier_id for cashier, _ in staff)
    ]
    if not hours:
        return []
    usual = max(1.2, 2.0 * (trade.shop.sales_per_day / 100) ** 0.5)
    drafts = []
    for _ in range(max(1, draw_count(rng, campaign.intensity * campaign.greed * usual))):
        hour = rng.choice(hours)
        till = next(pair for pair in day.on_shift[hour] if pair[0] == campaign.cashier_id)
        drafts.append(_steal(campaign, trade, day, day.moment(rng, hour), till, _usual(trade, 1.0)))
    return drafts


def _huge_refund(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """One refund far larger than any of the shop's."""
    shop, greed = trade.shop, max(campaign.greed, 1.0)
    dearest = max(item.price for item in shop.items)
    target = max(
        int(shop.typical_basket * 25 * campaign.greed),
        int(shop.typical_return * 16 * greed),
        int(dearest * trade.rng.uniform(2, 4) * greed),
    )
    target = int(target * campaign.intensity)
    return _at_random_hours(campaign, trade, day, [(int(target * 0.9), int(target * 1.2))])


def _same_card(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """The same card again and again."""
    rng = trade.rng
    if campaign.card is None:
        regular = rng.choice(trade.shop.regulars)
        campaign.card = rng.choice((regular.card, new_card(rng)))
    count = max(1, _times(rng.randint(5, 12) / campaign.days, campaign))
    return _at_random_hours(
        campaign, trade, day, [_usual(trade, campaign.greed) for _ in range(count)]
    )


def _same_receipt(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """One receipt, taken again and again, in cash; the till does not ask whether it was."""
    rng = trade.rng
    if campaign.sale is None:
        campaign.sale = trade.take_receipt()
    drafts = []
    for _ in range(max(1, _times(rng.randint(4, 8) / campaign.days, campaign))):
        (draft,) = _at_random_hours(campaign, trade, day, [_usual(trade, campaign.greed)])
        if campaign.sale is not None and campaign.sale.occurred_at < draft.occurred_at:
            draft.lines, draft.original = campaign.sale.lines, campaign.sale
        drafts.append(draft)
    return drafts


def _same_customer(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """One customer's number on refunds in cash, which nobody holds against a card."""
    rng = trade.rng
    if campaign.customer_id is None:
        named = [one.customer_id for one in trade.shop.regulars if one.customer_id is not None]
        campaign.customer_id = rng.choice(named)
    count = max(1, _times(rng.randint(6, 12) / campaign.days, campaign))
    amounts = [_usual(trade, campaign.greed) for _ in range(count)]
    drafts = _at_random_hours(campaign, trade, day, amounts)
    for draft in drafts:
        draft.method, draft.card, draft.customer_id = "CASH", None, campaign.customer_id
    return drafts


def _by_receipt(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """Receipts over which more goes back than they brought, or that have lain about for long."""
    campaign.receipts = 0.0
    count = max(1, _times(trade.rng.randint(5, 10) / campaign.days, campaign))
    amounts = [_usual(trade, campaign.greed) for _ in range(count)]
    drafts = _at_random_hours(campaign, trade, day, amounts)
    for draft in drafts:
        if campaign.kind == "above_sale":
            draft.original = receipt_below(trade, draft)
        else:
            show_old_receipt(trade, day, draft)
    return drafts


def _after_closing(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """Refunds when the doors are shut."""
    rng = trade.rng
    till = _till(campaign, trade, day, day.closes - 1)
    closing = day.midnight + day.closes * HOUR
    latest = min(120 * MINUTE, day.midnight + 24 * HOUR - SECOND - closing)
    drafts = []
    for _ in range(_times(rng.randint(3, 6), campaign)):
        occurred_at = closing + int(rng.uniform(min(20 * MINUTE, latest), latest)) // 1_000 * 1_000
        drafts.append(
            _steal(campaign, trade, day, occurred_at, till, _usual(trade, campaign.greed))
        )
    return drafts


def _under_limit(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """Refunds that nobody else has to approve, only just."""
    limit = trade.shop.approval_limit or 0
    count = max(1, _times(trade.rng.randint(6, 14) / campaign.days, campaign))
    amounts = (int(limit * 0.86), int(limit * 0.999))
    return _at_random_hours(campaign, trade, day, [amounts] * count)


def _creeping_rate(campaign: Campaign, trade: Trade, day: Day) -> list[Draft]:
    """A few more every day, by several people."""
    campaign.loyalty = min(campaign.loyalty, 0.4)
    usual = max(2.0, trade.shop.sales_per_day * trade.shop.refund_share)
    step = day.number - campaign.first_day + 1
    more = usual * campaign.greed * campaign.intensity
    count = draw_count(trade.rng, more * 1.6 * step / campaign.days)
    return _at_random_hours(campaign, trade, day, [_usual(trade, 1.0) for _ in range(count)])


_TAKE: dict[str, Callable[[Campaign, Trade, Day], list[Draft]]] = {
    "burst": _burst,
    "cashier_drip": _cashier_drip,
    "huge_refund": _huge_refund,
    "same_card": _same_card,
    "after_closing": _after_closing,
    "under_limit": _under_limit,
    "creeping_rate": _creeping_rate,
    "same_receipt": _same_receipt,
    "same_customer": _same_customer,
    "above_sale": _by_receipt,
    "late_return": _by_receipt,
}
