"""What amounts are usual: a Normal of log amounts, after Welford, with a bounded memory."""

from bisect import insort
from math import erfc, log, sqrt
from typing import Any

from river import base

from anomaly.state import TOP_MAX, AmountState

DEVIATION_MIN = 0.4
"""Log amounts of a shop spread by at least so much; a young shop cannot claim less."""

PRIOR_WEIGHT = 12.0
"""So many amounts does the prior count for."""

SPREAD, SPREAD_WEIGHT = 0.35, 6.0
"""Mean of log excesses over the least of the largest amounts, before any is known."""

SQRT_HALF = sqrt(0.5)

SEEN_MAX = 20_000
"""Amounts after which half of what is known of the largest is forgotten."""


class LogAmounts(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Scores an amount against those seen, in nats: how rare one as large is.

    Above the largest few, amounts fall off as a power whose exponent these few tell (Hill 1975,
    doi:10.1214/aos/1176343247).

    `x` has `amount` in minor units, and may have `weight` (how much to learn, 1.0 if absent).
    Memory is exponential with `memory` observations, so that prices may move.

    Args:
        memory: observations that count, about; units: amounts.
        prior: amounts that stand in while few were seen, such as the shop's sales for its refunds.
    """

    __slots__ = ("memory", "prior", "state")

    def __init__(self, memory: float = 2000.0, prior: "LogAmounts | None" = None) -> None:
        self.memory = memory
        self.prior = prior
        self.state = AmountState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Learn `x["amount"]`; without it nothing is learnt."""
        amount = x.get("amount")
        if amount is not None:
            self.learn(amount, x.get("weight", 1.0))

    def learn(self, amount: int, weight: float = 1.0) -> None:
        """`learn_one` for the path of sales: no dictionary is built."""
        state = self.state
        value = log(amount) if amount > 1 else 0.0
        state.seen += 1
        if amount > state.large:
            self._keep(amount)
        seen = state.n
        if seen >= self.memory:
            state.squares *= 1.0 - weight / seen
            seen -= weight
        state.n = total = seen + weight
        gap = value - state.mean
        state.mean = mean = state.mean + gap * weight / total
        state.squares += weight * gap * (value - mean)

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against `x["amount"]` being usual; 0.0 without it or while nothing is known."""
        amount = x.get("amount")
        return 0.0 if amount is None else self.score(amount)

    def score(self, amount: int) -> float:
        """`score_one` without a dictionary: minus the logarithm of how many are as large."""
        state = self.state
        if len(state.top) < TOP_MAX:
            return 0.0
        least = state.large
        if amount <= least:
            mean, deviation, _ = self.usual()
            part = 0.5 * erfc((log(max(amount, 1)) - mean) / deviation * SQRT_HALF)
            return min(-log(max(part, 1e-9)), log(state.seen / TOP_MAX))
        spread = sum([log(one / least) for one in state.top])
        index = (spread + SPREAD_WEIGHT * SPREAD) / (TOP_MAX + SPREAD_WEIGHT)
        return log(state.seen / TOP_MAX) + log(amount / least) / index

    def _keep(self, amount: int) -> None:
        """Note one of the largest; every so often half of all is forgotten."""
        state = self.state
        if state.seen >= SEEN_MAX:
            state.seen //= 2
            state.top = state.top[::2]
        insort(state.top, amount)
        del state.top[:-TOP_MAX]
        state.large = state.top[0] if len(state.top) == TOP_MAX else 0

    def usual(self) -> tuple[float, float, float]:
        """Mean and deviation of log amounts, and how many observations they stand on."""
        state = self.state
        n, mean, squares = state.n, state.mean, state.squares
        if self.prior is not None and self.prior.state.n > 0.0:
            other = self.prior.state
            weight = min(PRIOR_WEIGHT, other.n)
            gap = other.mean - mean
            squares += other.squares / other.n * weight + gap * gap * n * weight / (n + weight)
            mean += gap * weight / (n + weight)
            n += weight
        # A prior deviation of 1.0 with the weight of two amounts: prices differ by factors.
        deviation = sqrt((squares + 2.0) / (n + 2.0))
        return mean, max(deviation, DEVIATION_MIN), n
