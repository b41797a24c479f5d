"""One shop: its estimators over its state, and how they learn."""

from math import exp, sqrt

from msgspec.structs import replace

from anomaly.amounts import LogAmounts
from anomaly.baseline import HourOfWeek
from anomaly.cashiers import Cashiers
from anomaly.group import Group
from anomaly.marks import MarkShares
from anomaly.repeats import Repeats
from anomaly.state import (
    CARDS_MAX,
    DAYS_MAX,
    LARGE_SALES_MAX,
    RECEIPTS_MAX,
    RECENT_MAX,
    Recent,
    ShopState,
)
from events.instant import DAY, Instant
from events.transaction import Transaction

RECENT_FOR: Instant = 2 * DAY
"""A day, and another by which a record may run ahead of its time and push the clock."""

CLOSED_BELOW = 0.08
"""An hour is closed if it has less than this part of the shop's average sales per hour."""

CLOSED_KNOWN_HOURS = 200
"""Hours after which a shop's opening hours are known: a week, and a day to be sure."""

LARGE_DEVIATIONS = 2.5
"""A sale so far above the usual is remembered, so that its return is no surprise."""

LARGE_SALES_MIN = 30.0
"""Sales before which none is called large."""

DESK_PRIOR, DESK_PAIRS = 0.3, 8.0
"""Part of a run of refunds by one cashier where nothing is known, and pairs that it counts for."""

DESK_MEMORY = 300.0
"""Pairs of refunds that count, about."""

RETURN_WEIGHT = 0.3
"""What the amount of a refund says when it returns a large sale, receipt in hand."""


class Shop:
    """The estimators of one shop. All that is kept is in `state`."""

    __slots__ = (
        "cards",
        "cashiers",
        "dirty",
        "group",
        "id",
        "marks",
        "rate",
        "receipts",
        "refund_amounts",
        "sale_amounts",
        "state",
    )

    def __init__(self, shop_id: str, state: ShopState, group: Group) -> None:
        self.id = shop_id
        self.state = state
        self.group = group
        self.dirty = False
        self.rate = HourOfWeek(group.state)
        self.rate.restore(state.rate)
        self.sale_amounts = LogAmounts(memory=4000.0)
        self.sale_amounts.state = state.sale_amounts
        self.refund_amounts = LogAmounts(memory=1000.0, prior=self.sale_amounts)
        self.refund_amounts.state = state.refund_amounts
        self.marks = MarkShares()
        self.marks.state = state.marks
        self.cashiers = Cashiers()
        self.cashiers.state = state.cashiers
        self.cards = Repeats(CARDS_MAX)
        self.cards.state = state.cards
        self.receipts = Repeats(RECEIPTS_MAX, usual=0.03)
        self.receipts.state = state.receipts

    def sell(self, transaction: Transaction, hour: int, *, late: bool) -> None:
        """Learn from a sale. This is the hot path: 24 of 25 records come here."""
        state, total = self.state, transaction.total
        if late:
            self.rate.count(hour, 1, 0.0, late=True)
        else:
            state.rate.sales_now += 1
            state.sales_today += 1
        cashier = transaction.cashier_id
        if cashier is not None:
            one = state.cashiers.get(cashier) or self.cashiers.arrive(cashier)
            one.today += 1
        if transaction.currency == state.currency:
            amounts = state.sale_amounts
            if total > amounts.largest or (total >= amounts.large and amounts.n >= LARGE_SALES_MIN):
                self._remember_large(transaction)
            self.sale_amounts.learn(total)

    def next_day(self, days: int) -> None:
        """Let `days` go by on the shop's own calendar."""
        state = self.state
        self.cashiers.next_day(days, self.rate.refund_share())
        expected = self.rate.refund_share() * self.rate.hourly_sales() * 24.0
        expected *= self.rate.lift()
        state.days.append((state.refunds_today, expected))
        state.days.extend([(0.0, 0.0)] * min(days - 1, DAYS_MAX))
        del state.days[:-DAYS_MAX]
        state.sales_today = 0
        state.refunds_today = 0.0

    def remember(self, refund: Recent) -> None:
        """Keep `refund` for `RECENT_FOR` of the shop's clock, among `RECENT_MAX` at most."""
        oldest = self.state.clock - RECENT_FOR
        recent = self.state.recent
        if recent and (len(recent) >= RECENT_MAX or recent[0].at < oldest):
            recent = [one for one in recent if one.at >= oldest]
            del recent[: max(len(recent) - RECENT_MAX + 1, 0)]
            self.state.recent = recent
        recent.append(refund)

    def learn(
        self, transaction: Transaction, refund: Recent, hour: int, weight: float, *, late: bool
    ) -> None:
        """Learn from a refund, `weight` of it as usual; what suspicions gather counts in full."""
        state = self.state
        self.rate.count(hour, 0, weight, late=late)
        if transaction.currency == state.currency:
            self.refund_amounts.learn(refund.total, weight)
        self.marks.learn_one({"marks": refund.marks, "weight": weight})
        self._learn_desk(refund, weight)
        if refund.incident:
            return  # told, so nothing gathers
        state.refunds_today += 1.0
        kept = replace(refund, card=None)
        learnt = {"weight": weight, "refund": kept}
        self.cards.learn_one({"key": refund.card, **learnt})
        self.receipts.learn_one({"key": transaction.original_transaction_id, **learnt})
        self.cashiers.learn_one({"cashier": refund.cashier, **learnt})

    def desk_part(self) -> float:
        """How much of a run of refunds one cashier usually does: near one where there is a desk."""
        state = self.state
        return (state.same + DESK_PRIOR * DESK_PAIRS) / (state.pairs + DESK_PAIRS)

    def _learn_desk(self, refund: Recent, weight: float) -> None:
        state, recent = self.state, self.state.recent
        if refund.cashier is None or len(recent) < 2:  # noqa: PLR2004 -- a pair
            return
        if state.pairs >= DESK_MEMORY:
            kept = 1.0 - weight / state.pairs
            state.pairs *= kept
            state.same *= kept
        state.pairs += weight
        if recent[-2].cashier == refund.cashier:
            state.same += weight

    def forgive(self, refunds: list[Recent], page_id: str) -> None:
        """Take `refunds` out of all that gathers: they have been told on the page `page_id`."""
        state = self.state
        for refund in refunds:
            self.cashiers.forgive(refund)
        told = {refund.id for refund in refunds}
        for refund in state.recent:
            if refund.id in told:
                refund.incident = page_id
                state.refunds_today = max(state.refunds_today - 1.0, 0.0)
                if refund.card is not None:
                    self.cards.forget(refund.card)

    def out_of_hours(self, hour: int, *, late: bool) -> bool:
        """Whether the shop is closed in `hour`, as far as is known, and nothing is sold."""
        rate = self.rate
        state = rate.state
        if late or state.sales_now or state.hour - state.first < CLOSED_KNOWN_HOURS:
            return False
        closed = CLOSED_BELOW * rate.hourly_sales()
        return all(rate.sales_rate(one) < closed for one in (hour, hour - 1)) and (
            rate.refunds_rate(hour) < closed
        )

    def returns_large_sale(self, transaction: Transaction) -> bool:
        """Whether this refund gives back a large sale that is remembered, or a part of it."""
        sale = self.state.large_sales.get(transaction.original_transaction_id or "")
        return sale is not None and transaction.total <= sale

    def usual_sale(self) -> float:
        """The typical amount of a sale, or of a refund where no sale was seen; minor units."""
        known = self.sale_amounts if self.state.sale_amounts.n > 0.0 else self.refund_amounts
        return exp(known.state.mean)

    def usual_refunds(self) -> float:
        """Money that goes back on a usual day, minor units."""
        mean, deviation, _ = self.refund_amounts.usual()
        daily = self.rate.refund_share() * self.rate.hourly_sales() * 24.0
        return daily * exp(min(mean + 0.5 * deviation * deviation, 40.0))

    def receipts_known(self) -> bool:
        """Whether this source says which refunds have a receipt."""
        marks = self.state.marks
        return marks.n > marks.counts[0]

    def _remember_large(self, transaction: Transaction) -> None:
        """Note a large sale; of too many the oldest goes."""
        amounts = self.state.sale_amounts
        sales = self.state.large_sales
        sales[transaction.transaction_id] = transaction.total
        if len(sales) > LARGE_SALES_MAX:
            del sales[next(iter(sales))]
        deviation = sqrt(amounts.squares / amounts.n) if amounts.n >= LARGE_SALES_MIN else 0.0
        amounts.large = int(exp(min(amounts.mean + LARGE_DEVIATIONS * deviation, 40.0)))
