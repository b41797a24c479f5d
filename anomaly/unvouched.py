"""Whether more of the refunds than usual have nothing that speaks for them."""

from math import log

from anomaly.bar import Bar
from anomaly.marks import WITHOUT_RECEIPT
from anomaly.sequential import UNIT, Numbers
from anomaly.shop import Shop
from anomaly.suspicion import Suspicion
from anomaly.tenders import OTHER_TENDER
from anomaly.words import number
from events.instant import MINUTE

PACES = (1.0, 4.0)
"""How many refunds a thief adds to each usual one."""

FEWEST = 3
"""Fewer refunds that nothing speaks for are no pattern."""

CHANNEL, REASON = "unvouched", "receipt"

BARE = WITHOUT_RECEIPT | OTHER_TENDER


def steps(ratio: float) -> tuple[int, ...]:
    """What one refund adds to the runs, or takes, in thousandths of a nat.

    `ratio` is how much likelier what speaks for it, or does not, is with a thief.
    """
    return tuple([int(UNIT * log((1.0 + pace * ratio) / (1.0 + pace))) for pace in PACES])


def suspicion_of(shop: Shop, test: Numbers, bar: Bar) -> Suspicion | None:
    """The suspicion that a run comes to, if it can matter; it speaks of the marked refunds."""
    _, thousandths, n, _, minutes = test
    nats = thousandths / UNIT
    if n < FEWEST or not bar.matters(CHANNEL, REASON, nats):
        return None
    since = minutes * MINUTE
    told = [one for one in shop.state.recent if one.at >= since and one.marks & BARE]
    if len(told) < FEWEST:
        return None
    bar.note(CHANNEL, REASON, nats)
    observed, expected = float(len(told)), n * usual_share(shop)
    return Suspicion(
        channel=CHANNEL,
        reason=REASON,
        entity_kind="shop",
        entity_id=shop.id,
        window=max(told[-1].at - since, MINUTE),
        observed=observed,
        expected=expected,
        refunds=told,
        parts=[("receipt", nats, expected, observed, "refunds that nothing speaks for")],
        usual=lambda: f"usual among {n} are {number(expected)} that nothing speaks for",
    )


def usual_share(shop: Shop) -> float:
    """The share of refunds that have no receipt, or go another way than the sale was paid."""
    without = shop.marks.share(0)
    return without + (1.0 - without) * shop.tenders.usual_share()
