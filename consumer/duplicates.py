"""The transaction ids of the recent past: what a retrying producer sends again counts once."""

from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from itertools import islice
from zlib import crc32

import msgspec


class Sighting(Enum):
    """What the memory knows of a transaction id."""

    NEW = "new"
    REPEATED = "repeated"
    """Seen with these very bytes: a producer's retry."""
    REUSED = "reused"
    """Seen with other bytes: two transactions claim one id."""


_NEW = Sighting.NEW  # asking an Enum's class for its member takes as long as asking a dictionary

Remembered = dict[str, int]
"""CRC-32 by transaction id, in the order in which they were seen."""


class _Generations:
    """One key group's ids: the current generation fills up, then becomes the previous one.

    What was added since the last take is not kept apart: a dictionary keeps its order, so it is the
    end of the current generation, behind the first `taken`, and before it `turned`.
    """

    __slots__ = ("current", "previous", "taken", "turned")

    def __init__(self) -> None:
        self.current: Remembered = {}
        self.previous: Remembered = {}
        self.taken = 0
        self.turned: list[Remembered] = []

    def turn(self) -> None:
        """Forget the previous generation; the current one takes its place."""
        self.turned += self._added()
        self.previous, self.current, self.taken = self.current, {}, 0

    def take(self) -> list[Remembered]:
        """What was added since the last take, in order."""
        added = [*self.turned, *self._added()]
        self.taken = len(self.current)
        self.turned = []
        return added

    def _added(self) -> list[Remembered]:
        added = dict(islice(self.current.items(), self.taken, None))
        return [added] if added else []


_decoder: msgspec.msgpack.Decoder[list[Remembered]] = msgspec.msgpack.Decoder(list[Remembered])


class Duplicates:
    """Remembers at least the last `remembered_min` distinct ids of each key group, at most twice.

    Each id is kept with the CRC-32 of its record's bytes. What it remembers depends on the stream's
    order alone, and by key group, so that it moves with a group when a shard splits.
    """

    def __init__(self, remembered_min: int) -> None:
        self._remembered_min = remembered_min
        self._groups: dict[int, _Generations] = {}

    def see(self, group: int, transaction_id: str, data: bytes) -> Sighting:
        """Whether `transaction_id` is new; if so it is remembered from now on."""
        generations = self._groups.get(group)
        if generations is None:
            generations = self._groups[group] = _Generations()
        current, digest = generations.current, crc32(data)
        known = current.get(transaction_id)
        if known is None:
            known = generations.previous.get(transaction_id)
            if known is None:
                current[transaction_id] = digest
                if len(current) >= self._remembered_min:
                    generations.turn()
                return _NEW
        return Sighting.REPEATED if known == digest else Sighting.REUSED

    def take_changes(self, whole: Callable[[int], bool] = lambda _: False) -> dict[int, bytes]:
        """What was remembered since the last take, encoded by key group, in order.

        Of the groups that `whole` names it is everything, such that restoring that alone gives the
        same memory.
        """
        taken = {}
        for group, generations in self._groups.items():
            changes = generations.take()
            if whole(group):
                changes = [generations.previous, generations.current]
            if changes:
                taken[group] = msgspec.msgpack.encode(changes)
        return taken

    def restore(self, encoded: Mapping[int, Sequence[bytes]]) -> None:
        """Remember what `take_changes` gave, by key group and in the order it gave it."""
        for group, taken in encoded.items():
            generations = self._groups.setdefault(group, _Generations())
            for changes in taken:
                for ids in _decoder.decode(changes):
                    for transaction_id, digest in ids.items():
                        generations.current[transaction_id] = digest
                        if len(generations.current) >= self._remembered_min:
                            generations.turn()
            generations.take()  # nothing of it is new
