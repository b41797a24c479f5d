"""Refunds that do not fit their sale: of more money than it brought, or long after it."""

from math import exp, log
from typing import Any, NamedTuple

from river import base

from anomaly.marks import ABOVE_SALE, LATE_RETURN
from anomaly.sale_state import ChainMisfitState
from anomaly.sequential import begin_hour, count
from anomaly.state import MisfitState, Recent, RunsState
from anomaly.trail import added, refunds

ABOVE_FROM = 1.02
"""More than that many times the sale's money is above it: what it brought is known to 0.6 %."""

ABOVE_FULL, ABOVE_MOST = 0.5, 3.0
"""So much more than the sale brought speaks in full for a thief, and at most so many times that."""

FLAGRANT_FROM = 5.0
"""From so many times the sale's money on a refund may be told by itself."""

LATE_SHARE = 0.02
LATE_FROM = 14
LATE_MOST = 8.0
"""Late is what one refund in fifty is, or fewer, and after so many days; the rarer, the more it
says, at most so many times."""

AGE_DAYS, AGES = 4, 24
"""Ages of sales are counted in bins of so many days; the last has no end."""

AGE_UNIT = 100
AGES_MEMORY = 1_200
"""Refunds after which the counts of ages are halved."""

AGE_PRIOR, AGE_MEAN = 25.0, 12.0
"""So many refunds does it count for that ages fall off by a factor of e in so many days."""

MEMORY = 600.0
PRIOR = 150.0
PRIOR_ABOVE, PRIOR_LATE = 0.3, 1.5
"""Refunds that count, about, and how many are supposed of a shop of which nothing is known, with so
many above their sale and so many late."""

CHAIN_MEMORY = 60.0
CHAIN_PRIOR, CHAIN_LATE = 25.0, 0.25
CHAIN_LATE_MAX = 1.5
"""The chain's last refunds that count, about; how many are supposed of it, with so many late; late
ones of one shop that count at a time: a thief is not the chain."""

WEIGHT = 0.5
"""What a misfit speaks in the shop's and the cashier's own tests, beyond any other refund: so much
of what it says by itself."""

TOLERANCE = 1.2
"""How many times the expected is allowed."""


class Fit(NamedTuple):
    """How a refund fits its sale.

    `paid` is what the sale brought, in minor units, at most; `times` what has been given back of
    it, all refunds together, in multiples of that: 0.0 if it is not remembered. `days` is the age
    of the sale at least, None if it is not known. `above` and `late` say how much likelier such a
    misfit is with a thief: 0.0 where there is none.
    """

    paid: int = 0
    back: int = 0
    times: float = 0.0
    days: int | None = None
    above: float = 0.0
    late: float = 0.0

    def weight(self) -> float:
        """How much likelier than any other the refund is with a thief of whatever kind."""
        return 1.0 + WEIGHT * max(self.above, self.late)

    def marks(self) -> int:
        """The marks that the refund carries for it."""
        return (ABOVE_SALE if self.above else 0) | (LATE_RETURN if self.late else 0)


NO_RECEIPT = Fit()


class Misfits(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """How rare it is in a shop that refunds are above their sale, or so long after it.

    A Bernoulli CUSUM of all refunds (Page 1954, doi:10.1093/biomet/41.1-2.100; Reynolds and
    Stoumbos 1999, doi:10.1080/00224065.1999.11979916): it counts in refunds, not in hours, so that
    a lively day expects as many more. What is late is learnt as the ages of sales that come back.

    `x` may have `times` (money given back over what the sale brought), `days` (age of the sale, at
    least); in learning `weight`, and `refund` (a Recent) if the tests are to count it.

    Args:
        chain: what the key group's shops share; where the others have many late ones as well, it
            is a time in which much may be brought back. A shop without one is a chain of its own.
    """

    __slots__ = ("_chain", "chain", "state")

    def __init__(self, chain: ChainMisfitState | None = None) -> None:
        self.chain = chain
        self._chain = ChainMisfitState() if chain is None else chain
        self.state = MisfitState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Count one refund; without all of these nothing is learnt."""
        if not x:
            return
        fit = self.fit(0, 0, x.get("times", 0.0), x.get("days"))
        if "refund" in x:
            self.count(x["refund"], fit)
        self.learn(fit, x.get("weight", 1.0))

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against a refund of `times` its sale's money `days` after it; 0.0 if both fit."""
        fit = self.fit(0, 0, x.get("times", 0.0), x.get("days"))
        late = -log(self.share_as_old(fit.days)) if fit.late and fit.days else 0.0
        return late + (self.flagrant(fit) if fit.above else 0.0)

    def fit(self, paid: int, back: int, times: float, days: int | None) -> Fit:
        """What `times` and `days` say of a refund in this shop."""
        above = late = 0.0
        if times > ABOVE_FROM:
            above = min((times - 1.0) / ABOVE_FULL, ABOVE_MOST)
        if days is not None and days >= LATE_FROM:
            share = self.share_as_old(days)
            if share < LATE_SHARE:
                late = min(LATE_SHARE / share, LATE_MOST)
        return Fit(paid, back, times, days, above, late)

    def learn(self, fit: Fit, weight: float) -> None:
        """Let a refund become usual by `weight`."""
        state = self.state
        if state.n >= MEMORY:
            kept = 1.0 - weight / state.n
            state.n *= kept
            state.above *= kept
            state.late *= kept
        state.n += weight
        state.above += weight * min(fit.above, 1.0)
        state.late += weight * min(fit.late, 1.0)
        if fit.days is None:
            return
        self._tell_chain(min(fit.late, 1.0))
        ages = state.ages = state.ages or [0] * AGES
        ages[min(fit.days // AGE_DAYS, AGES - 1)] += int(AGE_UNIT * weight)
        if sum(ages) >= AGES_MEMORY * AGE_UNIT:
            state.ages = [one >> 1 for one in ages]

    def share_as_old(self, days: int) -> float:
        """The share of refunds whose sale is at least about `days` old."""
        ages, place = self.state.ages, min(days // AGE_DAYS, AGES - 1)
        prior = AGE_PRIOR * exp(-place * AGE_DAYS / AGE_MEAN)
        return (sum(ages[place:]) / AGE_UNIT + prior) / (sum(ages) / AGE_UNIT + AGE_PRIOR)

    def share_above(self) -> float:
        """The share of all refunds that are known to be above their sale."""
        return (self.state.above + PRIOR_ABOVE) / (self.state.n + PRIOR)

    def share_late(self) -> float:
        """The share of refunds that are known to be late: here, or lately at the others."""
        state, chain = self.state, self._chain
        own = (state.late + PRIOR_LATE) / (state.n + PRIOR)
        kept = self._chain_keeps()
        others = max(chain.late - state.chain_late * kept, 0.0) + CHAIN_LATE
        return max(own, others / (max(chain.n - state.chain_n * kept, 0.0) + CHAIN_PRIOR))

    def flagrant(self, fit: Fit) -> float:
        """Nats for one refund alone: how rare any above its sale is, and by how much it is."""
        return log(fit.times / self.share_above())

    def count(self, refund: Recent, fit: Fit, once: float = 1.0) -> None:
        """Let the tests count `refund`: each takes what it was to be expected to bring.

        `once` is what is left of what it says if it is one of many alike.
        """
        state = self.state
        above, late = state.above_runs, state.late_runs
        # Most shops have no run at most times: this is asked at every refund.
        if above.tests or fit.above:
            self._count(above, refund, self.share_above(), ABOVE_SALE, once * fit.above)
        if late.tests or fit.late:
            self._count(late, refund, self.share_late(), LATE_RETURN, once * fit.late)

    def remember(self, refund: Recent) -> None:
        """Keep a misfit that was counted, to be shown as evidence of what comes."""
        if refund.marks & (ABOVE_SALE | LATE_RETURN):
            self.state.trail = added(self.state.trail, refund)

    def forget(self, told: set[str]) -> None:
        """Drop refunds that have been told."""
        kept = b""
        for one in refunds(self.state.trail):
            if one.id not in told:
                kept = added(kept, one)
        self.state.trail = kept

    def _chain_keeps(self) -> float:
        """What is left of this shop's part of the chain's last refunds."""
        passed = min(self._chain.count - self.state.chain_count, 10 * CHAIN_MEMORY)
        kept: float = (1.0 - 1.0 / CHAIN_MEMORY) ** passed
        return kept

    def _tell_chain(self, late: float) -> None:
        """Count a refund whose sale's age is known among the chain's."""
        state, chain = self.state, self._chain
        fading = 1.0 - 1.0 / CHAIN_MEMORY
        kept = self._chain_keeps() * fading
        before = state.chain_late * kept
        late = max(min(late, CHAIN_LATE_MAX - before), 0.0)
        state.chain_n = state.chain_n * kept + 1.0
        state.chain_late = before + late
        chain.n = chain.n * fading + 1.0
        chain.late = chain.late * fading + late
        chain.count += 1
        state.chain_count = chain.count

    def _count(
        self, runs: RunsState, refund: Recent, share: float, mark: int, ratio: float
    ) -> None:
        begin_hour(runs, 0, share * TOLERANCE, 0.0)
        if ratio:
            count(runs, {0: ratio * self._by_one(refund, mark)}, refund.at)

    def _by_one(self, refund: Recent, mark: int) -> float:
        """The part of such refunds lately that the same cashier gave: a thief is one.

        What the shop as a whole now does, everybody does.
        """
        if refund.cashier is None:
            return 1.0
        cashiers = [one.cashier for one in refunds(self.state.trail) if one.marks & mark]
        return (1.0 + cashiers.count(refund.cashier)) / (1.0 + len(cashiers))
