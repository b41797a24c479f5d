"""The open hours of a shard, made anew from the rows that lie in the bucket."""

import io
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from consumer.hours import HoursState, OpenHour
from events.batch import Batch, Scored
from events.instant import Instant, floor_hour, to_datetime
from events.position import Position
from sinks.manifest import compacted_already, manifest_key, part_key, unpacked
from sinks.object_store import ObjectStore
from sinks.parquet import ParquetSink
from sinks.rows import Rows
from sinks.schema import SCHEMA

HOURS_HELD_MAX = 6
"""Hours whose positions are held in memory at a time."""

_PLACE = ["sequence_number", "sub_sequence_number"]
_WHEN = ["occurred_at", "shard_id"]
_Place = tuple[str, int]
_Group = tuple[str, int]
"""A staged part's key, and the row group in it."""


class RebuildError(Exception):
    """A shard's state cannot be made anew; nothing that counts was changed."""


class Standing(Protocol):
    """Knows which transactions have a document."""

    def position_of(self, transaction_id: str, occurred_at: Instant) -> Position | None:
        """The Position of the record that it was indexed from; None if it has none."""
        ...


class Regained(msgspec.Struct, frozen=True):
    """What was found: open hours, and how many rows they hold."""

    hours: HoursState
    staged_rows: int
    lost_rows: int
    """Rows that lay nowhere any more, and were made anew from the stream."""


class ShardRows:
    """The rows of one shard up to `until`: those that are published, and those that are staged.

    Every row carries its Position, and every record's row is the same whoever staged it. So what is
    still to publish is what lies in a staged part and in no final file, each Position once.
    `staging` is what the keys of the application's staged parts begin with.
    """

    def __init__(
        self, store: ObjectStore, staging: str, shard_id: str, until: Position | None
    ) -> None:
        self._store = store
        self._staging = staging
        self._shard_id = shard_id
        self._until = until
        self._groups: dict[Instant, list[_Group]] = {}
        self._known: OrderedDict[Instant, set[_Place]] = OrderedDict()

    def look(self) -> int:
        """Find the staged row groups of every hour; the number of parts that can be read.

        A part that cannot be read is as good as gone: its rows are made anew.
        """
        firsts: dict[_Group, tuple[int, int]] = {}
        readable = 0
        for key in self._store.keys(f"{self._staging}{self._shard_id}/"):
            if not self._readable(key):
                continue
            part = self._opened(key)
            readable += 1
            for group in range(part.num_row_groups):
                table = part.read_row_group(group, columns=["occurred_at", *_PLACE])
                hour = floor_hour(table["occurred_at"].cast(pa.int64())[0].as_py())
                firsts[key, group] = min(_order(place) for place in _places(table))
                self._groups.setdefault(hour, []).append((key, group))
        for groups in self._groups.values():
            groups.sort(key=firsts.__getitem__)
        return readable

    def first_lost(self, hours: HoursState) -> Position | None:
        """Where the hours begin that lack a piece which they need; None where all can be read.

        An hour whose final file is there needs none.
        """
        entries = [(entry.first, entry.pieces) for entry in hours.open.values()]
        entries += [
            (one.first, list(one.pieces))
            for one in hours.to_publish
            if one.shard_id == self._shard_id and one.key not in self._store.keys(one.key)
            if not compacted_already(self._store, one)
        ]
        good = {key: self._readable(key) for key in {key for _, ps in entries for key, _ in ps}}
        lost = [first for first, pieces in entries if not all(good[key] for key, _ in pieces)]
        if not lost:
            return None
        sequence, sub = min((_of_slug(first) for first in lost), key=_order)
        return Position(self._shard_id, sequence, sub)

    def lacks(self, item: Scored) -> bool:
        """Whether there is no row of `item`, neither published nor staged."""
        hour = floor_hour(item.transaction.occurred_at)
        known = self._known.get(hour)
        if known is None:
            known = self._known[hour] = self._published(hour)
            for key, group in self._groups.get(hour, ()):
                table = self._opened(key).read_row_group(group, columns=_PLACE)
                known.update(_places(table))
            while len(self._known) > HOURS_HELD_MAX:
                self._known.popitem(last=False)
        self._known.move_to_end(hour)
        return (item.position.sequence_number, item.position.sub_sequence_number) not in known

    def regain(self, lost: Iterable[Scored], watermark: Instant | None, name: str) -> Regained:
        """Write what has to be staged anew, under keys with `name` in them, and open the hours.

        A staged row group whose rows are all still to publish stays as it is; of another one those
        rows are staged again. `lost` are staged too. Old parts that nothing names any more are
        swept by the worker behind its first commit.
        """
        hours = HoursState(watermark=watermark)
        rows = 0
        for hour in sorted(self._groups):
            seen = self._published(hour)
            for key, group in self._groups[hour]:
                table = self._opened(key).read_row_group(group)
                kept = [self._wanted(place, seen) for place in _places(table)]
                seen.update(_places(table))
                if not any(kept):
                    continue
                rows += sum(kept)
                piece = (key, group)
                if not all(kept):
                    piece = self._staged_anew(hour, key, group, table.filter(pa.array(kept)), name)
                places = [place for place, keep in zip(_places(table), kept, strict=True) if keep]
                _add(hours, hour, piece, places)
        anew = self._lost(tuple(lost), hours)
        return Regained(hours, rows, anew)

    def _lost(self, lost: Sequence[Scored], hours: HoursState) -> int:
        if not lost:
            return 0
        batch = Batch(
            scored=tuple(lost),
            pages=(),
            rejections=(),
            first=lost[0].position,
            last=lost[-1].position,
            records=len(lost),
        )
        part = ParquetSink(self._store, staging=self._staging).write(batch).staged
        for group, hour in enumerate(part.hours if part else ()):
            of = [item for item in lost if floor_hour(item.transaction.occurred_at) == hour]
            places = [(it.position.sequence_number, it.position.sub_sequence_number) for it in of]
            _add(hours, hour, (part.key if part else "", group), places)
        return len(lost)

    def _wanted(self, place: _Place, seen: set[_Place]) -> bool:
        beyond = self._until is not None and _order(place) > self._until.order
        return place not in seen and not beyond

    def _staged_anew(self, hour: Instant, key: str, group: int, table: Any, name: str) -> _Group:
        from sinks.parquet import encode

        body = encode(
            Rows(pa.Table.from_arrays(table.columns, schema=SCHEMA), (hour,), (len(table),))
        )
        stem = key.removeprefix(f"{self._staging}{self._shard_id}/").removesuffix(".parquet")
        anew = f"{self._staging}{self._shard_id}/{stem}.{name}.{group}.parquet"
        self._store.put(anew, body)
        return anew, 0

    def _published(self, hour: Instant) -> set[_Place]:
        start = to_datetime(hour)
        folder = f"processed/date={start.date().isoformat()}/hour={start:%H}/{self._shard_id}-"
        found: set[_Place] = set()
        for key in self._store.keys(folder):
            try:
                found.update(_places(self._opened(key).read(_PLACE)))
            except pa.ArrowInvalid as error:
                raise RebuildError(
                    f"{key} cannot be read, so nobody knows which rows are in it: bring it back "
                    f"from the bucket's versions, or delete it ({error})"
                ) from error
        return found | self._compacted(start.date().isoformat(), hour)

    def _compacted(self, date: str, hour: Instant) -> set[_Place]:
        """Rows of the hour that lie in the merged files of its day."""
        held = self._store.keys(manifest_key(date))
        if not held:
            return set()
        manifest = unpacked(self._store.get(held[0]))
        found: set[_Place] = set()
        for part in range(manifest.parts):
            table = self._opened(part_key(manifest.version, part)).read([*_PLACE, *_WHEN])
            times = table["occurred_at"].cast(pa.int64()).to_pylist()
            shards = table["shard_id"].to_pylist()
            found.update(
                place
                for place, time, shard in zip(_places(table), times, shards, strict=True)
                if floor_hour(time) == hour and shard == self._shard_id
            )
        return found

    def _readable(self, key: str) -> bool:
        try:
            self._opened(key)
        except (KeyError, pa.ArrowInvalid):
            return False
        return True

    def _opened(self, key: str) -> Any:
        return pq.ParquetFile(io.BytesIO(self._store.get(key)))


def _places(table: Any) -> list[_Place]:
    names = (table[name].to_pylist() for name in _PLACE)
    return list(zip(*names, strict=True))


def _order(place: _Place) -> tuple[int, int]:
    return int(place[0]), place[1]


def _of_slug(slug: str) -> _Place:
    sequence, _, sub = slug.partition("-")
    return sequence, int(sub)


def _add(
    hours: HoursState, hour: Instant, piece: tuple[str, int], places: Sequence[_Place]
) -> None:
    ordered = sorted(places, key=_order)
    first, last = (f"{sequence}-{sub}" for sequence, sub in (ordered[0], ordered[-1]))
    mark = hours.watermark
    entry = hours.open.get(hour)
    if entry is None:
        opened = hour if mark is None else min(hour, mark)
        entry = hours.open[hour] = OpenHour(opened_at=opened, pieces=[], first=first, last=last)
    entry.pieces.append(piece)
    entry.last = max(entry.last, last, key=lambda slug: _order(_of_slug(slug)))
    hours.staged[piece[0]] = hours.staged.get(piece[0], 0) + 1
