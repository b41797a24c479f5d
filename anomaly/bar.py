"""What a suspicion has to reach to matter for a score or a page; most do not, and are not built."""

from collections.abc import Mapping

from anomaly.state import ShopState
from anomaly.verdicts import shift

DAMPED_FROM = 0.5
"""Part of what a page needs from which a refund teaches less, and keeps an incident open."""


class Bar:
    """Where the suspicions of one refund stand against what each needs for a page.

    A refund's score and reasons are those of the suspicion that is farthest beyond its need, and
    its pages those of what comes near: anything else need not be put into words.

    Args:
        state: the shop's, for the verdicts on its pages.
        needed: nats that each channel needs.
        more: nats that all need beyond that.
        pattern: nats that every suspicion has beside its own, for how the refund looks.
    """

    __slots__ = ("_more", "_needed", "_pattern", "_state", "best")

    def __init__(
        self, state: ShopState, needed: Mapping[str, float], more: float, pattern: float
    ) -> None:
        self._state = state
        self._needed = needed
        self._more = more
        self._pattern = pattern
        self.best = float("-inf")
        """How far beyond its need the farthest was; below zero, short of it."""

    def needed(self, channel: str, reason: str) -> float:
        """Nats at which a suspicion would be a page."""
        nats = self._needed[channel] + self._more
        if self._state.verdicts:
            nats += shift(self._state, reason)
        return nats

    def matters(self, channel: str, reason: str, nats: float) -> bool:
        """Whether `nats` are the farthest beyond their need yet, or come near a page."""
        needed, nats = self.needed(channel, reason), nats + self._pattern
        excess = nats - needed
        return excess > self.best or excess >= 0.0 or nats >= DAMPED_FROM * needed

    def note(self, channel: str, reason: str, nats: float) -> None:
        """Take up that there is such a suspicion: what follows has to pass it."""
        excess = nats + self._pattern - self.needed(channel, reason)
        self.best = max(self.best, excess)
