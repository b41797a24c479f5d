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

NATS_MAX = 1.2
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
        self._weigh()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Learn one refund's features, and how high its score was."""
        self.score_then_learn(x)

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats for `x` being unlike the refunds seen, at most `NATS_MAX`; 0.0 while few were."""
        return self._nats(self.raw(x), sum(self.scores))

    def score_then_learn(self, x: dict[str, Any]) -> float:
        """`score_one`, then `learn_one`, for half of what both take."""
        raw, seen = self._walk(x), sum(self.scores)
        nats = self._nats(raw, seen)
        self._rank(raw, seen)
        return nats

    def raw(self, x: dict[str, Any]) -> float:
        """River's own score of `x`, 0 to 1."""
        return float(self._trees.score_one(x))

    def _walk(self, x: dict[str, Any]) -> float:
        """River's `score_one`, then its `learn_one`: both go the same way, here in one walk.

        It counts the `l_mass` of each node, and learns at the leaf what the `r_mass` of the way
        there come to, which stays the same for a window.
        """
        trees = self._trees
        if trees.counter == WINDOW - 1:  # the last of a window is left to river, which turns it
            raw = self.raw(x)
            trees.learn_one(x)
            self._weigh()
            return raw
        weight = 0
        for root in trees.trees:
            node = root
            for _ in range(HEIGHT):
                node.l_mass += 1
                value = x.get(node.feature)
                left, right = node.children
                if value is None:
                    node = right if left.l_mass < right.l_mass else left
                else:
                    node = left if value < node.threshold else right
            node.l_mass += 1
            weight += node.weight
        trees.counter += 1
        if trees._first_window:  # noqa: SLF001 -- river offers no other way
            return 0.0
        return float(1 - weight / trees._max_score)  # noqa: SLF001 -- likewise

    def _weigh(self) -> None:
        """Note at every leaf what river's score gathers on the way to it in this window."""
        for tree in self._trees.trees:
            _weigh(tree, self._trees.size_limit)

    def _rank(self, raw: float, seen: int) -> None:
        """Count the score of a refund among those, `seen` so far, that later ones are ranked by."""
        self.scores[_place(raw)] += 1
        if seen + 1 >= SCORES_MAX:
            self.scores = [count >> 1 for count in self.scores]

    def _nats(self, raw: float, seen: int) -> float:
        if seen < SCORES_MIN:
            return 0.0
        above = sum(self.scores[_place(raw) :])
        return min(max(-log((above + 1.0) / (seen + 2.0)) - 1.0, 0.0), NATS_MAX)

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
        self._weigh()
        if [self.raw(probe) for probe in PROBES] != state.golden:
            raise StateError("the forest that was kept scores its probes otherwise")


def _weigh(node: Any, limit: float, depth: int = 0, above: int = 0, *, ended: bool = False) -> None:
    """Set `weight` at the leaves under `node`: the sum of `r_mass * 2**depth` on the way to each.

    The sum ends with the first node whose `r_mass` is below `limit`.
    """
    weight = above if ended else above + (node.r_mass << depth)
    if depth == HEIGHT:
        node.weight = weight
        return
    for child in node.children:
        _weigh(child, limit, depth + 1, weight, ended=ended or node.r_mass < limit)


def _place(raw: float) -> int:
    """The bin of a score: most lie between 0.5 and 1, so the power spreads them."""
    return min(int(raw**8 * BINS), BINS - 1)
