"""What a refund may be a sign of: each explanation with its evidence."""

from collections.abc import Callable, Sequence
from functools import partial
from math import exp, log, log1p

from anomaly import unvouched
from anomaly.bar import Bar
from anomaly.baseline import Rates
from anomaly.likelihood import BARE, ratios, vouched
from anomaly.marks import MARKS, WITHOUT_RECEIPT
from anomaly.misfit_suspicions import flagrant, of_misfit, told_misfit
from anomaly.misfits import Fit
from anomaly.repeats import SHAPE as REPEATS_SHAPE
from anomaly.repeats import Repeats
from anomaly.sequential import (
    COUNT,
    PACES,
    SHARE,
    UNIT,
    Numbers,
    begin_hour,
    charge,
    count,
    worst,
)
from anomaly.shop import RETURN_WEIGHT, Shop
from anomaly.state import Incident, Recent
from anomaly.surprise import surprise_of_count
from anomaly.suspicion import Suspicion
from anomaly.tenders import OTHER_TENDER
from anomaly.trail import refunds
from anomaly.words import money, number, weekday_hour
from events.instant import HOUR, MINUTE, WEEK, Instant
from events.transaction import Transaction

SHOP_KINDS = ("volume", "receipt", "limit", "hours")
CASHIER_KINDS = ("cashier", "cashier receipt", "cashier limit")
"""Channels of the sequential tests by kind of thief: who adds refunds of any sort, and whose carry
a mark."""

REFUNDS_MIN = (3, 3, 3, 2)
CARD_MIN = 3
"""Fewer refunds than these are no pattern, however quiet the shop."""

SHOWN = (0, WITHOUT_RECEIPT | OTHER_TENDER, MARKS[1][0], MARKS[2][0])
"""Marks of the refunds that a run of each kind speaks of; 0 for all of them."""

FORGIVEN = (-20.0, 0.0)
"""Nats that receipts, and amounts not under the limit, take at most from a card that is back."""

_SPEAK = {"card": (0, 1), "customer": (0,)}
"""Marks that speak for or against whoever is back, by their place in MARKS."""

TOLERANCE, CASHIER_TOLERANCE = 0.18, 0.05
YOUNG_TOLERANCE = 0.3
"""Parts by which more is allowed than is expected; the last in a shop's first week, then less."""

LEAST, CASHIER_LEAST = 0.02, 0.25
"""No hour has fewer refunds expected of it."""

BURST: Instant = 2 * HOUR
"""What is done within so long is told against the hour's expectation."""


def suspicions(
    shop: Shop,
    transaction: Transaction,
    refund: Recent,
    fit: Fit,
    rates: Rates,
    usual: tuple[float, float],
    bar: Bar,
    told_of: Incident | None,
    *,
    late: bool,
) -> list[Suspicion]:
    """What `refund`, the newest that `shop` remembers, may be a sign of, the amount's first.

    Of runs only those that can matter (bar.py). What belongs to an open incident about a cashier or
    a card, `told_of`, does not gather against the shop as well. `usual` are mean and deviation of
    log amounts of the shop's refunds.
    """
    without = shop.group.without
    found = [_of_amount(shop, transaction, refund, fit, usual[0], bar)]
    found += of_misfit(shop, refund, fit, bar)
    likely = ratios(shop, transaction, refund, fit, usual)
    tolerance = 1.0 + YOUNG_TOLERANCE / (1.0 + shop.rate.weeks())
    if told_of is None:
        found += _of_shop(shop, refund, rates, likely, tolerance + TOLERANCE, bar, late=late)
    entity = "register" if transaction.cashier_id is None else "cashier"
    if refund.cashier is not None and entity not in without:
        more = tolerance + CASHIER_TOLERANCE
        found += _of_cashier(shop, refund, entity, rates, likely, more, bar, late=late)
    if "card" not in without:
        found += _of_repeats(shop, refund, "card", "card", transaction.card_token, shop.cards)
    if "customer" not in without:
        customer = transaction.customer_id
        found += _of_repeats(shop, refund, "customer", "customer", customer, shop.customers)
    if "again" not in without:
        receipt = transaction.original_transaction_id
        found += _of_repeats(shop, refund, "again", "receipt", receipt, shop.receipts)
    return found


def _of_shop(
    shop: Shop,
    refund: Recent,
    rates: Rates,
    likely: dict[int, float],
    tolerance: float,
    bar: Bar,
    *,
    late: bool,
) -> list[Suspicion]:
    """More refunds than the shop's hours make usual.

    What comes late has the expectation of its own hour against it once more: it was held back, and
    so it comes all at once.
    """
    state, hour, rate = shop.state, rates.hour, rates.refunds
    runs = state.runs
    if late:
        if hour != state.late_hour:
            state.late_hour = hour
            charge(runs, max(rate, LEAST) * tolerance)
    elif hour != runs.hour:
        past = shop.rate.spend(runs.owed / tolerance) * tolerance
        begin_hour(runs, hour, past, max(rate, LEAST) * tolerance)
    found = []
    asks = BARE in likely and "unvouched" not in shop.group.without
    steps = unvouched.steps(likely[BARE]) if asks else ()
    for kind, test in worst(count(runs, likely, refund.at, steps)).items():
        if kind == SHARE:
            run = unvouched.suspicion_of(shop, test, bar)
            if run is not None:
                found.append(run)
            continue
        name = SHOP_KINDS[kind]
        run = _run(
            (name, name), ("shop", shop.id), kind, test, lambda: state.recent, tolerance, bar
        )
        if run is not None:
            run.usual = partial(_usual, rate, hour, run)
            found.append(run)
    return found


def _of_cashier(
    shop: Shop,
    refund: Recent,
    entity: str,
    rates: Rates,
    likely: dict[int, float],
    tolerance: float,
    bar: Bar,
    *,
    late: bool,
) -> list[Suspicion]:
    """More refunds than the cashier's sales make usual; the register's, where none is named."""
    name, hour = refund.cashier or "", rates.hour
    cashiers = shop.cashiers
    one = cashiers.state.get(name) or cashiers.arrive(name)
    if hour != one.hour:
        share, usual = rates.share, rates.refunds
        owed = usual * cashiers.part(one, shop.state.sales_today)
        owed += max(usual - 2.0 * share * rates.sales, 0.0)  # booked in one go
        if not one.refunds_today:
            owed += cashiers.desk(one, share)
        lift, chain = cashiers.lift(one, share, *cashiers.lately()), rates.lift
        if lift > chain:
            owed *= lift / chain
        lift = max(lift, chain)
        past = 0.0 if late else cashiers.spend(one, share, tolerance) * lift
        begin_hour(one, hour, past * tolerance, max(owed, CASHIER_LEAST) * tolerance)
    without = shop.group.without
    asked = {
        kind: likely[kind]
        for kind, channel in enumerate(CASHIER_KINDS)
        if kind in likely and (not kind or channel not in without)
    }
    found = []

    def known() -> Sequence[Recent]:
        return *refunds(one.trail, name), refund

    for kind, test in worst(count(one, asked, refund.at)).items():
        names = CASHIER_KINDS[kind], "cashier"
        run = _run(names, (entity, name), kind, test, known, tolerance, bar)
        if run is not None:
            run.usual = partial(_usual, 0.0, hour, run)
            found.append(run)
    return found


def _run(
    names: tuple[str, str],
    entity: tuple[str, str],
    kind: int,
    test: Numbers,
    known: Callable[[], Sequence[Recent]],
    tolerance: float,
    bar: Bar,
) -> Suspicion | None:
    """The suspicion that a run of a sequential test comes to, if it can matter.

    It speaks of those of the refunds `known` that it is made of; of a mark's run of those that
    carry it.
    """
    key, thousandths, n, exposure, minutes = test
    if n < REFUNDS_MIN[kind]:
        return None
    observed, allowed, nats = float(n), exposure / UNIT, thousandths / UNIT
    pace = PACES[key % COUNT]
    plain = min(max(observed * log1p(pace) - pace * allowed, 0.0), nats)
    if not bar.matters(*names, plain + (nats - plain)):
        return None
    since, bit = minutes * MINUTE, SHOWN[kind]
    told = [one for one in known() if one.at >= since and (not bit or one.marks & bit)]
    if not told:
        return None
    bar.note(*names, plain + (nats - plain))
    expected = allowed / tolerance
    parts = [("volume" if entity[0] == "shop" else "cashier", plain, expected, observed, "refunds")]
    if kind:
        _, mark, unit = MARKS[kind - 1]
        parts.append((mark, nats - plain, expected, float(len(told)), unit))
    else:
        parts.append(("look", nats - plain, expected, observed, "refunds"))
    return Suspicion(
        channel=names[0],
        reason=names[1],
        entity_kind=entity[0],
        entity_id=entity[1],
        window=max(told[-1].at - since, MINUTE),
        observed=observed,
        expected=expected,
        refunds=told,
        parts=parts,
    )


def _usual(rate: float, hour: int, run: Suspicion) -> str:
    """Of a burst the hour's; of anything slower the stretch itself says it (words.py)."""
    if rate and run.window <= BURST:
        return f"usual for {weekday_hour(hour)} is {number(rate)}"
    return ""


def _of_amount(
    shop: Shop, transaction: Transaction, refund: Recent, fit: Fit, mean: float, bar: Bar
) -> Suspicion:
    usual, total = exp(mean), float(refund.total)
    nats = bare = 0.0
    if transaction.currency == shop.state.currency and "amount" not in shop.group.without:
        nats = shop.sale_amounts.score(refund.total)
        if shop.returns_large_sale(transaction):
            nats *= RETURN_WEIGHT
    above = flagrant(shop, fit)
    if nats > 0.0 and "receipt" not in shop.group.without:
        bare = log(vouched(shop, refund.marks))
    bar.note("amount", "amount", nats + bare + sum([part[1] for part in above]))
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
            ("receipt", bare, 0.0, float(refund.marks & 1), "refunds without receipt"),
            *above,
        ],
        usual=lambda: (
            told_misfit(shop, fit)
            if above
            else f"a usual refund there is {money(usual, shop.state.currency)}"
        ),
    )


def _of_repeats(
    shop: Shop, refund: Recent, channel: str, kind: str, key: str | None, repeats: Repeats
) -> list[Suspicion]:
    """More refunds to one card or customer, or over one receipt, than come back by chance."""
    if key is None:
        return []
    before = repeats.trail(key)
    if len(before) + 1 < CARD_MIN:
        return []
    known = [*before, refund]
    parts = []
    for place in _SPEAK.get(kind, ()):
        _, mark, unit = MARKS[place]
        if mark in shop.group.without:
            continue
        ratio = partial(shop.marks.ratio, place) if place else partial(vouched, shop)
        nats = [log(ratio(one.marks)) for one in known]
        marked = float(sum([one > 0.0 for one in nats]))
        parts.append((mark, max(sum(nats), FORGIVEN[place]), 0.0, marked, unit))
    again, usual = repeats.count(key, refund.at), repeats.mean()
    surprise = surprise_of_count(again, usual, REPEATS_SHAPE)
    observed, expected = again + 1.0, 1.0 + usual
    return [
        Suspicion(
            channel=channel,
            reason=kind,
            entity_kind=kind,
            entity_id=key,
            window=WEEK,
            observed=observed,
            expected=expected,
            refunds=known,
            parts=[(channel, surprise, expected, observed, f"refunds of the same {kind}"), *parts],
            usual=lambda: f"usual for one {kind} is {number(expected)} a week",
        )
    ]
