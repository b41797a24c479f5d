"""What is usual for a shop at this hour of the week: sales, and refunds expected from them."""

from typing import Any

from river import base

from anomaly.state import PAST_HOURS, SLOTS, GroupState, RateState
from anomaly.surprise import surprise_of_count
from events.instant import HOUR, Instant

UNIT = 10_000
"""Counts are kept in ten-thousandths, as whole numbers."""

GAP_HOURS_MAX = 336
"""A silence teaches at most so many hours of nothing: after that the shop, or its feed, is off."""

LEARNING_MIN = 0.08
"""Share of the newest week in an hour's mean once many weeks are known: a memory of 12 weeks."""

REFUND_SHARE = 0.04
"""Refunds per sale where nothing is known yet."""

HOURLY_SALES = 8.0
"""Sales per hour of a shop of which nothing is known yet."""

SHAPE_MAX = 8.0
"""A shop's rate is never known better than this: days differ (negative binomial dispersion)."""

LIFT_MIN, LIFT_MAX = 0.8, 6.0
LIFT_MEMORY = 0.85
"""Decay per hour of the sales that today's lift is measured on: a memory of about six hours."""

LIFT_PRIOR = 8.0
"""Sales that speak for an ordinary day."""

REFUND_MEMORY = 0.9995
"""Decay per hour of the shop's refund share: a memory of twelve weeks."""

HOURS_REMEMBERED = 2000
"""What `REFUND_MEMORY` comes to, in hours."""


class HourOfWeek(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Rates by local hour of the week, shrunk towards hour of day, shop and chain while young.

    An observation is one hour of one shop: `x` has `hour` (local hours since 1970, may go back),
    `sales` and `refunds` (counts; refunds may be damped, so no whole number). An hour is learnt
    when a later one begins; what arrives late is added to the hour it belongs to.

    Args:
        chain: the key group's state, which lends a young shop its rates.
    """

    def __init__(self, chain: GroupState | None = None) -> None:
        self.chain = GroupState(0) if chain is None else chain
        self.state = RateState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Count `sales` and `refunds` in `hour`; what is missing counts as nothing."""
        hour = x.get("hour")
        if hour is None:
            return
        late = self.reach(hour)
        self.count_sales(hour, x.get("sales", 0), late=late)
        self.count_refunds(hour, x.get("refunds", 0.0), late=late)

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against `refunds` in `hour` being usual; 0.0 where either is missing."""
        hour, refunds = x.get("hour"), x.get("refunds")
        if hour is None or refunds is None:
            return 0.0
        return surprise_of_count(refunds, self.rate(hour), self.shape(hour))

    def reach(self, hour: int) -> bool:
        """Close every hour before `hour`; True if `hour` itself was closed before: a late one."""
        state = self.state
        if hour == state.hour:
            return False
        if state.hours == 0:
            state.hour = state.first = hour
            state.hours = 1
            return False
        if hour < state.hour:
            return True
        self._close(state.hour, state.sales_now, state.refunds_now)
        for silent in range(state.hour + 1, min(hour, state.hour + GAP_HOURS_MAX)):
            self._close(silent, 0, 0.0)
        state.hour = hour
        state.hours += 1
        state.sales_now = 0
        state.refunds_now = 0.0
        return False

    def count_sales(self, hour: int, sales: int, *, late: bool) -> None:
        """Add `sales` to the open hour, or to the closed `hour` if late."""
        state = self.state
        if late:
            state.sales_seen += sales
            state.sales[hour % SLOTS] += round(sales * UNIT * self._learning(hour))
        else:
            state.sales_now += sales

    def count_refunds(self, hour: int, refunds: float, *, late: bool) -> None:
        """Add `refunds` to the open hour, or to the closed `hour` if late."""
        state = self.state
        if late:
            state.refunds_seen += refunds
            state.refunds[hour % SLOTS] += round(refunds * UNIT * self._learning(hour))
        else:
            state.refunds_now += refunds

    def refund_share(self) -> float:
        """Refunds per sale of this shop, shrunk towards the chain's."""
        state, chain = self.state, self.chain
        shared = (chain.refunds + 50.0 * REFUND_SHARE) / (chain.sales + 50.0)
        return (state.refunds_seen + 150.0 * shared) / (state.sales_seen + 150.0)

    def sales_rate(self, hour: int) -> float:
        """Sales expected in `hour` on an ordinary week."""
        state, chain = self.state, self.chain
        hourly = (chain.sales + 24.0 * HOURLY_SALES) / (chain.hours + 24.0)
        hours = min(max(state.hour - state.first, 0), HOURS_REMEMBERED)
        level = (state.sales_seen + 12.0 * hourly) / (hours + 12.0)
        days = min((hour - state.first) // 24, 7)
        if days > 0:
            same_hour = sum(state.sales[hour % 24 :: 24]) / (UNIT * days)
            level = (days * same_hour + level) / (days + 1.0)
        weeks = max((hour - state.first) // SLOTS, 0)
        return (weeks * state.sales[hour % SLOTS] / UNIT + level) / (weeks + 1.0)

    def daily_sales(self) -> float:
        """Sales of a usual day."""
        state = self.state
        hours = min(max(state.hour - state.first, 0), HOURS_REMEMBERED)
        return 24.0 * (state.sales_seen + state.sales_now + HOURLY_SALES) / (hours + 1.0)

    def rate(self, hour: int) -> float:
        """Refunds expected in `hour`, given how today's sales go."""
        state = self.state
        weeks = max((hour - state.first) // SLOTS, 0)
        from_sales = self.refund_share() * self.sales_rate(hour)
        rate = (weeks * state.refunds[hour % SLOTS] / UNIT + 3.0 * from_sales) / (weeks + 3.0)
        return rate * self.lift()

    def lift(self) -> float:
        """How much livelier than usual the last hours were: sales seen over sales expected."""
        state = self.state
        lift = (state.lift_seen + LIFT_PRIOR) / (state.lift_expected + LIFT_PRIOR)
        return min(max(lift, LIFT_MIN), LIFT_MAX)

    def expected(self, since: Instant, until: Instant) -> float:
        """Refunds expected between two local instants, at most `PAST_HOURS` back."""
        state = self.state
        total = 0.0
        last = until // HOUR
        for hour in range(max(since // HOUR, last - PAST_HOURS + 2), last + 1):
            part = min(until, (hour + 1) * HOUR) - max(since, hour * HOUR)
            if state.hour - PAST_HOURS < hour < state.hour:
                total += state.past[hour % PAST_HOURS] * part / HOUR
            else:
                total += self.rate(hour) * part / HOUR
        return total

    def shape(self, hour: int) -> float:
        """How well the rate around `hour` is known, in pseudo-observations."""
        weeks = max((hour - self.state.first) / SLOTS, 0.0)
        return SHAPE_MAX * (weeks + 0.25) / (weeks + 1.25)

    def _learning(self, hour: int) -> float:
        return max(1.0 / (max((hour - self.state.first) // SLOTS, 0) + 1), LEARNING_MIN)

    def _close(self, hour: int, sales: int, refunds: float) -> None:
        """Fold one finished hour into the means (exponentially weighted, first weeks evenly)."""
        state, chain = self.state, self.chain
        slot, learning = hour % SLOTS, self._learning(hour)
        usual = self.sales_rate(hour)
        state.past[hour % PAST_HOURS] = self.rate(hour)
        state.lift_seen = state.lift_seen * LIFT_MEMORY + sales
        state.lift_expected = state.lift_expected * LIFT_MEMORY + usual
        state.sales[slot] += round((sales * UNIT - state.sales[slot]) * learning)
        state.refunds[slot] += round((refunds * UNIT - state.refunds[slot]) * learning)
        state.sales_seen = state.sales_seen * REFUND_MEMORY + sales
        state.refunds_seen = state.refunds_seen * REFUND_MEMORY + refunds
        chain.hours = chain.hours * REFUND_MEMORY + 1.0
        chain.sales = chain.sales * REFUND_MEMORY + sales
        chain.refunds = chain.refunds * REFUND_MEMORY + refunds
