"""The records of a shard out of the raw archive, each once and in the order of the stream."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

import msgspec

from events.instant import HOUR, Instant, floor_hour, to_iso
from events.position import Position
from events.record import Record
from sinks.archive_object import ArchiveError, Contents, Name, decode, folder, name_of
from sinks.archive_seal import Keys
from sinks.object_store import ObjectStore

HOURS_LISTED_MAX = 24 * 400
"""Hours that are listed in the search for where a stretch begins."""


class Found(msgspec.Struct, frozen=True):
    """What the archive has of a shard behind a Position: objects in order, and what lies between.

    `gaps` are pairs of Positions: nothing is known of what came behind the first of them, up to
    and with the second. None is the shard's beginning.
    """

    names: tuple[Name, ...]
    gaps: tuple[tuple[Position | None, Position], ...]

    def until_gap(self, position: Position | None) -> tuple[Name, ...]:
        """The objects before the first gap that begins at or behind `position`."""
        order = position.order if position else (0, 0)
        ahead = [before.order for _, before in self.gaps if before.order > order]
        return tuple(n for n in self.names if not ahead or n.first.order <= ahead[0])


class ArchivedRecords:
    """Reads shards of `stream` out of `store`; waiting for it, and Stopped, are the store's own.

    Arrival is approximate: a record may arrive a little before the one ahead of it. So one hour more
    than asked for is listed at either end.
    """

    def __init__(self, store: ObjectStore, stream: str, keys: Keys) -> None:
        self._store = store
        self._stream = stream
        self._keys = keys

    def shards(self, begin: Instant, end: Instant) -> set[str]:
        """The shards that have records which arrived in these hours."""
        return {
            name.shard_id
            for hour in range(floor_hour(begin), end + 1, HOUR)
            for name in self._listed(hour, "")
        }

    def find(
        self,
        shard_id: str,
        after: Position | None,
        around: Instant,
        end: Instant,
        hours_max: int = HOURS_LISTED_MAX,
    ) -> Found:
        """What there is behind `after`, up to the hour of `end`.

        It looks back from the hour of `around`, a time at or behind `after`, until nothing can be
        missing, `hours_max` hours at most.
        """
        first = floor_hour(around)
        names = [
            name
            for hour in range(first, floor_hour(end) + HOUR + 1, HOUR)
            for name in self._listed(hour, shard_id)
        ]
        hour, enough = first, False
        for _ in range(hours_max):
            if enough:
                break
            enough = any(_reaches(name, after) for name in names)
            hour -= HOUR
            names += self._listed(hour, shard_id)
        order = after.order if after else (0, 0)
        behind = [name for name in names if name.last.order > order]
        ordered = sorted(behind, key=lambda name: (name.first.order, name.last.order))
        return Found(tuple(ordered), tuple(_gaps(ordered, after)))

    def first_from(self, shard_id: str, time: Instant, end: Instant) -> Position | None:
        """Where the first record lies that arrived at `time` or later; None for none up to `end`."""
        for hour in range(floor_hour(time), floor_hour(end) + 1, HOUR):
            names = sorted(self._listed(hour, shard_id), key=lambda name: name.first.order)
            # Most of an hour's objects need not be opened.
            at = bisect_left(names, time, key=lambda name: self._arrival_of_last(name))
            for record in self.read(names[max(at - 1, 0) :], None):
                if (record.arrived_at or 0) >= time:
                    return record.position
        return None

    def read(self, names: Sequence[Name], after: Position | None) -> Iterator[Record]:
        """The records of `names`, which are in order, behind `after`.

        As many objects are in memory as overlap in one place, one or two as a rule.

        Raises:
            ArchiveError: an object cannot be used.
        """
        last = after.order if after else (-1, 0)
        heads: list[tuple[tuple[int, int], int, Record, Iterator[Record]]] = []
        opened = 0
        while heads or opened < len(names):
            while opened < len(names) and (not heads or names[opened].first.order <= heads[0][0]):
                records = iter(self._open(names[opened]).records)
                opened += 1
                _push(heads, opened, records)
            if not heads:
                continue
            order, number, record, records = heappop(heads)
            _push(heads, number, records)
            if order > last:
                last = order
                yield record

    def _arrival_of_last(self, name: Name) -> Instant:
        return max(record.arrived_at or 0 for record in self._open(name).records[-1:])

    def _open(self, name: Name) -> Contents:
        try:
            found = decode(name.key, self._store.get(name.key), self._keys)
        except KeyError:
            raise ArchiveError(f"{name.key} was there when it was listed, and is gone") from None
        if not found.records or found.key(name.hour) != name.key:
            raise ArchiveError(f"{name.key} is that of another place, under a wrong name")
        return found

    def _listed(self, hour: Instant, shard_id: str) -> list[Name]:
        if hour < 0:
            return []
        prefix = folder(self._stream, hour) + (f"{shard_id}-" if shard_id else "")
        names = (name_of(key, self._stream) for key in self._store.keys(prefix))
        return [name for name in names if name is not None]


def told(gap: tuple[Position | None, Position]) -> str:
    """A gap in words."""
    after, before = gap
    begin = f"behind {after.slug}" if after else "of its beginning"
    return f"the archive has nothing {begin} up to {before.slug}"


def when(record: Record | None) -> str:
    """When a record arrived, in words."""
    if record is None or record.arrived_at is None:
        return "at an unknown time"
    return to_iso(record.arrived_at)


def _reaches(name: Name, after: Position | None) -> bool:
    """Whether nothing older than this object is needed to go on behind `after`."""
    if name.after is None:
        return True
    return after is not None and name.after.order <= after.order


def _gaps(
    names: Sequence[Name], after: Position | None
) -> Iterator[tuple[Position | None, Position]]:
    covered = after
    for name in names:
        begin = name.after
        if begin is not None and (covered is None or begin.order > covered.order):
            yield covered, begin
        if covered is None or name.last.order > covered.order:
            covered = name.last


def _push(
    heads: list[tuple[tuple[int, int], int, Record, Iterator[Record]]],
    number: int,
    records: Iterator[Record],
) -> None:
    record = next(records, None)
    if record is not None:
        heappush(heads, (record.position.order, number, record, records))
