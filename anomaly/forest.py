"""One river HalfSpaceTrees per key group over shop-normalised features: what has no name."""

from array import array
from math import log
from sys import byteorder
from typing import Any

from river import base

from anomaly.river_hst import HalfSpaceTrees
from anomaly.state import ForestState, StateError

FEATURES = ("amount", "again", "bare", "haste", "limit", "part", "quiet")
"""All within 0..1; any of them may be absent (features.py says what they are)."""

TREES = 10
HEIGHT = 6
WINDOW = 256

BINS = 64
SCORES_MAX = 8192
"""Scores after which the histogram of usual ones is halved."""

SCORES_MIN = 512
"""Before so many scores the forest says nothing."""

NATS_MAX = 2.5
"""A pattern alone, without a name, cannot page."""

PROBES = (
    dict.fromkeys(FEATURES, 0.5),
    {"amount": 0.99, "again": 0.8, "bare": 1.0, "haste": 0.9},
    {"amount": 0.2, "part": 0.1, "quiet": 0.95},
)
"""Refunds whose scores tell whether a restored forest is the one that was kept."""


class Forest(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """Half-space trees (Tan, Ting and Liu 2011, doi:10.5591/978-1-57735-516-8/IJCAI11-254).

    The structure of the trees follows from the seed, so only their masses are kept. Scores are
    turned into nats by their rank among the scores seen, with a mean of about zero.

    Args:
        seed: of the trees' structure.
    """

    def __init__(self, seed: int = 17) -> None:
        self.seed = seed
        self._trees = HalfSpaceTrees(n_trees=TREES, height=HEIGHT, window_size=WINDOW, seed=seed)
        # The trees grow at the first observation, over the features it has: all of them.
        self._trees.learn_one(PROBES[0])
        self._nodes = [node for tree in self._trees.trees for node in tree.iter_dfs()]
        for node in self._nodes:
            node.l_mass = 0
        self._trees.counter = 0
        self.scores = [0] * BINS

    def learn_one(self, x: dict[str, Any]) -> None:
        """Learn one refund's features, and how high its score was."""
        self.learn(x, self.raw(x))

    def learn(self, x: dict[str, Any], raw: float) -> None:
        """`learn_one` where `raw` is known."""
        self.scores[_place(raw)] += 1
        if sum(self.scores) >= SCORES_MAX:
            self.scores = [count >> 1 for count in self.scores]
        self._trees.learn_one(x)

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats for `x` being unlike the refunds seen, at most `NATS_MAX`; 0.0 while few were."""
        return self.nats(self.raw(x))

    def nats(self, raw: float) -> float:
        """`score_one` where `raw` is known."""
        seen = sum(self.scores)
        if seen < SCORES_MIN:
            return 0.0
        above = sum(self.scores[_place(raw) :])
        return min(max(-log((above + 1.0) / (seen + 2.0)) - 1.0, 0.0), NATS_MAX)

    def raw(self, x: dict[str, Any]) -> float:
        """River's own score of `x`, 0 to 1."""
        return float(self._trees.score_one(x))

    def dump(self) -> ForestState:
        """What has been learnt."""
        masses = array("H", (node.l_mass for node in self._nodes))
        masses.extend(node.r_mass for node in self._nodes)
        if byteorder == "big":
            masses.byteswap()
        return ForestState(
            counter=self._trees.counter,
            first_window=self._trees._first_window,  # noqa: SLF001 -- river offers no other way
            masses=masses.tobytes(),
            golden=[self.raw(probe) for probe in PROBES],
            scores=list(self.scores),
        )

    def load(self, state: ForestState) -> None:
        """Go on from what `dump` gave.

        Raises:
            StateError: the state is of a forest of another shape or seed: its probes score unequal.
        """
        masses = array("H", state.masses)
        if byteorder == "big":
            masses.byteswap()
        count = len(self._nodes)
        if len(masses) != 2 * count or len(state.scores) != BINS:
            raise StateError("the forest that was kept has another shape")
        for node, left, right in zip(self._nodes, masses[:count], masses[count:], strict=True):
            node.l_mass, node.r_mass = left, right
        self._trees.counter = state.counter
        self._trees._first_window = state.first_window  # noqa: SLF001 -- river offers no other way
        self.scores = list(state.scores)
        if [self.raw(probe) for probe in PROBES] != state.golden:
            raise StateError("the forest that was kept scores its probes otherwise")


def _place(raw: float) -> int:
    """The bin of a score: most lie between 0.5 and 1, so the power spreads them."""
    return min(int(raw**8 * BINS), BINS - 1)
