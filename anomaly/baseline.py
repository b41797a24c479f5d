"""What is usual for a shop at this hour of the week: sales, and refunds expected from them."""

from typing import Any

from river import base

from anomaly.state import FORMAT, PAST_HOURS, SLOTS, GroupState, RateState
from anomaly.surprise import surprise_of_count
from events.instant import HOUR, Instant

UNIT = 10_000
"""Counts are kept in ten-thousandths, as whole numbers."""

GAP_HOURS_MAX = 336
"""A silence teaches at most so many hours of nothing: in a longer one the feed may be off."""

LEARNING_MIN = 0.1
"""Part of the newest week in an hour's mean once many weeks are known: a memory of ten weeks."""

REFUND_SHARE = 0.04
HOURLY_SALES = 8.0
"""Refunds per sale, and sales per hour, where nothing is known yet."""

CHAIN_HOURS = 24.0
CHAIN_SALES = 100.0
"""Shop-hours, and sales, that these count for in a key group."""

SHOP_HOURS = 12.0
SHOP_SALES = 200.0
"""Hours, and sales, that the key group's rates count for in a shop."""

KEEPS = 0.9995
"""Decay per hour of what a shop sells and takes back on the whole: a memory of twelve weeks."""

HOURS_KEPT = 2000
"""What that comes to, in hours."""

SALES_WEEKS = 2.0
"""Weeks that refunds expected from sales count for, beside the refunds of that hour of the week."""

SHAPE_YOUNG, SHAPE_KNOWN = 1.5, 7.0
"""How well a shop's rate is known, in pseudo-observations: at first, and after many weeks.

Never better, for days differ beyond chance (the dispersion of a negative binomial).
"""

LIFT_MIN, LIFT_MAX = 0.8, 6.0
LIFT_KEEPS = 0.85
LIFT_SALES = 8.0
"""Today's lift is sales seen over sales expected, in a memory of six hours; so many sales speak
for an ordinary day."""

CHAIN_LIFT_MAX = 4.0
CHAIN_LIFT_KEEPS = 0.92
CHAIN_LIFT_REFUNDS = 8.0
CHAIN_SURPLUS_MAX = 2.0
"""The same for refunds of the whole key group, in a memory of half a day.

One shop's hour adds at most so many refunds beyond what was expected of it: one shop is not the
chain.
"""


class HourOfWeek(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Rates by local hour of the week, shrunk towards hour of day, shop and chain while young.

    An observation is one hour of one shop: `x` has `hour` (local hours since 1970; may go back),
    `sales` and `refunds` (counts; refunds may be damped, so no whole number). An hour is learnt
    when a later one begins; what arrives late is added to the hour it belongs to. Means are
    Gamma–Poisson posteriors (Gelman et al., Bayesian Data Analysis, section 2.6) in which the wider
    level counts as pseudo-observations.

    Args:
        chain: the key group's state, which lends a young shop its rates, and learns from it; a shop
            without one is a chain of its own.
    """

    def __init__(self, chain: GroupState | None = None) -> None:
        self.chain = chain
        self._chain = GroupState(FORMAT) if chain is None else chain
        self.restore(RateState())

    def restore(self, state: RateState) -> None:
        """Go on from `state`, which is kept and changed."""
        self.state = state
        self._by_hour_of_day = [sum(state.sales[hour::24]) for hour in range(24)]

    def learn_one(self, x: dict[str, Any]) -> None:
        """Count `sales` and `refunds` in `hour`; what is missing counts as nothing."""
        hour = x.get("hour")
        if hour is not None:
            late = self.reach(hour)
            self.count(hour, x.get("sales", 0), x.get("refunds", 0.0), late=late)

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against `refunds` in `hour` being usual; 0.0 where either is missing."""
        hour, refunds = x.get("hour"), x.get("refunds")
        if hour is None or refunds is None:
            return 0.0
        return surprise_of_count(refunds, self.rate(hour), self.shape())

    def reach(self, hour: int) -> bool:
        """Close every hour before `hour`; True if `hour` itself was closed before: it is late."""
        state = self.state
        if state.hours == 0:
            state.hour = state.first = hour
            state.hours = 1
            return False
        if hour <= state.hour:
            return hour < state.hour
        self._close(state.hour, state.sales_now, state.refunds_now)
        for silent in range(max(state.hour + 1, hour - GAP_HOURS_MAX), hour):
            self._close(silent, 0, 0.0)
        state.hour = hour
        state.hours += 1
        state.sales_now = 0
        state.refunds_now = 0.0
        return False

    def count(self, hour: int, sales: int, refunds: float, *, late: bool) -> None:
        """Add to the open hour, or, if late, to the closed `hour`."""
        state = self.state
        if not late:
            state.sales_now += sales
            state.refunds_now += refunds
            return
        part = UNIT * self._learning(hour)
        self._add(hour, round(sales * part))
        state.refunds[hour % SLOTS] += round(refunds * part)
        state.sales_seen += sales
        state.refunds_seen += refunds

    def refund_share(self) -> float:
        """Refunds per sale of this shop, shrunk towards the chain's."""
        state, chain = self.state, self._chain
        shared = (chain.refunds + CHAIN_SALES * REFUND_SHARE) / (chain.sales + CHAIN_SALES)
        return (state.refunds_seen + SHOP_SALES * shared) / (state.sales_seen + SHOP_SALES)

    def hourly_sales(self) -> float:
        """Sales per hour on the whole, open or not, shrunk towards the chain's."""
        state, chain = self.state, self._chain
        hourly = (chain.sales + CHAIN_HOURS * HOURLY_SALES) / (chain.hours + CHAIN_HOURS)
        hours = min(state.hour - state.first, HOURS_KEPT)
        return (state.sales_seen + SHOP_HOURS * hourly) / (hours + SHOP_HOURS)

    def sales_rate(self, hour: int) -> float:
        """Sales expected in `hour` on an ordinary week."""
        state = self.state
        level = self.hourly_sales()
        known = hour - state.first
        if known >= 24:  # noqa: PLR2004 -- hours of a day
            days = min(known // 24, 7)
            level += (self._by_hour_of_day[hour % 24] / UNIT - days * level) / (days + 1.0)
        if known >= SLOTS:
            weeks = known // SLOTS
            level += (state.sales[hour % SLOTS] / UNIT - level) * weeks / (weeks + 1.0)
        return level

    def refunds_rate(self, hour: int) -> float:
        """Refunds seen in `hour` on an ordinary week, whatever is sold; 0.0 in the first week."""
        return self.state.refunds[hour % SLOTS] / UNIT

    def rate(self, hour: int) -> float:
        """Refunds expected in `hour`, given how today's sales and the chain's refunds go.

        Never fewer than the sales of the open hour bring: a shop that sells late is open late.
        """
        share = self.refund_share()
        rate = self._rate(hour, self.sales_rate(hour), share) * self.lift()
        if hour == self.state.hour:
            rate = max(rate, share * self.state.sales_now)
        return rate

    def lift(self) -> float:
        """How much livelier than usual the last hours were."""
        state, chain = self.state, self._chain
        sales = (state.lift_seen + LIFT_SALES) / (state.lift_expected + LIFT_SALES)
        refunds = (chain.lift_seen + CHAIN_LIFT_REFUNDS) / (
            chain.lift_expected + CHAIN_LIFT_REFUNDS
        )
        # Comparisons, not calls of min() and max(): every hour that closes comes here.
        if sales < LIFT_MIN:
            sales = LIFT_MIN
        elif sales > LIFT_MAX:
            sales = LIFT_MAX
        if refunds < 1.0:
            refunds = 1.0
        elif refunds > CHAIN_LIFT_MAX:
            refunds = CHAIN_LIFT_MAX
        return sales * refunds

    def expected(self, since: Instant, until: Instant) -> float:
        """Refunds expected between two local instants, at most a day apart.

        The last hour counts as a whole: what is booked in one go at its start is no surprise.
        """
        state = self.state
        first, last = since // HOUR, until // HOUR
        past, now = state.past, state.hour
        kept_from = now - PAST_HOURS
        if kept_from < state.first:  # noqa: PLR1730 -- a call of max() for every refund
            kept_from = state.first
        # Of a young shop most of a day lies before its first hour, where all hours are alike.
        before = self.rate(first) if first < state.first else 0.0
        total, part = 0.0, 1.0 - since % HOUR / HOUR
        for hour in range(first, last + 1):
            if kept_from <= hour < now:
                total += past[hour % PAST_HOURS] * part
            elif hour < state.first:
                total += before * part
            else:
                total += self.rate(hour) * part
            part = 1.0
        return total

    def shape(self) -> float:
        """How well the rates are known, in pseudo-observations."""
        weeks = (self.state.hour - self.state.first) / SLOTS
        return SHAPE_YOUNG + (SHAPE_KNOWN - SHAPE_YOUNG) * weeks / (weeks + 1.5)

    def _rate(self, hour: int, sales: float, share: float) -> float:
        state = self.state
        weeks = max(hour - state.first, 0) // SLOTS
        seen = weeks * state.refunds[hour % SLOTS] / UNIT
        return (seen + SALES_WEEKS * share * sales) / (weeks + SALES_WEEKS)

    def _learning(self, hour: int) -> float:
        return max(1.0 / (max(hour - self.state.first, 0) // SLOTS + 1), LEARNING_MIN)

    def _add(self, hour: int, sales: int) -> None:
        self.state.sales[hour % SLOTS] += sales
        self._by_hour_of_day[hour % 24] += sales

    def _close(self, hour: int, sales: int, refunds: float) -> None:
        """Fold one finished hour into the means: evenly at first, exponentially later."""
        state, chain = self.state, self._chain
        slot, learning = hour % SLOTS, self._learning(hour)
        usual, share = self.sales_rate(hour), self.refund_share()
        rate = max(self._rate(hour, usual, share) * self.lift(), share * sales)
        state.past[hour % PAST_HOURS] = rate
        state.lift_seen = state.lift_seen * LIFT_KEEPS + sales
        state.lift_expected = state.lift_expected * LIFT_KEEPS + usual
        if sales or state.sales[slot]:
            self._add(hour, round((sales * UNIT - state.sales[slot]) * learning))
        if refunds or state.refunds[slot]:
            state.refunds[slot] += round((refunds * UNIT - state.refunds[slot]) * learning)
        state.sales_seen = state.sales_seen * KEEPS + sales
        state.refunds_seen = state.refunds_seen * KEEPS + refunds
        chain.hours = chain.hours * KEEPS + 1.0
        chain.sales = chain.sales * KEEPS + sales
        chain.refunds = chain.refunds * KEEPS + refunds
        if hour > chain.hour:
            kept = CHAIN_LIFT_KEEPS ** min(hour - chain.hour, HOURS_KEPT)
            chain.lift_seen *= kept
            chain.lift_expected *= kept
            chain.hour = hour
        chain.lift_seen += min(refunds, rate + CHAIN_SURPLUS_MAX)
        chain.lift_expected += rate
