"""One shop: its estimators over its state, and how they learn."""

from math import erfc, exp, log
from zlib import crc32

from anomaly.amounts import SQRT_HALF, LogAmounts
from anomaly.baseline import HourOfWeek, Rates
from anomaly.booked import CLOSED_BELOW
from anomaly.cashiers import Cashiers
from anomaly.group import Group
from anomaly.marks import MarkShares
from anomaly.misfits import NO_RECEIPT, Fit, Misfits
from anomaly.numbering import Numbering
from anomaly.repeats import Repeats
from anomaly.sold import SaleMemory
from anomaly.state import (
    CARDS_MAX,
    CUSTOMERS_MAX,
    LARGE_SALES_MAX,
    RECEIPTS_MAX,
    RECENT_MAX,
    Recent,
    ShopState,
)
from anomaly.tenders import Tenders
from events.instant import DAY, Instant
from events.transaction import Transaction

RECENT_FOR: Instant = 2 * DAY
"""A day, and another by which a record may run ahead of its time and push the clock."""

CLOSED_KNOWN_HOURS = 200
"""Hours after which a shop's opening hours are known: a week, and a day to be sure."""

SELDOM_BACK = 0.7
"""A sale smaller than the usual refund by so many deviations of log amounts hardly comes back."""
SMALL = log(0.7)
"""Sales of this part of a usual refund's money or less are remembered one by one."""

RETURN_WEIGHT = 0.3
"""What the amount of a refund says when it returns a large sale, receipt in hand."""


class Shop:
    """The estimators of one shop. All that is kept is in `state`."""

    __slots__ = (
        "cards",
        "cashiers",
        "customers",
        "dirty",
        "group",
        "id",
        "marks",
        "misfits",
        "numbering",
        "rate",
        "receipts",
        "refund_amounts",
        "sale_amounts",
        "sold",
        "state",
        "tenders",
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
        self.tenders = Tenders()
        self.tenders.state = state.tenders
        self.sold = SaleMemory()
        self.sold.state = state.sold
        self.numbering = Numbering()
        self.numbering.state = state.numbering
        self.misfits = Misfits(group.state.misfits)
        self.misfits.state = state.misfits
        self.cashiers = Cashiers()
        self.cashiers.state = state.cashiers
        self.cards = Repeats(CARDS_MAX)
        self.cards.state = state.cards
        self.customers = Repeats(CUSTOMERS_MAX)
        self.customers.state = state.customers
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
        self._keep(transaction, late=late)
        cashier = transaction.cashier_id or transaction.register_id
        if cashier is not None:
            one = state.cashiers.get(cashier) or self.cashiers.arrive(cashier)
            one.today += 1
        if transaction.currency == state.currency:
            amounts = state.sale_amounts
            if total > amounts.large:
                self._remember_large(transaction)
            self.sale_amounts.learn(total)

    def next_day(self, days: int) -> None:
        """Let `days` go by on the shop's own calendar."""
        state = self.state
        self.cashiers.next_day(days, self.rate.refund_share())
        self.tenders.grow(24.0 * self.rate.hourly_sales())
        mean, deviation, _ = self.refund_amounts.usual()
        state.tenders.least = int(exp(mean - SELDOM_BACK * deviation))
        self.sold.next_day(days, 24.0 * self.rate.hourly_sales() * self._small())
        self.numbering.next_day(days)
        state.sales_today = 0

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
        self,
        transaction: Transaction,
        refund: Recent,
        fit: Fit,
        rates: Rates,
        weight: float,
        *,
        late: bool,
    ) -> None:
        """Learn from a refund, `weight` of it as usual; what suspicions gather counts in full."""
        state = self.state
        self.rate.count(rates.hour, 0, weight, late=late)
        if not late:
            self.rate.come(rates.ordinary)
        if transaction.currency == state.currency:
            self.refund_amounts.learn(refund.total, weight)
        self.marks.learn(refund.marks, weight)
        self.tenders.learn(transaction.original_transaction_id, refund.marks, weight)
        self.misfits.learn(fit, weight)
        if refund.cashier is not None:
            one = state.cashiers.get(refund.cashier) or self.cashiers.arrive(refund.cashier)
            self.cashiers.remember(one, refund, weight)
        if refund.incident:
            return  # told, so nothing gathers
        self.misfits.remember(refund)
        for repeats, key in (
            (self.cards, transaction.card_token),
            (self.customers, transaction.customer_id),
            (self.receipts, transaction.original_transaction_id),
        ):
            if key is not None:
                repeats.learn(key, refund, weight)

    def forgive(self, refunds: list[Recent], page_id: str) -> None:
        """Take `refunds` out of all that gathers: they have been told on the page `page_id`."""
        told = {refund.id for refund in refunds}
        self.misfits.forget(told)
        for refund in self.state.recent:
            if refund.id in told:
                refund.incident = page_id
                if refund.card is not None:
                    self.cards.forget_short(refund.card)

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

    def tender_marks(self, transaction: Transaction) -> int:
        """Whether a refund goes back the way its sale was paid, as marks.

        While keys are rotated a card has two names.
        """
        tender = transaction.card_token or transaction.payment_method
        receipt = transaction.original_transaction_id
        return self.tenders.marks(receipt, tender, transaction.card_before)

    def returns_large_sale(self, transaction: Transaction) -> bool:
        """Whether this refund gives back a large sale that is remembered, or a part of it."""
        sale = self.state.large_sales.get(transaction.original_transaction_id or "")
        return sale is not None and transaction.total <= sale

    def fit(self, transaction: Transaction) -> Fit:
        """How the refund `transaction` fits the sale that its receipt is of, as far as known."""
        receipt = transaction.original_transaction_id
        if receipt is None:
            return NO_RECEIPT
        sold, days = self.sold.find(receipt), self.numbering.days_old(receipt)
        if sold is None or transaction.currency != self.state.currency:
            return self.misfits.fit(0, 0, 0.0, days)
        back = transaction.total + sum([one.total for one in self.receipts.trail(receipt)])
        days = sold.days if days is None else max(sold.days, days)
        return self.misfits.fit(sold.total, back, back / sold.total, days)

    def usual_sale(self) -> float:
        """The typical amount of a sale, or of a refund where no sale was seen; minor units."""
        known = self.sale_amounts if self.state.sale_amounts.n > 0.0 else self.refund_amounts
        return exp(known.state.mean)

    def usual_refunds(self) -> float:
        """Money that goes back on a usual day, minor units."""
        mean, deviation, _ = self.refund_amounts.usual()
        return self.refunds_daily() * exp(min(mean + 0.5 * deviation * deviation, 40.0))

    def refunds_daily(self) -> float:
        """Refunds of a usual day."""
        return self.rate.refund_share() * self.rate.hourly_sales() * 24.0

    def receipts_known(self) -> bool:
        """Whether this source says which refunds have a receipt."""
        marks = self.state.marks
        return marks.n > marks.counts[0]

    def _small(self) -> float:
        """The part of the sales that brings clearly less than a usual refund; only these are kept.

        More than a larger sale brought is a large refund by itself.
        """
        most = self.refund_amounts.usual()[0] + SMALL
        mean, deviation, _ = self.sale_amounts.usual()
        self.state.sold.most = int(exp(min(most, 36.0)))
        return 0.5 * erfc((mean - most) / deviation * SQRT_HALF)

    def _keep(self, transaction: Transaction, *, late: bool) -> None:
        """Remember what a sale brought and how it was paid; with a day's first also its number."""
        state, total, hashed = self.state, transaction.total, None
        sold, tenders = state.sold, state.tenders
        if total <= sold.most and not late and not state.sales_today % sold.every:
            if not sold.days[-1]:
                self.numbering.begin_day(transaction.transaction_id)
            if transaction.currency == state.currency:
                hashed = crc32(transaction.transaction_id.encode("utf-8", "surrogatepass"))
                self.sold.keep_hashed(hashed, total)
        if total >= tenders.least and tenders.paid:
            tender = transaction.card_token or transaction.payment_method
            if tender is not None:
                if hashed is None:
                    hashed = crc32(transaction.transaction_id.encode("utf-8", "surrogatepass"))
                self.tenders.keep_hashed(hashed, tender)

    def _remember_large(self, transaction: Transaction) -> None:
        """Note a large sale; of too many the oldest goes."""
        sales = self.state.large_sales
        sales[transaction.transaction_id] = transaction.total
        if len(sales) > LARGE_SALES_MAX:
            del sales[next(iter(sales))]
