"""Where suspicion becomes a page: calibrated from the stream to a budget of pages."""

from bisect import bisect_left
from itertools import accumulate
from math import log

from river import base

from anomaly.state import PeaksState

BINS = 160
BINS_PER_NAT = 4.0

SEEN_MAX = 8000
"""Shop-days after which the counts are halved, so that the stream's newest half-year rules."""

PRIOR_NATS = 9.0
"""The threshold for 0.01 pages per shop and week in one channel, where nothing was seen yet."""

PRIOR_DAYS = 200.0
"""So many shop-days does it count for."""

NATS_MIN, NATS_MAX = 7.0, 20.0
"""A stream cannot drag a threshold beyond these."""

LEVEL_EVERY = 8
"""The level is worked out at the first and then at every so many updates: it moves slowly."""

SLOPE_MIN = 0.7

BODY, TAIL = 0.90, 0.98
"""Quantiles that the tail's slope is measured between: fraud is rarer than the upper one."""

DAYS_PER_WEEK = 7.0


class PeakThreshold(base.Base):  # type: ignore[misc]  # river has no types
    """The level that the strongest suspicion of a shop's day passes as often as the budget says.

    Peaks above a high quantile fall off exponentially (Coles 2001, An Introduction to Statistical
    Modeling of Extreme Values, chapter 4, with shape 0). Slope and level come from two quantiles of
    the shop-days seen, which a few days of fraud cannot move, and are shrunk towards a prior.

    Args:
        pages_per_shop_week: the budget.
    """

    def __init__(self, pages_per_shop_week: float) -> None:
        self.pages_per_shop_week = pages_per_shop_week
        prior = PRIOR_NATS + log(0.01 / pages_per_shop_week)
        self._prior = min(max(prior, NATS_MIN), NATS_MAX)
        self.state = PeaksState()

    def update(self, peak: float, days: int = 1) -> None:
        """Count `days` of a shop whose strongest suspicion was `peak` nats."""
        state = self.state
        if not state.counts:
            state.counts = [0] * BINS
        state.counts[min(int(peak * BINS_PER_NAT), BINS - 1)] += days
        state.seen += days
        if state.seen >= SEEN_MAX:
            state.counts = [count >> 1 for count in state.counts]
            state.seen = sum(state.counts)
        state.updates += 1
        if state.updates % LEVEL_EVERY == 1:
            state.level = self._level()

    def get(self) -> float:
        """Nats from which on a suspicion is a page."""
        return self.state.level if self.state.seen else self._prior

    def _level(self) -> float:
        seen = self.state.seen
        target = min(self.pages_per_shop_week / DAYS_PER_WEEK, 1.0 - TAIL)
        below = list(accumulate(self.state.counts))
        body = (bisect_left(below, BODY * seen) + 1) / BINS_PER_NAT
        tail = (bisect_left(below, TAIL * seen) + 1) / BINS_PER_NAT
        slope = max((tail - body) / log((1.0 - BODY) / (1.0 - TAIL)), SLOPE_MIN)
        level = tail + slope * log((1.0 - TAIL) / target)
        shrunk = (seen * level + PRIOR_DAYS * self._prior) / (seen + PRIOR_DAYS)
        return min(max(shrunk, NATS_MIN), NATS_MAX)
