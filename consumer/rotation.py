"""Which part of the whole state a snapshot repeats, so that few of them hold all of it."""

from collections.abc import Iterable, Mapping
from math import ceil
from zlib import crc32

import msgspec

SLICES_MAX = 64
"""The whole is written in so many slices, one after the other, over and over."""


def slice_of_shop(shop_id: str) -> int:
    """The slice that a shop lies in; stable, whatever else there is."""
    return crc32(shop_id.encode()) % SLICES_MAX


def slice_of_group(group: int) -> int:
    """The slice that a key group lies in."""
    return group % SLICES_MAX


class Slices(msgspec.Struct, frozen=True):
    """`count` slices from `first` on; behind the last comes the first again."""

    first: int
    count: int

    def __contains__(self, number: int) -> bool:
        """Whether slice `number` is one of them."""
        return (number - self.first) % SLICES_MAX < self.count

    @property
    def whole(self) -> bool:
        """Whether they are all there are."""
        return self.count >= SLICES_MAX

    @property
    def next(self) -> int:
        """The slice behind the last of them."""
        return (self.first + self.count) % SLICES_MAX


class Rotation:
    """Plans which slices the next snapshot repeats beside what changed.

    As large a part of the whole as changed since the last one: so writing costs twice the changes
    at most (and a slice), and what a restore reads is the whole, the changes of one round, and no
    more than `SLICES_MAX` objects. Where half of everything changed, all of it is written, and the
    snapshot stands alone. The shard's main thread asks; it knows shops by their names alone.
    """

    def __init__(self, shops: Iterable[str] = (), after: Slices | None = None) -> None:
        self._shops = set(shops)
        self._next = after.next if after else 0
        self._begun = after is not None

    def plan(self, changed: Iterable[str], *, whole: bool = False) -> Slices:
        """What to repeat where these shops changed; the first snapshot of all holds everything."""
        names = set(changed)
        self._shops |= names
        if whole or not self._begun or 2 * len(names) >= len(self._shops):
            count = SLICES_MAX
        else:
            count = max(ceil(SLICES_MAX * len(names) / len(self._shops)), 1)
        slices = Slices(self._next, count)
        self._next, self._begun = slices.next, True
        return slices


class Whole:
    """All shops and key groups as they were encoded last, found by slice."""

    def __init__(self, shops: Mapping[str, bytes], groups: Mapping[int, bytes]) -> None:
        self._shops: list[dict[str, bytes]] = [{} for _ in range(SLICES_MAX)]
        self._groups: dict[int, bytes] = {}
        self.take(shops, groups)

    def take(self, shops: Mapping[str, bytes], groups: Mapping[int, bytes]) -> None:
        """Put what changed over what was."""
        for shop_id, data in shops.items():
            self._shops[slice_of_shop(shop_id)][shop_id] = data
        self._groups.update(groups)

    def shops_of(self, slices: Slices) -> dict[str, bytes]:
        """Every shop of these slices."""
        found: dict[str, bytes] = {}
        for number in range(slices.first, slices.first + slices.count):
            found.update(self._shops[number % SLICES_MAX])
        return found

    def groups_of(self, slices: Slices) -> dict[int, bytes]:
        """Every key group of these slices."""
        return {
            group: data for group, data in self._groups.items() if slice_of_group(group) in slices
        }
