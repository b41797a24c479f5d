"""A key group: what its shops share."""

from anomaly.forest import Forest
from anomaly.state import GroupState
from anomaly.threshold import PeakThreshold


class Group:
    """The forest and the threshold of one key group; `state` is what is kept.

    Args:
        state: taken over, and changed.
        pages_per_shop_week: the budget.
        seed: of the forest.
        without: evidence that is left out, to see what it is worth.

    Raises:
        StateError: the forest in `state` cannot be gone on from.
    """

    __slots__ = ("_learnt", "forest", "state", "threshold", "without")

    def __init__(
        self,
        state: GroupState,
        pages_per_shop_week: float,
        seed: int,
        without: frozenset[str] = frozenset(),
    ) -> None:
        self.state = state
        self.forest = Forest(seed)
        if state.forest.masses:
            self.forest.load(state.forest)
        self._learnt = False
        self.without = without
        self.threshold = PeakThreshold(pages_per_shop_week)
        self.threshold.state = state.peaks

    def score_then_learn(self, features: dict[str, float]) -> float:
        """Nats for one refund being unlike those before it; the forest learns it."""
        if "pattern" in self.without:
            return 0.0
        self._learnt = True
        return self.forest.score_then_learn(features)

    def dump(self) -> GroupState:
        """The state as it is to be kept now."""
        if self._learnt:
            self.state.forest = self.forest.dump()
            self._learnt = False
        return self.state
