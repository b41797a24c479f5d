"""The records of a shard out of the raw archive, each once and in the order of the stream."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush

import msgspec

from events.instant import HOUR, Instant, floor_hour
from events.position import Position
from events.record import Record
from sinks.archive_object import ArchiveError, Contents, Name, decode, folder, name_of
from sinks.archive_seal import Keys
from sinks.object_store import ObjectStore


class Run(msgspec.Struct, frozen=True):
    """Objects in order that hold everything of a shard from behind `after` to the last of them.

    `after` is None for the shard's beginning.
    """

    after: Position | None
    names: tuple[Name, ...]


class ArchivedRecords:
    """Reads shards of `stream` out of `store`; waiting for it, and Stopped, are the store's own.

    Arrival is approximate: a record may arrive a little before the one ahead of it. So one hour
    more than asked for is listed at either end. What is older than `kept`, and a day, is not
    looked for.
    """

    def __init__(self, store: ObjectStore, stream: str, keys: Keys, *, kept: Instant) -> None:
        self._hours_kept = kept // HOUR + 24
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
        back: Instant | None = None,
    ) -> list[Run]:
        """What there is behind `after`, up to the hour of `end`; between two runs something lacks.

        It looks back from the hour of `around`, a time at or behind `after`, until nothing can be
        missing, for `back` at most.
        """
        hours_max = self._hours_kept if back is None else min(-(-back // HOUR), self._hours_kept)
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
        return list(_runs(ordered, after))

    def first_from(self, shard_id: str, time: Instant, end: Instant) -> Position | None:
        """Where the first record lies that arrived at `time` or later, up to the hour of `end`."""
        for hour in range(floor_hour(time), floor_hour(end) + 1, HOUR):
            names = sorted(self._listed(hour, shard_id), key=lambda name: name.first.order)
            # Most of an hour's objects need not be opened.
            at = bisect_left(names, time, key=self._arrival_of_last)
            for record in self.read(names[max(at - 1, 0) :], None):
                if (record.arrived_at or 0) >= time:
                    return record.position
        return None

    def reaches(self, position: Position, around: Instant) -> bool:
        """Whether it has what came right before `position`, which arrived at `around` or later.

        Or whether nothing did: the shard began with it.
        """
        names = [
            name
            for run in self.find(position.shard_id, _before(position), around, around)
            for name in run.names
            if name.first.order <= position.order
        ]
        if not names or names[0].after is None or names[0].first.order < position.order:
            return bool(names)
        ahead = names[0].after
        found = self.find(position.shard_id, _before(ahead), around, around)
        return any(name.first.order <= ahead.order for run in found for name in run.names)

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


def _before(position: Position) -> Position:
    """A Position ahead of `position`, and behind every other that is."""
    sub = position.sub_sequence_number - 1
    return Position(position.shard_id, position.sequence_number, sub)


def _reaches(name: Name, after: Position | None) -> bool:
    """Whether nothing older than this object is needed to go on behind `after`."""
    if name.after is None:
        return True
    return after is not None and name.after.order <= after.order


def _runs(names: Sequence[Name], after: Position | None) -> Iterator[Run]:
    begin, run, covered = after, list[Name](), after
    for name in names:
        gap = name.after is not None and (covered is None or name.after.order > covered.order)
        if gap or not run:
            if run:
                yield Run(begin, tuple(run))
            begin, run = name.after, []
        run.append(name)
        if covered is None or name.last.order > covered.order:
            covered = name.last
    if run:
        yield Run(begin, tuple(run))


def _push(
    heads: list[tuple[tuple[int, int], int, Record, Iterator[Record]]],
    number: int,
    records: Iterator[Record],
) -> None:
    record = next(records, None)
    if record is not None:
        heappush(heads, (record.position.order, number, record, records))
