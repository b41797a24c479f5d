"""What a refund may be a sign of: each explanation with its evidence."""

from collections import Counter
from collections.abc import Iterable
from functools import partial
from math import exp

from anomaly.cashiers import SHAPE as CASHIER_SHAPE
from anomaly.marks import WITHOUT_RECEIPT, hits_of
from anomaly.repeats import SHAPE as REPEATS_SHAPE
from anomaly.repeats import Repeats
from anomaly.shop import RETURN_WEIGHT, Shop
from anomaly.state import Recent
from anomaly.surprise import surprise_of_count
from anomaly.suspicion import Suspicion
from anomaly.words import money, number, weekday_hour
from events.instant import DAY, HOUR, MINUTE, WEEK, Instant
from events.transaction import Transaction

BURST: Instant = 2 * HOUR
SPANS: dict[Instant, str] = {BURST: "two hours", DAY: "a day"}
"""How far back refunds are counted one by one, in event time, and how that is said."""

VOLUME_IN = {window: f"volume in {span}" for window, span in SPANS.items()}
CASHIER_IN = {window: f"cashier in {span}" for window, span in SPANS.items()}
"""The channels of such counts."""

VOLUME_NATS_MIN = 1.0
"""As many as usual is no volume, whatever else is odd about them."""

VOLUME_MIN = 4
CASHIER_MIN = 3
CARD_MIN = 3
WEEK_MIN = 12
"""Fewer refunds than these are no pattern, however quiet the shop."""

EXPECTED_MIN = 0.15
"""No expectation of a window is trusted below this."""

RECALL_PART = 0.4
RECALL_WEIGHT = 0.4
"""If more than this part of the refunds have a receipt and one price, a product is being recalled,
and their number weighs less."""


def suspicions(shop: Shop, transaction: Transaction, refund: Recent) -> list[Suspicion]:
    """All that `refund`, the newest that `shop` remembers, may be a sign of."""
    offset = transaction.utc_offset_minutes * MINUTE
    found = [_of_amount(shop, transaction, refund)]
    at, cashier = refund.at, refund.cashier
    day_ago = at - DAY
    of_a_day = [one for one in shop.state.recent if day_ago < one.at <= at]
    mine = [] if cashier is None else [one for one in of_a_day if one.cashier == cashier]
    part = _part(shop, refund) if len(mine) >= CASHIER_MIN else 0.0
    for window in SPANS:
        since = at - window
        inside = [one for one in of_a_day if since < one.at] if window < DAY else of_a_day
        if len(inside) < CASHIER_MIN:  # no pattern, whatever is expected
            continue
        expected = max(shop.rate.expected(since + offset, at + offset), EXPECTED_MIN)
        volume = _of_volume(shop, window, inside, expected)
        if volume is not None:
            volume.usual = partial(_usual, shop, at + offset, window, expected)
            found.append(volume)
        if cashier is not None and len(mine) >= CASHIER_MIN:
            burst = [one for one in mine if since < one.at]
            found += _of_cashier_burst(shop, cashier, window, burst, expected * part)
    found += _of_week(shop)
    found += _of_cashier_weeks(shop, refund)
    found += _of_repeats(shop, refund, "card", refund.card, shop.cards)
    receipt = transaction.original_transaction_id
    found += _of_repeats(shop, refund, "receipt", receipt, shop.receipts)
    return found


def _free(shop: Shop, refunds: Iterable[Recent], entity: str, window: Instant) -> list[Recent]:
    """Those of `refunds` that no incident has told of, other than the open one they go on from."""
    own = [
        incident.page_id
        for incident in shop.state.incidents
        if incident.entity_id == entity and incident.window == window
    ]
    return [one for one in refunds if not one.incident or one.incident in own]


def _of_amount(shop: Shop, transaction: Transaction, refund: Recent) -> Suspicion:
    known = shop.refund_amounts.usual()
    usual, total = exp(known[0]), float(refund.total)
    nats = 0.0
    if transaction.currency == shop.state.currency:
        nats = shop.refund_amounts.score(refund.total, known)
        if shop.returns_large_sale(transaction):
            nats *= RETURN_WEIGHT
    return Suspicion(
        channel="amount",
        reason="amount",
        entity_kind="shop",
        entity_id=shop.id,
        window=0,
        observed=total,
        expected=usual,
        refunds=[refund],
        parts=[
            ("amount", nats, usual, total, "minor units"),
            *shop.marks.parts([hits_of((refund,))[0], 0.0, 0.0], 1.0),
        ],
        usual=lambda: f"a usual refund there is {money(usual, shop.state.currency)}",
    )


def _of_volume(
    shop: Shop, window: Instant, inside: list[Recent], expected: float
) -> Suspicion | None:
    refunds = _free(shop, inside, shop.id, window)
    count = float(len(refunds))
    if count < VOLUME_MIN:
        return None
    nats = surprise_of_count(count, expected, shop.rate.shape())
    if nats >= VOLUME_NATS_MIN:  # a recall can only make it weigh less
        nats *= _recalled(refunds)
    if nats < VOLUME_NATS_MIN:
        return None
    return Suspicion(
        channel=VOLUME_IN[window],
        reason="volume",
        entity_kind="shop",
        entity_id=shop.id,
        window=window,
        observed=count,
        expected=expected,
        refunds=refunds,
        parts=[
            ("volume", nats, expected, count, "refunds"),
            *shop.marks.parts(hits_of(refunds), count),
        ],
    )


def _recalled(refunds: list[Recent]) -> float:
    """What the number of `refunds` weighs: less if they look like a recall."""
    prices = [one.total for one in refunds if not one.marks & WITHOUT_RECEIPT]
    enough = max(RECALL_PART * len(refunds), 2)
    if len(prices) - len(set(prices)) + 1 <= enough:  # no price comes more often than that
        return 1.0
    return RECALL_WEIGHT if max(Counter(prices).values()) > enough else 1.0


def _usual(shop: Shop, local: Instant, window: Instant, expected: float) -> str:
    if window == BURST:
        hour = local // HOUR
        return f"usual for {weekday_hour(hour)} is {number(shop.rate.rate(hour))}"
    return f"usual for a day is {number(expected)}"


def _part(shop: Shop, refund: Recent) -> float:
    """The part of the shop's refunds that is usual for the cashier of `refund`."""
    part = shop.cashiers.part(refund.cashier or "", shop.state.sales_today)
    return max(part, shop.desk_part())


def _of_cashier_burst(
    shop: Shop, cashier: str, window: Instant, mine: list[Recent], expected: float
) -> list[Suspicion]:
    refunds = _free(shop, mine, cashier, window)
    count = float(len(refunds))
    if count < CASHIER_MIN:
        return []
    usual = max(expected, EXPECTED_MIN)
    nats = surprise_of_count(count, usual, CASHIER_SHAPE) * _recalled(refunds)
    burst = Suspicion(
        channel=CASHIER_IN[window],
        reason="cashier",
        entity_kind="cashier",
        entity_id=cashier,
        window=window,
        observed=count,
        expected=usual,
        refunds=refunds,
        parts=[
            ("cashier", nats, usual, count, "refunds"),
            *shop.marks.parts(hits_of(refunds), count),
        ],
        usual=lambda: f"usual for that cashier in {SPANS[window]} is {number(usual)}",
    )
    return [burst]


def _of_week(shop: Shop) -> list[Suspicion]:
    """A week of too many refunds, none of them a burst."""
    days = shop.state.days
    # The refund itself is counted when it is learnt, hence the one.
    observed = sum([day[0] for day in days]) + shop.state.refunds_today + 1.0
    if not days or observed < WEEK_MIN:
        return []
    today = shop.rate.refund_share() * shop.state.sales_today
    expected = sum([day[1] for day in days]) + max(today, EXPECTED_MIN)
    nats = surprise_of_count(observed, expected, 2.0 * shop.rate.shape())
    return [
        Suspicion(
            channel="volume in a week",
            reason="volume",
            entity_kind="shop",
            entity_id=shop.id,
            window=WEEK,
            observed=observed,
            expected=expected,
            refunds=_free(shop, shop.state.recent, shop.id, WEEK),
            parts=[("volume", nats, expected, observed, "refunds in a week")],
            usual=lambda: f"{number(observed)} in a week where {number(expected)} are usual",
        )
    ]


def _of_cashier_weeks(shop: Shop, refund: Recent) -> list[Suspicion]:
    cashier = refund.cashier
    one = shop.state.cashiers.get(cashier or "")
    if cashier is None or one is None or len(one.trail) + 1 < CASHIER_MIN:
        return []
    observed = one.refunds + 1.0
    expected = shop.cashiers.expected(one, shop.rate.refund_share())
    nats = surprise_of_count(observed, expected, CASHIER_SHAPE) if expected > 0.0 else 0.0
    now = hits_of((refund,))
    hits = [before + more for before, more in zip(one.marked, now, strict=True)]
    return [
        Suspicion(
            channel="cashier in weeks",
            reason="cashier",
            entity_kind="cashier",
            entity_id=cashier,
            window=WEEK,
            observed=observed,
            expected=expected,
            refunds=[*one.trail, refund],
            parts=[
                ("cashier", nats, expected, observed, "refunds lately"),
                *shop.marks.parts(hits, observed),
            ],
            usual=lambda: f"usual for that cashier's sales is {number(expected)}",
        )
    ]


def _of_repeats(
    shop: Shop, refund: Recent, kind: str, key: str | None, repeats: Repeats
) -> list[Suspicion]:
    if key is None:
        return []
    before = repeats.trail(key)
    if len(before) + 1 < CARD_MIN:
        return []
    refunds = [*before, refund]
    parts = shop.marks.parts(hits_of(refunds), float(len(refunds)))
    again, usual = repeats.count(key, refund.at), repeats.mean()
    nats = surprise_of_count(again, usual, REPEATS_SHAPE)
    observed, expected = again + 1.0, 1.0 + usual
    return [
        Suspicion(
            channel=kind,
            reason=kind,
            entity_kind=kind,
            entity_id=key,
            window=WEEK,
            observed=observed,
            expected=expected,
            refunds=refunds,
            parts=[
                (kind, nats, expected, observed, f"refunds of the same {kind}"),
                *(part for part in parts if kind == "card" or part[0] != "receipt"),
            ],
            usual=lambda: f"usual is {number(expected)} for one {kind}",
        )
    ]
