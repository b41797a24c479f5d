"""Refunds that go to the same card, or take the same receipt, again."""

from functools import lru_cache
from hashlib import blake2b
from itertools import islice
from typing import Any

from river import base

from anomaly.state import Recent, RepeatsState, SeenState
from anomaly.surprise import surprise_of_count
from anomaly.trail import added, instants, length, refunds
from events.instant import DAY, Instant

HALF_LIFE: Instant = 7 * DAY
"""In so much event time a count of earlier refunds halves."""

UNIT = 1000.0
"""Refunds of one key are kept in thousandths, as whole numbers."""

PRIOR_REFUNDS = 30.0
MEMORY = 1000.0
"""Refunds that count for how usual coming back is, about."""

SPARED_MAX = 8
"""Of so many keys that were longest not seen, the first that came but once is forgotten."""

AGAIN_MAX = 1.5
"""A card that comes again and again teaches no more than this, so that it does not become usual."""

SHAPE = 1.0
"""Coming back is geometric: who came twice comes more easily a third time."""


@lru_cache(maxsize=8)  # each refund asks for its card and its receipt three times or more
def short(token: str) -> int:
    """A token in 56 bits: two of a thousand collide once in a hundred billion shops."""
    return int.from_bytes(blake2b(token.encode("utf-8", "surrogatepass"), digest_size=7).digest())


def newest(one: SeenState) -> Instant:
    """When the newest refund that is remembered of `one` was."""
    return max(instants(one.trail))


def faded(one: SeenState, at: Instant, half_life: Instant) -> float:
    """What is left at `at` of the refunds counted; of those to come, all."""
    age = at - newest(one) if one.trail else 0
    count = one.count / UNIT
    return float(count * 0.5 ** (age / half_life)) if age > 0 else count


class Repeats(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """How often refunds went to the same key, against how usual that is in this shop.

    `x` has `key` (a card token, a receipt's id); in learning also `refund` (a Recent) and, if it is
    to teach less, `weight`; in scoring `at`. At most `keys_max` keys with their last `TRAIL_MAX`
    refunds are remembered, the longest unseen forgotten first; a forgotten key counts as new, so
    the error is to miss, never to accuse.

    Args:
        keys_max: keys remembered.
        half_life: event time in which a key's count halves.
        usual: repeats per refund where nothing is known.
    """

    __slots__ = ("half_life", "keys_max", "state", "usual")

    def __init__(self, keys_max: int, half_life: Instant = HALF_LIFE, usual: float = 0.04) -> None:
        self.keys_max = keys_max
        self.half_life = half_life
        self.usual = usual
        self.state = RepeatsState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Remember one more `refund` of `key`; without both nothing is learnt."""
        key, refund = x.get("key"), x.get("refund")
        if key is not None and refund is not None:
            self.learn(key, refund, x.get("weight", 1.0))

    def learn(self, key: str, refund: Recent, weight: float) -> None:
        """`learn_one` without a dictionary."""
        state, name = self.state, short(key)
        if state.refunds >= MEMORY:
            kept = 1.0 - weight / state.refunds
            state.refunds *= kept
            state.again *= kept
        state.refunds += weight
        one = state.seen.pop(name, None)
        if one is None:
            one = SeenState(int(UNIT), added(b"", refund))
        else:
            before = faded(one, refund.at, self.half_life)  # of a late refund, as of the newest
            state.again += weight * min(before, AGAIN_MAX)
            one.count = int(UNIT * (before + 1.0))
            one.trail = added(one.trail, refund)
        if len(state.seen) >= self.keys_max:
            del state.seen[self._least_missed()]
        state.seen[name] = one

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats against one more refund of `key`; 0.0 without it or at its first."""
        key = x.get("key")
        if key is None:
            return 0.0
        return surprise_of_count(self.count(key, x.get("at", 0)), self.mean(), SHAPE)

    def count(self, key: str, at: Instant) -> float:
        """Refunds of `key` before `at`, each fading by half in a half-life."""
        one = self.state.seen.get(short(key))
        return 0.0 if one is None else faded(one, at, self.half_life)

    def mean(self) -> float:
        """Earlier refunds of the same key that a refund usually has."""
        state = self.state
        return (state.again + PRIOR_REFUNDS * self.usual) / (state.refunds + PRIOR_REFUNDS)

    def trail(self, key: str) -> tuple[Recent, ...]:
        """The refunds of `key` that are still remembered, oldest first."""
        one = self.state.seen.get(short(key))
        return () if one is None else refunds(one.trail)

    def forget(self, key: str) -> None:
        """Start `key` anew: what it gathered has been told."""
        self.forget_short(short(key))

    def forget_short(self, name: int) -> None:
        """`forget` by what `short` gave."""
        self.state.seen.pop(name, None)

    def _least_missed(self) -> int:
        seen = self.state.seen
        for name, one in islice(seen.items(), SPARED_MAX):
            if length(one.trail) == 1:
                return name
        return next(iter(seen))
