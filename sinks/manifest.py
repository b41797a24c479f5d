"""Which files hold the rows of a past day: one object per day, replaced whole.

The manifest of a day is a small Parquet file, so that Athena joins it like a table: a row for every
hour and shard says up to which Position the rows of hourly files count no more, since a compacted
version holds them. Whoever reads all of a question's rows against one manifest sees each row once,
and to put another manifest in its place is to put one object. What only `tillwatch compact` needs
to know lies in the file's metadata.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from datetime import UTC, datetime
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec
import zstandard

from events.instant import DAY, Instant, from_datetime

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sinks.object_store import ObjectStore
    from sinks.parquet import ClosedHour

HOURLY = "processed/"
COMPACTED = "compacted/"
MANIFESTS = f"{COMPACTED}manifests/"

_METADATA = b"tillwatch"
_OPTIONS: dict[str, Any] = {
    "compression": "zstd",
    "store_schema": False,
    "use_dictionary": ["version"],
    "write_statistics": False,
}
_HOURLY = re.compile(
    r"processed/date=(\d{4}-\d\d-\d\d)/hour=(\d\d)/(.+)-(\d+-\d+)-(\d+-\d+)\.parquet"
)


class HourlyFile(msgspec.Struct, frozen=True):
    """A published hour's file, as its key tells it."""

    key: str
    date: str
    hour: int
    shard_id: str
    last: str


class Cover(msgspec.Struct, frozen=True):
    """Rows of this hour and shard up to `through`, a Position's slug, are in the version."""

    hour: int
    shard_id: str
    through: str


class Manifest(msgspec.Struct, frozen=True):
    """What readers see of one day's compacted rows.

    `version` is what the rows of its files say in their column of that name, and what the keys of
    its `parts` files begin with; `merged` are the keys of the hourly files whose rows it holds;
    `size` is bytes of all its files; `since` is when it was put.
    """

    date: str
    version: str
    parts: int
    size: int
    covers: tuple[Cover, ...]
    merged: tuple[str, ...]
    since: Instant


def hourly_file(key: str) -> HourlyFile | None:
    """What the key of a published hour's file says; None where it is the key of something else."""
    found = _HOURLY.fullmatch(key)
    if found is None:
        return None
    date, hour, shard_id, _, last = found.groups()
    return HourlyFile(key, date, int(hour), shard_id, last)


def manifest_key(date: str) -> str:
    """Where the manifest of `date` lies."""
    return f"{MANIFESTS}date={date}/manifest.parquet"


def part_key(version: str, part: int) -> str:
    """Where one of the files of `version` lies."""
    return f"{COMPACTED}{version}-{part:04d}.parquet"


def order(slug: str) -> tuple[int, int]:
    """What slugs of Positions of one shard are compared by."""
    sequence, _, sub = slug.partition("-")
    return int(sequence), int(sub)


def covers(files: Iterable[HourlyFile], before: Iterable[Cover] = ()) -> tuple[Cover, ...]:
    """How far each hour and shard is covered by `files` and what was covered `before`."""
    through = {(cover.hour, cover.shard_id): cover.through for cover in before}
    for file in files:
        place = (file.hour, file.shard_id)
        through[place] = max(through.get(place, file.last), file.last, key=order)
    return tuple(Cover(*place, last) for place, last in sorted(through.items()))


def packed(manifest: Manifest) -> bytes:
    """The manifest as the bytes of its object."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sinks.schema import MANIFEST_SCHEMA

    places = [cover.through.partition("-") for cover in manifest.covers]
    size = len(places)
    table = pa.Table.from_arrays(
        [
            pa.array([cover.hour for cover in manifest.covers], pa.int32()),
            pa.array([cover.shard_id for cover in manifest.covers], pa.string()),
            pa.array([place[0] for place in places], pa.string()),
            pa.array([int(place[2]) for place in places], pa.int64()),
            pa.array([manifest.version] * size, pa.string()),
        ],
        schema=MANIFEST_SCHEMA,
    )
    sink = BytesIO()
    with pq.ParquetWriter(sink, table.schema, **_OPTIONS) as writer:
        held = zstandard.compress(msgspec.json.encode(manifest))
        writer.add_key_value_metadata({_METADATA: b64encode(held)})
        writer.write_table(table)
    return sink.getvalue()


def unpacked(body: bytes) -> Manifest:
    """The manifest in the bytes of its object.

    Raises:
        ValueError: they are those of something else.
    """
    return unpacked_with_rows(body)[0]


def unpacked_with_rows(body: bytes) -> tuple[Manifest, Any]:
    """The manifest, and its rows as a table.

    Raises:
        ValueError: the bytes are those of something else.
    """
    import pyarrow.parquet as pq

    file = pq.ParquetFile(BytesIO(body))
    held = (file.metadata.metadata or {}).get(_METADATA)
    if held is None:
        raise ValueError("it is no manifest")
    manifest = msgspec.json.decode(zstandard.decompress(b64decode(held)), type=Manifest)
    return manifest, file.read(use_threads=False)


def compacted_already(store: ObjectStore, closed: ClosedHour) -> bool:
    """Whether the file of `closed` was published, and its rows lie in a compacted version now."""
    file = hourly_file(closed.key)
    if file is None:
        return False
    try:
        body = store.get(manifest_key(file.date))
    except KeyError:
        return False
    return closed.key in unpacked(body).merged


def end_of(date: str) -> Instant:
    """When the UTC day `date`, such as 2026-01-05, is over."""
    return from_datetime(datetime.fromisoformat(date).replace(tzinfo=UTC)) + DAY
