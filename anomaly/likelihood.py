"""How much likelier one refund is with a thief at work than without, by kind of thief."""

from math import exp, log

from anomaly.marks import OUT_OF_HOURS, WITHOUT_RECEIPT
from anomaly.misfit_suspicions import of_many
from anomaly.misfits import Fit
from anomaly.shop import Shop
from anomaly.state import Recent
from events.transaction import Transaction

ANY, BARE, UNDER, CLOSED = range(4)
"""Kinds of thief: who adds refunds of any sort, those that nothing speaks for, those just under the
limit, those when the shop is closed."""

SIZE_WEIGHT = 0.15
SIZE_MIN, SIZE_MAX = 0.6, 1.6
"""Thieves take what pays: the ratio grows by a factor of e every 2.5 deviations of log amount."""

ANY_PART, UNDER_PART = 0.4, 0.5
"""Parts of the thieves of these two kinds whose refunds neither receipt nor tender speaks for; the
others' look like everybody's in this. A mixture costs little where it is wrong."""


def ratios(
    shop: Shop, transaction: Transaction, refund: Recent, fit: Fit, usual: tuple[float, float]
) -> dict[int, float]:
    """The likelihood ratio of `refund` by kind of thief, of those that there is evidence for.

    `usual` are mean and deviation of log amounts of the shop's refunds.
    """
    bits, marks, without = refund.marks, shop.marks, shop.group.without
    once = 1.0 if bits & WITHOUT_RECEIPT else of_many(shop, refund)
    ratio = once * fit.weight()
    if "size" not in without and refund.total > 1:
        mean, deviation = usual
        nats = SIZE_WEIGHT * (log(refund.total) - mean) / deviation
        ratio *= min(max(exp(nats - 0.5 * SIZE_WEIGHT * SIZE_WEIGHT), SIZE_MIN), SIZE_MAX)
    bare, found = vouched(shop, bits), {}
    if "volume" not in without:
        found[ANY] = ratio * (1.0 - ANY_PART + ANY_PART * bare)
    if "receipt" not in without and marks.tells(0):
        found[BARE] = ratio * bare
    if "limit" not in without and transaction.approval_limit is not None:
        found[UNDER] = once * marks.ratio(1, bits) * (1.0 - UNDER_PART + UNDER_PART * bare)
    if "hours" not in without and bits & OUT_OF_HOURS:
        found[CLOSED] = ratio * marks.ratio(2, bits)
    return found


def vouched(shop: Shop, bits: int) -> float:
    """How much likelier what speaks for a refund, receipt and tender, or its lack, is."""
    without, ratio = shop.group.without, 1.0
    if "receipt" not in without:
        ratio = shop.marks.ratio(0, bits)
    if "tender" not in without:
        ratio *= shop.tenders.ratio(bits)
    return ratio
