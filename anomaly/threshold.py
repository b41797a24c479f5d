"""Where suspicion becomes a page: calibrated from the stream to a budget of pages."""

from math import log

from river import base

from anomaly.state import GroupState

BINS = 160
BINS_PER_NAT = 4.0
MEMORY = 4000.0
"""Shop-days that count, about."""

PRIOR_NATS = 9.0
"""The threshold for 0.1 pages per shop and week where nothing was seen yet."""

PRIOR_DAYS = 150.0
"""So many shop-days does it count for."""

NATS_MIN, NATS_MAX = 7.0, 13.0
SLOPE_MIN = 0.6

BODY, TAIL = 0.80, 0.95
"""Quantiles that the tail's slope is measured between: fraud is rarer than this."""

DAYS_PER_WEEK = 7.0


class PeakThreshold(base.Base):  # type: ignore[misc]  # river has no types
    """The level that the highest suspicion of a shop's day passes as often as the budget says.

    Peaks above a high quantile fall off exponentially (Coles 2001, An Introduction to Statistical
    Modeling of Extreme Values, chapter 4, with shape 0): slope and level come from two quantiles of
    the shop-days seen, which a few days of fraud cannot move, and are shrunk towards a prior.

    Args:
        pages_per_shop_week: the budget.
        group: where the counts are kept.
    """

    def __init__(self, pages_per_shop_week: float, group: GroupState | None = None) -> None:
        self.pages_per_shop_week = pages_per_shop_week
        self.group = GroupState(0) if group is None else group

    def update(self, peak: float) -> None:
        """Count one shop-day whose highest suspicion was `peak` nats."""
        group = self.group
        if not group.peaks:
            group.peaks = [0.0] * BINS
        group.peaks[min(int(peak * BINS_PER_NAT), BINS - 1)] += 1.0
        group.peaks_seen += 1.0
        if group.peaks_seen >= MEMORY:
            group.peaks = [0.5 * count for count in group.peaks]
            group.peaks_seen *= 0.5
        group.threshold = self._level()

    def get(self) -> float:
        """Nats from which on a suspicion is a page."""
        return self.group.threshold or self._level()

    def _level(self) -> float:
        target = self.pages_per_shop_week / DAYS_PER_WEEK
        prior = PRIOR_NATS + log(0.1 / self.pages_per_shop_week)
        seen = self.group.peaks_seen
        if seen <= 0.0:
            return prior
        body, tail = self._quantile(BODY), self._quantile(TAIL)
        slope = max((tail - body) / log((1.0 - BODY) / (1.0 - TAIL)), SLOPE_MIN)
        level = tail + slope * log((1.0 - TAIL) / target)
        shrunk = (seen * level + PRIOR_DAYS * prior) / (seen + PRIOR_DAYS)
        return min(max(shrunk, NATS_MIN), NATS_MAX)

    def _quantile(self, share: float) -> float:
        wanted, count = share * self.group.peaks_seen, 0.0
        for place, inside in enumerate(self.group.peaks):
            count += inside
            if count >= wanted:
                return (place + 1) / BINS_PER_NAT
        return BINS / BINS_PER_NAT
