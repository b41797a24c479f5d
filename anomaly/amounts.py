"""What amounts are usual: a Normal of log amounts, after Welford, with a bounded memory."""

from math import log, sqrt
from typing import Any

from river import base

from anomaly.state import AmountState
from anomaly.surprise import surprise_of_size

DEVIATION_MIN = 0.4
"""Log amounts of a shop spread by at least so much; a young shop cannot claim less."""

PRIOR_WEIGHT = 12.0
"""So many amounts does the prior count for."""

RECORDS_PRIOR = 20.0
"""Amounts after which the largest seen says half of what it can."""

FREEDOM_MIN, FREEDOM_MAX = 3.0, 60.0


class LogAmounts(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Scores an amount against those seen, in nats: a Student t tail of log amounts.

    An amount beyond the largest seen weighs more, by the logarithm of how many times it is that: a
    Pareto tail of index 1, the heaviest with which money is met (Newman 2005, doi:
    10.1080/00107510500052444).

    `x` has `amount` in minor units, and may have `weight` (how much to learn, 1.0 if absent).
    Memory is exponential with `memory` observations, so that prices may move.

    Args:
        memory: observations that count, about; units: amounts.
        prior: amounts that stand in while few were seen, such as the shop's sales for its refunds.
    """

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
        if amount > state.largest:  # noqa: PLR1730 -- a call of max() for every sale
            state.largest = amount
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
        return 0.0 if amount is None else self.score(amount, self.usual())

    def score(self, amount: int, usual: tuple[float, float, float]) -> float:
        """`score_one` where `usual` is known."""
        mean, deviation, seen = usual
        if seen <= 0.0:
            return 0.0
        nats = surprise_of_size(
            (log(max(amount, 1)) - mean) / deviation, min(seen, FREEDOM_MAX) + FREEDOM_MIN
        )
        largest = self.state.largest
        if 0 < largest < amount:
            known = self.state.n / (self.state.n + RECORDS_PRIOR)
            nats += log(amount / largest) * known
        return nats

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
