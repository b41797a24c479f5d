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

    A generation only grows, so each id is encoded once, when it is first asked for: `entries` are
    those of the current generation up to `taken`, `previous_entries` all of the previous one.
    Dictionaries keep their order, so what was added is the end of the current generation.
    """

    __slots__ = ("current", "entries", "previous", "previous_entries", "taken", "turned")

    def __init__(self) -> None:
        self.current: Remembered = {}
        self.previous: Remembered = {}
        self.entries = bytearray()
        self.previous_entries = b""
        self.taken = 0
        self.turned: list[bytes] = []

    def turn(self) -> None:
        """Forget the previous generation; the current one takes its place."""
        self.turned += self._added()
        self.previous, self.previous_entries = self.current, bytes(self.entries)
        self.current, self.entries, self.taken = {}, bytearray(), 0

    def take(self) -> list[bytes]:
        """What was added since the last take, in order, as encoded mappings."""
        added = [*self.turned, *self._added()]
        self.turned = []
        return added

    def take_whole(self) -> list[bytes]:
        """Likewise both generations, added or not."""
        self.take()
        return [
            _mapping(len(self.previous), self.previous_entries),
            _mapping(len(self.current), self.entries),
        ]

    def _added(self) -> list[bytes]:
        count = len(self.current) - self.taken
        if not count:
            return []
        # From the end: what was taken before is most of it, and would be gone through.
        newest = reversed(list(islice(reversed(self.current.items()), count)))
        entries = msgspec.msgpack.encode(dict(newest))[len(_mapping(count, b"")) :]
        self.entries += entries
        self.taken = len(self.current)
        return [_mapping(count, entries)]


def _mapping(count: int, entries: bytes | bytearray) -> bytes:
    """A MessagePack map of `count` encoded entries."""
    return _header(count, 0x80, 0xDE) + entries


def _header(count: int, few: int, many: int) -> bytes:
    """What stands before `count` entries: of a map, or of an array."""
    if count < 16:  # noqa: PLR2004 -- MessagePack's bounds: four bits, and two bytes
        return bytes((few | count,))
    if count < 65_536:  # noqa: PLR2004 -- likewise
        return bytes((many,)) + count.to_bytes(2, "big")
    return bytes((many + 1,)) + count.to_bytes(4, "big")


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
            changes = generations.take_whole() if whole(group) else generations.take()
            if changes:
                taken[group] = _header(len(changes), 0x90, 0xDC) + b"".join(changes)
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
