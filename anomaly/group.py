"""A key group: what its shops share."""

from anomaly.forest import Forest
from anomaly.state import CHANNELS, GroupState, PeaksState
from anomaly.threshold import PeakThreshold

BUDGET = (0.1, 0.1, 0.1, 0.15, 0.1, 0.1, 0.15, 0.15, 0.05)
"""How the channels share the budget of pages."""


class Group:
    """The forest and the thresholds of one key group; `state` is what is kept.

    Args:
        state: taken over, and changed.
        pages_per_shop_week: the budget of all channels together.
        seed: of the forest.

    Raises:
        StateError: the forest in `state` cannot be gone on from.
    """

    __slots__ = ("_learnt", "forest", "state", "thresholds")

    def __init__(self, state: GroupState, pages_per_shop_week: float, seed: int) -> None:
        self.state = state
        self.forest = Forest(seed)
        if state.forest.masses:
            self.forest.load(state.forest)
        self._learnt = False
        self.thresholds = {}
        for channel, part in zip(CHANNELS, BUDGET, strict=True):
            threshold = PeakThreshold(pages_per_shop_week * part)
            threshold.state = state.peaks.setdefault(channel, PeaksState())
            self.thresholds[channel] = threshold

    def score_then_learn(self, features: dict[str, float]) -> float:
        """Nats for one refund being unlike those before it; the forest learns it."""
        self._learnt = True
        return self.forest.score_then_learn(features)

    def dump(self) -> GroupState:
        """The state as it is to be kept now."""
        if self._learnt:
            self.state.forest = self.forest.dump()
            self._learnt = False
        return self.state
