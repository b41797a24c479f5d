"""What refunds that do not fit their sale are a sign of, in the words of the shop."""

from functools import partial

from anomaly.bar import Bar
from anomaly.marks import ABOVE_SALE, LATE_RETURN, Part
from anomaly.misfits import FLAGRANT_FROM, TOLERANCE, Fit
from anomaly.sequential import UNIT, runs_in, worst
from anomaly.shop import Shop
from anomaly.state import Recent, RunsState
from anomaly.suspicion import Suspicion
from anomaly.trail import refunds as refunds_in
from anomaly.words import money
from events.instant import DAY, MINUTE

MISFITS_LEAST = 2
"""One refund that does not fit its sale is a slip, or a favour."""

RECALLED = 0.5
"""What each earlier refund of the day of the same price or article, beyond the first, leaves of
what one with receipt says: a product is being recalled."""


def of_many(shop: Shop, refund: Recent) -> float:
    """What is left of what `refund` says: less, if it is one of many of a kind on that day."""
    since, total, item = refund.at - DAY, refund.total, refund.item or -1
    recent = shop.state.recent
    alike = [0 for one in recent if (one.total == total or one.item == item) and one.at > since]
    return RECALLED ** max(len(alike) - 1, 0)


def of_misfit(shop: Shop, refund: Recent, fit: Fit, bar: Bar) -> list[Suspicion]:
    """More refunds above their sale, or long after it, than happen in this shop."""
    state, without = shop.state.misfits, shop.group.without
    once = of_many(shop, refund) if fit.above or fit.late else 1.0
    shop.misfits.count(refund, fit, once)
    found = []
    if fit.above and "above" not in without:
        found += _of_runs(shop, refund, fit, ("above", ABOVE_SALE), state.above_runs)
    if fit.late and "late" not in without:
        found += _of_runs(shop, refund, fit, ("late", LATE_RETURN), state.late_runs)
    for one in found:
        bar.note(one.channel, one.reason, one.parts[0][1])
    return found


def flagrant(shop: Shop, fit: Fit) -> list[Part]:
    """What one refund of many times its sale's money adds to its amount's own evidence."""
    if fit.times < FLAGRANT_FROM or "above" in shop.group.without:
        return []
    nats = shop.misfits.flagrant(fit)
    return [("above", nats, float(fit.paid), float(fit.back), "minor units")]


def told_misfit(shop: Shop, fit: Fit) -> str:
    """How the refund does not fit its sale."""
    currency = shop.state.currency
    words = []
    if fit.above:
        back, paid = money(fit.back, currency), money(_about(fit.paid), currency)
        words.append(f"{back} back on a receipt of about {paid}")
    if fit.late or (fit.above and fit.days and fit.days > 1):
        since = f"{fit.days} days or more after its sale"
        words.append(since if words else f"given back {since}")
    return ", ".join(words)


def _about(paid: int) -> int:
    """What the sale brought is known to 0.6 % and never too low: to three figures."""
    unit: int = 10 ** max(len(str(paid)) - 3, 0)
    return paid // unit * unit


def _of_runs(
    shop: Shop, refund: Recent, fit: Fit, named: tuple[str, int], runs: RunsState
) -> list[Suspicion]:
    (name, mark), test = named, worst(runs_in(runs)).get(0)
    if test is None or test[2] < MISFITS_LEAST:
        return []
    _, nats, n, exposure, minutes = test
    since = minutes * MINUTE
    known = refunds_in(shop.state.misfits.trail)
    trail = [one for one in known if one.marks & mark and one.at >= since]
    refunds = [*trail, refund]
    observed, expected = float(n), exposure / UNIT / TOLERANCE
    unit = "refunds above their sale" if mark == ABOVE_SALE else "refunds long after their sale"
    return [
        Suspicion(
            channel=name,
            reason=name,
            entity_kind="shop",
            entity_id=shop.id,
            window=max(refund.at - since, MINUTE),
            observed=observed,
            expected=expected,
            refunds=refunds,
            parts=[(name, nats / UNIT, expected, observed, unit)],
            usual=partial(told_misfit, shop, fit),
        )
    ]
