"""Where suspicion becomes a page: calibrated from the stream to a budget of pages."""

from bisect import bisect_left
from itertools import accumulate
from math import log

from river import base

from anomaly.state import PeaksState

BUDGET = 0.1
"""Pages per shop and week that suspicions are weighed for (needs.NEEDED)."""

BINS = 96
BINS_PER_NAT = 4.0
LEAST = -16.0
"""Peaks are counted in bins from so many nats on."""

SEEN_MAX = 8000
"""Shop-days after which the counts are halved, so that the stream's newest half-year rules."""

PRIOR_DAYS = 500.0
"""Shop-days that the budget's own threshold counts for."""

SHIFT_MIN, SHIFT_MAX = -1.5, 4.0
"""A stream cannot drag its threshold beyond these."""

LEVEL_EVERY = 8
"""The level is worked out at the first and then at every so many updates: it moves slowly."""

SLOPE_MIN = 0.7

BODY, TAIL = 0.60, 0.90
"""Quantiles that the tail's slope is measured between: fraud is rarer than the upper one."""

DAYS_PER_WEEK = 7.0


class PeakThreshold(base.Base):  # type: ignore[misc]  # river has no types
    """The level that the strongest suspicion of a shop's day passes as often as the budget says.

    Peaks above a high quantile fall off exponentially (Coles 2001, An Introduction to Statistical
    Modeling of Extreme Values, chapter 4, with shape 0). Slope and level come from two quantiles of
    the shop-days seen, and are shrunk towards what the budget needs where all is as it should be.

    Args:
        pages_per_shop_week: the budget.
    """

    def __init__(self, pages_per_shop_week: float) -> None:
        self.pages_per_shop_week = pages_per_shop_week
        self._prior = log(BUDGET / pages_per_shop_week)
        self.state = PeaksState()

    def update(self, peak: float) -> None:
        """Count one day of a shop whose strongest suspicion was `peak` nats beyond its need."""
        state = self.state
        if not state.counts:
            state.counts = [0] * BINS
        state.counts[min(max(int((peak - LEAST) * BINS_PER_NAT), 0), BINS - 1)] += 1
        state.seen += 1
        if state.seen >= SEEN_MAX:
            state.counts = [count >> 1 for count in state.counts]
            state.seen = sum(state.counts)
        state.updates += 1
        if state.updates % LEVEL_EVERY == 1:
            state.level = self._level()

    def get(self) -> float:
        """Nats that are needed beyond what the channels themselves need."""
        return self.state.level if self.state.seen else self._prior

    def _level(self) -> float:
        seen = self.state.seen
        target = min(self.pages_per_shop_week / DAYS_PER_WEEK, 1.0 - TAIL)
        below = list(accumulate(self.state.counts))
        body = (bisect_left(below, BODY * seen) + 1) / BINS_PER_NAT + LEAST
        tail = (bisect_left(below, TAIL * seen) + 1) / BINS_PER_NAT + LEAST
        slope = max((tail - body) / log((1.0 - BODY) / (1.0 - TAIL)), SLOPE_MIN)
        level = tail + slope * log((1.0 - TAIL) / target)
        shrunk = (seen * level + PRIOR_DAYS * self._prior) / (seen + PRIOR_DAYS)
        return self._prior + min(max(shrunk - self._prior, SHIFT_MIN), SHIFT_MAX)
