"""One river HalfSpaceTrees per key group over shop-normalised features: what has no name."""

from array import array
from math import log
from sys import byteorder
from typing import Any

from river import base

from anomaly.river_hst import HalfSpaceTrees
from anomaly.state import ForestState, StateError
from events.native import native

_native = native("anomaly._forest")

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
        self._trees.counter = 0
        self._nodes = [node for tree in self._trees.trees for node in tree.iter_dfs()]
        count = len(self._nodes)
        # What the walk asks for stands in lists, each number beside the next: river's nodes lie all
        # over memory, and a refund would fetch most of what it touches from there.
        self._features = [
            FEATURES.index(getattr(node, "feature", "amount")) for node in self._nodes
        ]
        thresholds = [getattr(node, "threshold", 0.0) for node in self._nodes]
        self._thresholds = array("d", thresholds).tolist()
        self._learnt = [0] * count
        self._known = [0] * count
        self._weights = [0] * count
        self._steps = [1 << depth for depth in range(HEIGHT, 0, -1)]
        self._weight_max = self._trees._max_score  # noqa: SLF001 -- river offers no other way
        self._roots = range(0, count, (2 << HEIGHT) - 1)
        self.scores = [0] * BINS

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
        self._show()
        return float(self._trees.score_one(x))

    def _walk(self, x: dict[str, Any]) -> float:
        """River's `score_one`, then its `learn_one`: both go the same way, here in one walk.

        It counts the mass of each node, and learns at the leaf what the masses known of the way
        there come to, which stays the same for a window. Nodes are numbered as river's `iter_dfs`
        goes: the left child follows, the right one comes behind all that is under it.
        """
        values = [x.get(name) for name in FEATURES]
        if _native is None:
            weight = self._way(values)
        else:
            weight = _native.way(
                values, self._features, self._thresholds, self._learnt, self._weights, HEIGHT
            )
        trees = self._trees
        raw = 0.0 if trees._first_window else 1 - weight / self._weight_max  # noqa: SLF001 -- river offers no other way
        trees.counter += 1
        if trees.counter == WINDOW:
            trees.counter, trees._first_window = 0, False  # noqa: SLF001 -- likewise
            self._known, self._learnt = self._learnt, [0] * len(self._learnt)
            self._weigh()
        return float(raw)

    def _way(self, values: list[float | None]) -> int:
        """Count a refund on its way down every tree; the weights of its leaves, added."""
        features, thresholds, learnt = self._features, self._thresholds, self._learnt
        steps, weights, weight = self._steps, self._weights, 0
        for root in self._roots:
            place = root
            for step in steps:
                learnt[place] += 1
                value = values[features[place]]
                if value is None:
                    place += step if learnt[place + 1] < learnt[place + step] else 1
                elif value < thresholds[place]:
                    place += 1
                else:
                    place += step
            learnt[place] += 1
            weight += weights[place]
        return weight

    def _show(self) -> None:
        """Bring river's trees up to what has been learnt."""
        for node, learnt, known in zip(self._nodes, self._learnt, self._known, strict=True):
            node.l_mass, node.r_mass = learnt, known

    def _weigh(self) -> None:
        """Note at every leaf what river's score gathers on the way to it in this window.

        That is the sum of `mass * 2**depth`, which ends with the first mass below river's limit.
        """
        limit, known = self._trees.size_limit, self._known
        places, ways = list(self._roots), [(0, True)] * TREES
        for depth, step in enumerate(self._steps):
            masses = [known[place] for place in places]
            ways = [
                (way[0] + (mass << depth), mass >= limit) if way[1] else way
                for way, mass in zip(ways, masses, strict=True)
                for _ in (0, 1)
            ]
            places = [child for place in places for child in (place + 1, place + step)]
        for place, (weight, goes_on) in zip(places, ways, strict=True):
            self._weights[place] = weight + (known[place] << HEIGHT) if goes_on else weight

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
        masses = array("H", self._learnt + self._known)
        if byteorder == "big":
            masses.byteswap()
        return ForestState(
            counter=self._trees.counter,
            first_window=self._trees._first_window,  # noqa: SLF001 -- river offers no other way
            masses=masses.tobytes(),
            golden=self._golden(),
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
        self._learnt, self._known = masses[:count].tolist(), masses[count:].tolist()
        self._trees.counter = state.counter
        self._trees._first_window = state.first_window  # noqa: SLF001 -- river offers no other way
        self.scores = list(state.scores)
        self._weigh()
        if self._golden() != state.golden:
            raise StateError("the forest that was kept scores its probes otherwise")

    def _golden(self) -> list[float]:
        self._show()
        return [float(self._trees.score_one(probe)) for probe in PROBES]


def _place(raw: float) -> int:
    """The bin of a score: most lie between 0.5 and 1, so the power spreads them."""
    return min(int(raw**8 * BINS), BINS - 1)
