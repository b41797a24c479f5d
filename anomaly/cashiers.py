"""Cashiers: how busy each is, what refunds are usual for each, what gathers against each."""

from sys import intern
from typing import Any

from river import base

from anomaly.sequential import UNIT, begin_hour, count, runs_in
from anomaly.state import CASHIERS_MAX, CashierState, Recent
from anomaly.trail import added, length

SLOW_KEEPS = 0.5 ** (1.0 / 7.0)
"""How busy a cashier is fades by half in a week."""

USUAL_KEEPS = 0.5 ** (1.0 / 45.0)
"""What is usual for a cashier halves in 45 days."""

PRIOR_SALES = 600.0
"""A cashier's own share of refunds counts as much as the shop's after so many sales."""

SHARE_PRIOR = 8.0
"""Sales of today that a cashier's part of other days counts for."""


TOLERANCE = 1.1
"""How many times the expected is allowed where a day ends."""

LATELY_KEEPS = 0.25
"""What is left overnight of what the others took back."""

LATELY_REFUNDS = 2.0
LIFT_MAX = 4.0
"""Lift is refunds seen over refunds expected of the shop's other cashiers; so many refunds speak
for an ordinary day."""

DESK_DAYS = 3.0
"""Days without more refunds than usual that are supposed of everybody."""


class Cashiers(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Refunds of each cashier, against what that cashier's sales make usual.

    `x` has `cashier`; in learning also `refund` (a Recent, or absent for a sale), and may have
    `weight` (how much of it becomes usual) and `ratios` (sequential.py).

    Args:
        cashiers_max: cashiers remembered; the least busy is forgotten first.
    """

    __slots__ = ("cashiers_max", "state")

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
        count(one, x.get("ratios", {0: 1.0}), refund.at)
        self.remember(one, refund, x.get("weight", 1.0))

    def remember(self, one: CashierState, refund: Recent, weight: float) -> None:
        """Note a refund that was counted: `weight` of it becomes usual."""
        one.usual_refunds += weight
        one.refunds_today += 1
        one.trail = added(one.trail, refund, named=False)

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against the refunds of `cashier` so far."""
        one = self.state.get(x.get("cashier", ""))
        if one is None:
            return 0.0
        return max([0, *[test.nats for test in runs_in(one)]]) / UNIT

    def arrive(self, name: str) -> CashierState:
        """A cashier not seen lately."""
        if len(self.state) >= self.cashiers_max:
            del self.state[min(self.state, key=self._busy)]
        one = self.state[intern(name)] = CashierState()  # many shops call theirs alike
        return one

    def next_day(self, days: int, share: float) -> None:
        """Let `days` go by: today's sales become exposure, and all fades."""
        slow, usual, lately = SLOW_KEEPS**days, USUAL_KEEPS**days, LATELY_KEEPS**days
        sales, refunds = self.lately()
        for one in self.state.values():
            past = self.spend(one, share, TOLERANCE)
            if past:
                past *= self.lift(one, share, sales, refunds)
            if one.tests:
                begin_hour(one, one.hour, past * TOLERANCE, 0.0)
            if one.today or one.refunds_today:
                one.usual_days += 1.0
            one.usual_days *= usual
            one.usual_sales = (one.usual_sales + one.today) * usual
            one.sales = (one.sales + one.today) * slow
            one.lately_sales = (one.lately_sales + one.today) * lately
            one.lately_refunds = (one.lately_refunds + one.refunds_today) * lately
            one.today = one.counted = one.refunds_today = 0
            one.usual_refunds *= usual

    def lately(self) -> tuple[float, float]:
        """Sales and refunds of today and, fading, the days before."""
        every = self.state.values()
        sales = sum([one.lately_sales + one.today for one in every], 0.0)
        return sales, sum([one.lately_refunds + one.refunds_today for one in every], 0.0)

    def lift(self, one: CashierState, share: float, sales: float, refunds: float) -> float:
        """How many times the usual the shop's other cashiers take back lately; 1 or more."""
        sales -= one.lately_sales + one.today
        refunds -= one.lately_refunds + one.refunds_today
        lift = (refunds + LATELY_REFUNDS) / (share * sales + LATELY_REFUNDS)
        return min(max(lift, 1.0), LIFT_MAX)

    def spend(self, one: CashierState, share: float, tolerance: float) -> float:
        """Refunds that the sales since this was last asked make usual, but for those owed.

        What is owed has `tolerance` in it.
        """
        past = self.ratio(one, share) * (one.today - one.counted) - one.owed / tolerance
        one.counted = one.today
        return max(0.0, past)

    def desk(self, one: CashierState, share: float) -> float:
        """Refunds a day beyond twice what the cashier's sales bring: who has the returns desk."""
        more = one.usual_refunds - 2.0 * share * one.usual_sales
        return more / (one.usual_days + DESK_DAYS) if more > 0.0 else 0.0

    def ratio(self, one: CashierState, share: float) -> float:
        """Refunds per sale that are usual for this cashier, given the shop's `share`."""
        sales = one.usual_sales + one.today
        return (one.usual_refunds + PRIOR_SALES * share) / (sales + PRIOR_SALES)

    def part(self, one: CashierState, sales_today: int) -> float:
        """The part of the shop's business that this cashier does today, 0 to 1."""
        total = sum([other.sales for other in self.state.values()])
        others = max(len(self.state), 1)
        slow = (one.sales + 1.0) / (total + others)
        return (one.today + SHARE_PRIOR * slow) / (max(sales_today, one.today) + SHARE_PRIOR)

    def _busy(self, name: str) -> float:
        one = self.state[name]
        return one.sales + one.today + 10.0 * length(one.trail)
