"""Cashiers: each one's refunds against what the shop, and the cashier's own past, make usual."""

from typing import Any

from river import base

from anomaly.state import CASHIERS_MAX, TRAIL_MAX, CashierState, Recent
from anomaly.surprise import surprise_of_count

SLOW_KEEPS = 0.5 ** (1.0 / 7.0)
"""What gathers against a cashier halves in a week."""

USUAL_KEEPS = 0.5 ** (1.0 / 45.0)
"""What is usual for a cashier halves in 45 days."""

PRIOR_SALES = 400.0
"""A cashier's own share of refunds counts as much as the shop's after so many sales."""

SHARE_PRIOR = 8.0
"""Sales of today that a cashier's part of other days counts for."""

SHAPE = 3.0
"""Cashiers differ from each other and from day to day (negative binomial dispersion)."""


class Cashiers(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Refunds of each cashier over weeks, against that cashier's sales.

    `x` has `cashier`; in learning also `refund` (a Recent, or absent for a sale), `weight` (how
    much of it becomes usual) and `share` (the shop's refunds per sale). A source whose sales name
    no cashier gives no exposure; then only the burst of one cashier shows, not the slow drip.

    Args:
        cashiers_max: cashiers remembered; the least busy is forgotten first.
    """

    def __init__(self, cashiers_max: int = CASHIERS_MAX) -> None:
        self.cashiers_max = cashiers_max
        self.state: dict[str, CashierState] = {}

    def learn_one(self, x: dict[str, Any]) -> None:
        """Count a sale, or the refund in `x`; without `cashier` nothing is learnt."""
        name = x.get("cashier")
        if name is None:
            return
        one = self.state.get(name) or self.arrive(name)
        refund = x.get("refund")
        if refund is None:
            one.today += 1
            return
        one.refunds += 1.0
        one.usual_refunds += x.get("weight", 1.0)
        bits = refund.marks
        for place in range(len(one.marked)):
            one.marked[place] += bits >> place & 1
        one.trail.append(refund)
        del one.trail[:-TRAIL_MAX]

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against one more refund of `cashier` over weeks, at the shop's `share` of refunds.

        0.0 without `cashier` or `share`, or where no sale of the cashier is known.
        """
        one = self.state.get(x.get("cashier", ""))
        if one is None:
            return 0.0
        expected = self.expected(one, x.get("share", 0.0))
        return surprise_of_count(one.refunds + 1.0, expected, SHAPE) if expected > 0.0 else 0.0

    def arrive(self, name: str) -> CashierState:
        """A cashier not seen lately."""
        if len(self.state) >= self.cashiers_max:
            del self.state[min(self.state, key=self._busy)]
        one = self.state[name] = CashierState()
        return one

    def next_day(self, days: int, share: float) -> None:
        """Let `days` go by: today's sales become exposure, and all fades."""
        slow, usual = SLOW_KEEPS**days, USUAL_KEEPS**days
        for one in self.state.values():
            one.expected = (one.expected + self.ratio(one, share) * one.today) * slow
            one.usual_sales = (one.usual_sales + one.today) * usual
            one.sales = (one.sales + one.today) * slow
            one.today = 0
            one.usual_refunds *= usual
            one.refunds *= slow
            one.marked = [count * slow for count in one.marked]

    def ratio(self, one: CashierState, share: float) -> float:
        """Refunds per sale that are usual for this cashier, given the shop's `share`."""
        sales = one.usual_sales + one.today
        return (one.usual_refunds + PRIOR_SALES * share) / (sales + PRIOR_SALES)

    def expected(self, one: CashierState, share: float) -> float:
        """Refunds that this cashier's recent sales make usual."""
        return one.expected + self.ratio(one, share) * one.today

    def part(self, name: str, sales_today: int) -> float:
        """The part of the shop's business that cashier `name` does today, 0 to 1."""
        one = self.state.get(name)
        if one is None:
            return 0.0
        total = sum([other.sales for other in self.state.values()])
        others = max(len(self.state), 1)
        slow = (one.sales + 1.0) / (total + others)
        return (one.today + SHARE_PRIOR * slow) / (max(sales_today, one.today) + SHARE_PRIOR)

    def forgive(self, refund: Recent) -> None:
        """Take `refund` out of what gathers against its cashier: it has been told."""
        one = self.state.get(refund.cashier or "")
        if one is None:
            return
        one.refunds = max(one.refunds - 1.0, 0.0)
        bits = refund.marks
        one.marked = [
            max(count - (bits >> place & 1), 0.0) for place, count in enumerate(one.marked)
        ]
        one.trail = [other for other in one.trail if other.id != refund.id]

    def _busy(self, name: str) -> float:
        one = self.state[name]
        return one.sales + one.today + 10.0 * one.refunds
