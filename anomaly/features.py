"""A refund as the forest sees it: seven numbers within 0..1, told in the shop's own terms."""

from math import exp, log

from anomaly.baseline import Rates
from anomaly.shop import Shop
from anomaly.state import Recent
from events.instant import HOUR
from events.transaction import Transaction

BARE_SHARE_MAX = 0.98
"""Where more refunds than this have no receipt, receipts are simply not sent."""


def features(
    shop: Shop, transaction: Transaction, refund: Recent, rates: Rates, usual: tuple[float, float]
) -> dict[str, float]:
    """The features of `refund`, the newest that `shop` remembers; what is not known is absent.

    amount: its size among the shop's; again: earlier refunds of the card; bare: without receipt;
    haste: how soon after the last refund; limit: its part of the approval limit; part: the
    cashier's part of the last day's refunds; quiet: how little is sold at this hour. `usual` are
    mean and deviation of log amounts of the shop's refunds.
    """
    mean, deviation = usual
    size = (log(max(refund.total, 1)) - mean) / deviation
    found = {
        "amount": 1.0 / (1.0 + exp(-max(min(size, 30.0), -30.0))),
        "quiet": rates.hourly / (rates.hourly + rates.sales),
    }
    if transaction.card_token is not None:
        found["again"] = 1.0 - exp(-0.5 * shop.cards.count(transaction.card_token, refund.at))
    if shop.marks.share(0) < BARE_SHARE_MAX:
        found["bare"] = float(refund.marks & 1)
    if transaction.approval_limit:
        found["limit"] = min(refund.total / transaction.approval_limit, 1.0)
    recent = shop.state.recent
    if len(recent) > 1:
        found["haste"] = exp(-max(refund.at - recent[-2].at, 0) / HOUR)
    if refund.cashier is not None:
        cashiers = [one.cashier for one in recent]
        found["part"] = cashiers.count(refund.cashier) / len(cashiers)
    return found
