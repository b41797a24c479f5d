"""What is usual for a shop at this hour of the week: sales, and refunds expected from them."""

from typing import Any

import msgspec
from river import base

from anomaly.booked import DAILY_KEEPS, REFUND_UNIT, booked, opening
from anomaly.state import FORMAT, SLOTS, GroupState, RateState
from anomaly.surprise import surprise_of_count

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

HOURS_REFUNDS = 3.0
"""Refunds that the shop's own share counts for, beside the refunds of that hour of the day."""

WEEKDAY_REFUNDS = 3.0
"""Refunds that the other days count for, beside those of this day of the week."""

WEEKDAY_KEEPS = 0.5 ** (1.0 / (24.0 * 5.0))
"""Decay per hour of its day of the week: it halves in five weeks."""

SHAPE_YOUNG, SHAPE_KNOWN = 1.5, 7.0
"""How well a shop's rate is known, in pseudo-observations: at first, and after many weeks.

Never better, for days differ beyond chance (the dispersion of a negative binomial).
"""

LIFT_MIN, LIFT_MAX = 0.8, 6.0
LIFT_KEEPS = 0.85
LIFT_SALES = 8.0
"""Today's lift is sales seen over sales expected, in a memory of six hours; so many sales speak
for an ordinary day."""

CHAIN_LIFT_MAX = 8.0
CHAIN_LIFT_KEEPS = 0.92
CHAIN_LIFT_REFUNDS = 8.0
CHAIN_TIMES_MAX, CHAIN_SURPLUS_MAX = 4.0, 3.0
"""The same for refunds of the whole key group, in a memory of half a day.

One shop's hour adds at most so many refunds beyond what was expected of it: one shop is not the
chain.
"""


class Rates(msgspec.Struct, gc=False):
    """What `HourOfWeek` says of one hour as things stand, each worked out once.

    Within one refund it is asked for again and again; the chain's other shops may have changed it
    before the next.
    """

    hour: int
    share: float
    """`refund_share`"""
    hourly: float
    """`hourly_sales`"""
    sales: float
    """`sales_rate` in the hour."""
    ordinary: float
    """Refunds expected in the hour, whatever the chain's other shops do."""
    lift: float
    """`chain_lift`"""
    refunds: float
    """`rate` in the hour."""


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

    __slots__ = ("_by_hour_of_day", "_chain", "chain", "state")

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
            state.hour = state.first = state.opened = hour
            state.hours = 1
            return False
        if hour <= state.hour:
            return hour < state.hour
        self._close(state.hour, state.sales_now, state.refunds_now)
        for silent in range(max(state.hour + 1, hour - GAP_HOURS_MAX), hour):
            self._close(silent, 0, 0.0)
        state.opened = opening(state, hour)
        kept = CHAIN_LIFT_KEEPS ** min(hour - state.hour, HOURS_KEPT)
        state.chain_seen *= kept
        state.chain_expected *= kept
        state.hour = hour
        self._expect(hour, self._ordinary(hour))
        state.hours += 1
        state.sales_now = 0
        state.refunds_now = 0.0
        state.came = 0
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
        place = (hour - state.opened) % 24
        state.daily_sales[place] += sales
        state.daily_refunds[place] += int(refunds * REFUND_UNIT)
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
        return self._sales_rate(hour, self.hourly_sales())

    def _sales_rate(self, hour: int, level: float) -> float:
        state = self.state
        known = hour - state.first
        if known >= 24:  # noqa: PLR2004 -- hours of a day
            days = min(known // 24, 7)
            level += (self._by_hour_of_day[hour % 24] / UNIT - days * level) / (days + 1.0)
        if known >= SLOTS:
            weeks = known // SLOTS
            level += (state.sales[hour % SLOTS] / UNIT - level) * weeks / (weeks + 1.0)
        return level

    def refunds_rate(self, hour: int) -> float:
        """Refunds expected in `hour` on an ordinary week."""
        hourly = self.hourly_sales()
        sales = self._sales_rate(hour, hourly)
        return max(self.share_at(hour) * sales, self._booked(hour, sales, hourly))

    def share_at(self, hour: int) -> float:
        """Refunds per sale so long after opening: returns may be booked when little is sold yet."""
        return self._share_at(hour, self.refund_share())

    def _share_at(self, hour: int, share: float) -> float:
        state = self.state
        place = (hour - state.opened) % 24
        refunds = state.daily_refunds[place] / REFUND_UNIT
        share_then = (refunds + HOURS_REFUNDS) / (state.daily_sales[place] + HOURS_REFUNDS / share)
        return share_then * self.weekday(hour)

    def weekday(self, hour: int) -> float:
        """How many more refunds that day of the week brings than its sales: what a closed day left.

        Days are numbered from a Thursday.
        """
        state, day = self.state, hour // 24 % 7
        seen, expected = state.weekday_refunds[day], state.weekday_expected[day]
        return (seen + WEEKDAY_REFUNDS) / (expected + WEEKDAY_REFUNDS)

    def rate(self, hour: int) -> float:
        """Refunds expected in `hour`, given how today's sales and the chain's refunds go.

        Never fewer than the sales of the open hour bring: a shop that sells late is open late.
        """
        return self.rates(hour).refunds

    def rates(self, hour: int) -> Rates:
        """All that is expected in `hour` as things stand."""
        state, share, hourly = self.state, self.refund_share(), self.hourly_sales()
        sales, share_then = self._sales_rate(hour, hourly), self._share_at(hour, share)
        lift = self.chain_lift()
        ordinary = max(share_then * sales * self.sales_lift(), self._booked(hour, sales, hourly))
        rate = max(ordinary, share_then * state.sales_now) if hour == state.hour else ordinary
        return Rates(hour, share, hourly, sales, ordinary, lift, rate * lift)

    def spend(self, owed: float) -> float:
        """Refunds expected since this was last asked, until the open hour, but for those `owed`."""
        past = self.state.unspent - owed
        self.state.unspent = 0.0
        return max(0.0, past)

    def sales_lift(self) -> float:
        """How much livelier than usual the last hours were, in sales."""
        state = self.state
        sales = (state.lift_seen + LIFT_SALES) / (state.lift_expected + LIFT_SALES)
        # Comparisons, not calls of min() and max(): every hour that closes comes here.
        if sales < LIFT_MIN:
            return LIFT_MIN
        return min(LIFT_MAX, sales)

    def chain_lift(self) -> float:
        """How many times the usual the other shops of the key group take back lately; 1 or more."""
        chain, state = self._chain, self.state
        kept = 1.0
        if chain.hour > state.hour:
            kept = CHAIN_LIFT_KEEPS ** min(chain.hour - state.hour, HOURS_KEPT)
        seen = chain.lift_seen - state.chain_seen * kept
        expected = chain.lift_expected - state.chain_expected * kept
        lift = (max(seen, 0.0) + CHAIN_LIFT_REFUNDS) / (max(expected, 0.0) + CHAIN_LIFT_REFUNDS)
        if lift < 1.0:
            return 1.0
        return min(CHAIN_LIFT_MAX, lift)

    def weeks(self) -> float:
        """Weeks since the shop's first hour."""
        return (self.state.hour - self.state.first) / SLOTS

    def shape(self) -> float:
        """How well the rates are known, in pseudo-observations."""
        weeks = self.weeks()
        return SHAPE_YOUNG + (SHAPE_KNOWN - SHAPE_YOUNG) * weeks / (weeks + 1.5)

    def _learning(self, hour: int) -> float:
        return max(1.0 / (max(hour - self.state.first, 0) // SLOTS + 1), LEARNING_MIN)

    def _add(self, hour: int, sales: int) -> None:
        self.state.sales[hour % SLOTS] += sales
        self._by_hour_of_day[hour % 24] += sales

    def _close(self, hour: int, sales: int, refunds: float) -> None:
        """Fold one finished hour into the means: evenly at first, exponentially later."""
        state, chain = self.state, self._chain
        slot, learning = hour % SLOTS, self._learning(hour)
        hourly = self.hourly_sales()
        usual, share = self._sales_rate(hour, hourly), self.share_at(hour)
        ordinary = max(share * usual * self.sales_lift(), self._booked(hour, usual, hourly))
        if hour != state.hour:
            self._expect(hour, ordinary)
        elif share * sales > ordinary:
            self._expect(hour, share * sales - ordinary)
            ordinary = share * sales
        lifted = ordinary * self.chain_lift()
        state.unspent += lifted
        day = hour // 24 % 7
        seen, expected = state.weekday_refunds, state.weekday_expected
        usual_then = lifted / self.weekday(hour)
        seen[day] = seen[day] * WEEKDAY_KEEPS + refunds
        expected[day] = expected[day] * WEEKDAY_KEEPS + usual_then
        state.lift_seen = state.lift_seen * LIFT_KEEPS + sales
        state.lift_expected = state.lift_expected * LIFT_KEEPS + usual
        if sales or state.sales[slot]:
            self._add(hour, round((sales * UNIT - state.sales[slot]) * learning))
        place = (hour - state.opened) % 24
        if sales or state.daily_sales[place]:
            state.daily_sales[place] = int(state.daily_sales[place] * DAILY_KEEPS) + sales
        if refunds or state.daily_refunds[place]:
            kept = state.daily_refunds[place] * DAILY_KEEPS
            state.daily_refunds[place] = int(kept + refunds * REFUND_UNIT)
        state.sales_seen = state.sales_seen * KEEPS + sales
        state.refunds_seen = state.refunds_seen * KEEPS + refunds
        chain.hours = chain.hours * KEEPS + 1.0
        chain.sales = chain.sales * KEEPS + sales
        chain.refunds = chain.refunds * KEEPS + refunds

    def _ordinary(self, hour: int) -> float:
        """Refunds expected in `hour`, whatever the chain's other shops do."""
        return self.refunds_rate(hour) * self.sales_lift()

    def _booked(self, hour: int, sales: float, hourly: float) -> float:
        """Refunds expected while the shop is closed, whatever is sold."""
        return booked(self.state, hour, sales, hourly) * self.weekday(hour)

    def _expect(self, hour: int, refunds: float) -> None:
        """Count refunds expected of this shop among the chain's."""
        chain = self._chain
        if hour > chain.hour:
            kept = CHAIN_LIFT_KEEPS ** min(hour - chain.hour, HOURS_KEPT)
            chain.lift_seen *= kept
            chain.lift_expected *= kept
            chain.hour = hour
        chain.lift_expected += refunds
        self.state.chain_expected += refunds

    def come(self, ordinary: float) -> None:
        """Count a refund among the chain's, unless the shop's hour has had its part of them.

        `ordinary` are the refunds expected in the open hour (`Rates`).
        """
        state = self.state
        state.came += 1
        if state.came <= CHAIN_TIMES_MAX * ordinary + CHAIN_SURPLUS_MAX:
            self._chain.lift_seen += 1.0
            state.chain_seen += 1.0
