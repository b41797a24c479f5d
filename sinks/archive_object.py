"""One object of the raw archive: records of one shard as they came, with their Positions.

`archive/<stream>/date=YYYY-MM-DD/hour=HH/<shard>-<first>-<last>-<after>.records`, by the hour (UTC)
of arrival. `<after>` is where the shard stood before the object's first record: so a list of names
says whether something between two objects is missing. On disk: the magic `TWAR`, a two-byte format
version, and, sealed (sinks/archive_seal.py), zstd-compressed MessagePack of the index and behind it
all records' bytes in one piece.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import accumulate, pairwise
from typing import Final

import msgspec
import zstandard

from events.instant import HOUR, Instant, floor_hour, from_datetime, to_datetime
from events.position import Position
from events.record import Record
from sinks.archive_seal import Keys, SealError

FORMAT_VERSION: Final = 1
MAGIC: Final = b"TWAR"
SUFFIX: Final = ".records"
LEVEL: Final = 1
"""Of zstd: 3 makes objects a tenth smaller and takes twice the time."""
_BEGINNING: Final = "0-0"
"""A Position before all others: what a shard stands at that nobody read yet."""
_OUTSIDE: Final = MAGIC + FORMAT_VERSION.to_bytes(2, "big")
_LENGTH_BYTES: Final = 4
_PACKED_RECORDS: Final = 512
OBJECT_BYTES_MAX: Final = 2**30
"""Of one object, unpacked; a batch is bounded far below (`batch_bytes_max`)."""


class ArchiveError(Exception):
    """An object of the archive cannot be used; the message says which and why."""


class Name(msgspec.Struct, frozen=True):
    """What an object's key says: of which shard, from where to where, in which hour.

    Everything of the shard behind `after` (None: since it began) up to `last` is in it.
    """

    key: str
    hour: Instant
    shard_id: str
    first: Position
    last: Position
    after: Position | None


class Contents(msgspec.Struct, frozen=True):
    """What an object holds; `after` as in its name."""

    stream: str
    shard_id: str
    after: Position | None
    records: tuple[Record, ...]

    def key(self, hour: Instant) -> str:
        """The key of the object that holds this; there is a record in it at least."""
        first, last = self.records[0].position.slug, self.records[-1].position.slug
        after = self.after.slug if self.after else _BEGINNING
        name = f"{self.shard_id}-{first}-{last}-{after}{SUFFIX}"
        return f"{folder(self.stream, hour)}{name}"


class _Index(msgspec.Struct, array_like=True):
    stream: str
    shard_id: str
    after: tuple[str, int] | None
    sequences: list[str]
    subs: list[int]
    arrivals: list[int | None]
    keys: list[str]
    lengths: list[int]


_decoder = msgspec.msgpack.Decoder(_Index)
_encode = msgspec.msgpack.Encoder().encode


def folder(stream: str, hour: Instant) -> str:
    """Where the objects of one hour of arrival lie."""
    start = to_datetime(hour)
    return f"archive/{stream}/date={start.date().isoformat()}/hour={start:%H}/"


def name_of(key: str, stream: str) -> Name | None:
    """What `key` says; None for one that is no object of the archive of `stream`."""
    path, _, file = key.rpartition("/")
    date, _, hour = path.removeprefix(f"archive/{stream}/date=").partition("/hour=")
    parts = file.removesuffix(SUFFIX).rsplit("-", 6)
    if not file.endswith(SUFFIX) or len(parts) != 7:  # noqa: PLR2004 -- a shard and three slugs
        return None
    shard_id, *numbers = parts
    if not all(number.isdigit() for number in (*numbers, hour)):
        return None
    try:
        day = from_datetime(datetime.fromisoformat(date).replace(tzinfo=UTC))
    except ValueError:
        return None
    first, last, after = (
        Position(shard_id, sequence, int(sub))
        for sequence, sub in zip(numbers[::2], numbers[1::2], strict=True)
    )
    begun = None if after.slug == _BEGINNING else after
    return Name(key, day + int(hour) * HOUR, shard_id, first, last, begun)


def by_hour(records: Sequence[Record]) -> Iterator[tuple[Instant, Sequence[Record]]]:
    """`records`, one after the other, by the hour in which they arrived.

    Arrival is approximate: one that seems to have arrived ahead of the record before it goes with
    that one, so that every hour's records are all there are between the first and the last.
    """
    hour, begin = -1, 0
    for number, record in enumerate(records):
        arrived = record.arrived_at
        if arrived is not None and arrived >= hour + HOUR:
            if number > begin:
                yield max(hour, 0), records[begin:number]
            hour, begin = floor_hour(arrived), number
    if len(records) > begin:
        yield max(hour, 0), records[begin:]


def encode(contents: Contents, keys: Keys) -> bytes:
    """The bytes of an object: per record about a microsecond, most of it zstd's."""
    records = contents.records
    index = _encode(
        _Index(
            contents.stream,
            contents.shard_id,
            _place(contents.after),
            [record.position.sequence_number for record in records],
            [record.position.sub_sequence_number for record in records],
            [record.arrived_at for record in records],
            [record.partition_key for record in records],
            [len(record.data) for record in records],
        )
    )
    length = len(index).to_bytes(_LENGTH_BYTES, "big")
    size = len(length) + len(index) + sum(len(record.data) for record in records)
    packing = zstandard.ZstdCompressor(level=LEVEL).compressobj(size=size)
    packed = [packing.compress(length + index)]
    # Some at a time: all in one piece would be there twice.
    for start in range(0, len(records), _PACKED_RECORDS):
        part = b"".join([record.data for record in records[start : start + _PACKED_RECORDS]])
        packed.append(packing.compress(part))
    packed.append(packing.flush())
    return _OUTSIDE + keys.seal(b"".join(packed), _OUTSIDE)


def decode(key: str, data: bytes, keys: Keys) -> Contents:
    """What `data`, read from `key`, holds.

    Raises:
        ArchiveError: torn, changed, of another version, sealed under a key that is not here.
    """
    if data[: len(MAGIC)] != MAGIC or len(data) < len(_OUTSIDE):
        raise ArchiveError(f"{key} is no object of the archive, or only the beginning of one")
    if data[: len(_OUTSIDE)] != _OUTSIDE:
        found = int.from_bytes(data[len(MAGIC) : len(_OUTSIDE)], "big")
        raise ArchiveError(
            f"{key} has format version {found}, and this program reads {FORMAT_VERSION}"
        )
    try:
        packed = keys.open(data[len(_OUTSIDE) :], _OUTSIDE)
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= OBJECT_BYTES_MAX:
            raise ArchiveError(f"{key} would be {size:,} bytes, and {OBJECT_BYTES_MAX:,} is most")
        whole = zstandard.ZstdDecompressor().decompress(packed)
        body = _LENGTH_BYTES + int.from_bytes(whole[:_LENGTH_BYTES], "big")
        index = _decoder.decode(whole[_LENGTH_BYTES:body])
    except SealError as error:
        raise ArchiveError(f"{key} cannot be opened: {error}") from error
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise ArchiveError(f"{key} does not hold what it should: {error}") from error
    return Contents(
        index.stream,
        index.shard_id,
        _position(index.shard_id, index.after),
        tuple(_records(index, whole, body)),
    )


def _records(index: _Index, whole: bytes, start: int) -> Iterator[Record]:
    shard_id = index.shard_id
    ends = pairwise(accumulate(index.lengths, initial=start))
    for sequence, sub, arrived, key, (begin, end) in zip(
        index.sequences, index.subs, index.arrivals, index.keys, ends, strict=True
    ):
        yield Record(Position(shard_id, sequence, sub), whole[begin:end], key, arrived)


def _place(position: Position | None) -> tuple[str, int] | None:
    if position is None:
        return None
    return position.sequence_number, position.sub_sequence_number


def _position(shard_id: str, place: tuple[str, int] | None) -> Position | None:
    return Position(shard_id, *place) if place else None
