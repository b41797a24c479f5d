"""The raw archive: what it holds, how it is sealed, and what it refuses to open."""

import random
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.batch import Batch
from events.instant import HOUR, SECOND, Instant
from events.position import Position
from events.record import Record
from sinks import archive_object
from sinks.archive import ArchiveSink
from sinks.archive_object import (
    MAGIC,
    ArchiveError,
    Contents,
    Name,
    by_hour,
    decode,
    encode,
    name_of,
)
from sinks.archive_seal import KEY_BYTES, Keys, SealError, key_id
from sinks.memory import MemoryObjectStore
from sinks.prepared import Prepared
from tests.sinks.made import NOON, SHARD, position

STREAM = "tills-of-a.chain_1"
KEYS = Keys(b"k" * KEY_BYTES)
CLEAR = b'{"contact":{"email":"jane@example.com"},"card_token":"4111111111111111"}'


def record(number: int, data: bytes = CLEAR, arrived_at: Instant | None = NOON) -> Record:
    return Record(position(number), data, f"shop-{number % 3}", arrived_at)


def batch(records: Iterable[Record], after: Position | None = None) -> Batch:
    raw = tuple(records)
    return Batch((), (), (), raw[0].position, raw[-1].position, len(raw), raw=raw, after=after)


def opened(store: MemoryObjectStore, keys: Keys = KEYS) -> dict[str, Contents]:
    return {key: decode(key, store.get(key), keys) for key in store.keys("")}


def test_what_it_holds_is_every_record_to_the_byte_by_the_hour_of_arrival() -> None:
    store = MemoryObjectStore()
    records = [record(n, bytes([n, 255, 0]) * n, NOON + n * HOUR // 4) for n in range(10)]
    records[3] = Record(Position(SHARD, records[3].position.sequence_number, 7), b"", "k", NOON)
    ArchiveSink(store, STREAM, KEYS).write(batch(records, after=position(-5)))
    found = opened(store)
    assert [name_of(key, STREAM) is not None for key in found] == [True] * 3
    assert [one for contents in found.values() for one in contents.records] == records
    afters = [contents.after for contents in found.values()]
    assert afters == [position(-5), records[3].position, records[7].position]
    for key, contents in found.items():
        name = name_of(key, STREAM)
        assert name is not None
        ends = (contents.records[0].position, contents.records[-1].position)
        assert (name.first, name.last, name.after) == (*ends, contents.after)
        hours = {(one.arrived_at or 0) // HOUR * HOUR for one in contents.records}
        assert hours == {name.hour}


def test_its_keys_say_stream_hour_shard_and_positions() -> None:
    shard = "shardId-000000000001"
    first, last = Position(shard, "12", 3), Position(shard, "99")
    records = (Record(first, b"", "k"), Record(last, b"", "k"))
    for after, slug in ((None, "0-0"), (Position(shard, "12", 2), "12-2")):
        key = Contents(STREAM, shard, after, records).key(NOON)
        assert key == (f"archive/{STREAM}/date=2026-01-05/hour=12/{shard}-12-3-99-0-{slug}.records")
        assert name_of(key, STREAM) == Name(key, NOON, shard, first, last, after)


@pytest.mark.parametrize(
    "key",
    [
        "archive/other/date=2026-01-05/hour=12/s-1-0-2-0-0-0.records",
        f"archive/{STREAM}/date=2026-13-05/hour=12/s-1-0-2-0-0-0.records",
        f"archive/{STREAM}/date=2026-01-05/hour=noon/s-1-0-2-0-0-0.records",
        f"archive/{STREAM}/date=2026-01-05/hour=12/s-1-0-2-0-0.records",
        f"archive/{STREAM}/date=2026-01-05/hour=12/s-1-0-2-0-0-0.parquet",
        "processed/x",
        "",
    ],
)
def test_what_is_none_of_its_keys_is_none(key: str) -> None:
    assert name_of(key, STREAM) is None


def test_nothing_of_a_record_can_be_read_without_the_key() -> None:
    rng = random.Random(4)
    secrets = [rng.randbytes(24).hex().encode() for _ in range(50)]
    store = MemoryObjectStore()
    raw = [Record(position(n), secret, "shop-17", NOON) for n, secret in enumerate(secrets)]
    ArchiveSink(store, STREAM, KEYS).write(batch(raw))
    (key,) = store.keys("")
    body = store.get(key)
    assert body.startswith(MAGIC)
    assert not any(
        secret in body for secret in (*secrets, b"shop-17", b"zstd", b"\x28\xb5\x2f\xfd")
    )
    with pytest.raises(ArchiveError, match="sealed under key") as error:
        decode(key, body, Keys(b"x" * KEY_BYTES))
    assert key in str(error.value)


def test_a_key_that_was_changed_still_opens_what_it_sealed() -> None:
    store = MemoryObjectStore()
    ArchiveSink(store, STREAM, Keys(b"1" * KEY_BYTES)).write(batch([record(1)]))
    ArchiveSink(store, STREAM, Keys(b"2" * KEY_BYTES, [b"1" * KEY_BYTES])).write(batch([record(2)]))
    both = Keys(b"3" * KEY_BYTES, [b"1" * KEY_BYTES, b"2" * KEY_BYTES])
    assert len(opened(store, both)) == 2
    with pytest.raises(ArchiveError, match=key_id(b"1" * KEY_BYTES).hex()):
        opened(store, Keys(b"2" * KEY_BYTES))


@pytest.mark.parametrize("at", range(0, 400, 3))
def test_whatever_byte_is_changed_it_is_refused(at: int) -> None:
    records = tuple(record(n, random.Random(n).randbytes(20)) for n in range(20))
    body = bytearray(encode(Contents(STREAM, SHARD, None, records), KEYS))
    assert len(body) > 400
    body[at] ^= 0x40
    with pytest.raises(ArchiveError, match="some/key"):
        decode("some/key", bytes(body), KEYS)


@pytest.mark.parametrize("length", [0, 3, 4, 6, 20, 60, 200])
def test_one_that_is_torn_is_refused(length: int) -> None:
    body = encode(Contents(STREAM, SHARD, None, (record(9),)), KEYS)
    with pytest.raises(ArchiveError):
        decode("some/key", body[: min(length, len(body) - 1)], KEYS)


def test_a_batch_that_is_built_again_gives_the_same_bytes_and_another_one_others() -> None:
    sink = ArchiveSink(MemoryObjectStore(), STREAM, KEYS)
    once, twice = MemoryObjectStore(), MemoryObjectStore()
    for store in (once, twice):
        ArchiveSink(store, STREAM, KEYS).write(batch([record(1), record(2)]))
    assert [once.get(key) for key in once.keys("")] == [twice.get(key) for key in twice.keys("")]
    sealed = {KEYS.seal(b"%d" % n, b"")[8:32] for n in range(1_000)}
    assert len(sealed) == 1_000, "no two have one nonce"
    assert isinstance(sink.prepare(batch([record(1)])), Prepared)


def test_building_writes_nothing() -> None:
    store = MemoryObjectStore()
    made = ArchiveSink(store, STREAM, KEYS).prepare(batch([record(1)]))
    assert store.keys("") == []
    made.write()
    assert len(store.keys("")) == 1


def test_what_is_tied_to_a_seal_cannot_be_exchanged() -> None:
    sealed = KEYS.seal(b"content", b"version 1")
    assert KEYS.open(sealed, b"version 1") == b"content"
    with pytest.raises(SealError, match="changed"):
        KEYS.open(sealed, b"version 2")


def test_keys_of_another_length_are_refused_and_none_is_shown() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Keys(b"too short")
    assert "kkkk" not in repr(KEYS)
    assert key_id(b"k" * KEY_BYTES).hex() in repr(KEYS)


@given(st.lists(st.one_of(st.none(), st.integers(0, 40 * HOUR)), max_size=30))
def test_by_hour_every_record_is_there_once_and_in_order(arrivals: list[int | None]) -> None:
    records = [record(n, arrived_at=at) for n, at in enumerate(arrivals)]
    found = list(by_hour(records))
    assert [one for _, part in found for one in part] == records
    hours = [hour for hour, _ in found]
    assert hours == sorted(set(hours))
    for hour, part in found:
        assert part
        assert all((one.arrived_at or 0) < hour + HOUR for one in part)


def test_a_record_that_seems_to_come_early_goes_with_the_one_ahead_of_it() -> None:
    records = [record(n, arrived_at=NOON + at) for n, at in enumerate((-2, 1, -1, HOUR, 3))]
    assert [(hour, len(part)) for hour, part in by_hour(records)] == [
        (NOON - HOUR, 1),
        (NOON, 2),
        (NOON + HOUR, 2),
    ]


@given(st.lists(st.tuples(st.binary(max_size=50), st.integers(0, 500), st.text(max_size=9))))
def test_records_come_back_as_they_were(made: list[tuple[bytes, int, str]]) -> None:
    records = tuple(
        Record(Position(SHARD, str(n), sub), data, key, NOON + n * SECOND)
        for n, (data, sub, key) in enumerate(made)
    )
    contents = Contents(STREAM, SHARD, None, records)
    assert decode("key", encode(contents, KEYS), KEYS) == contents


def test_a_batch_without_records_leaves_nothing() -> None:
    store = MemoryObjectStore()
    empty = msgspec.structs.replace(batch([record(1)]), raw=(), records=0)
    ArchiveSink(store, STREAM, KEYS).write(empty)
    assert store.keys("") == []


def test_one_that_would_take_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    body = encode(Contents(STREAM, SHARD, None, (record(9, b"x" * 5_000),)), KEYS)
    assert decode("some/key", body, KEYS).records[0].data == b"x" * 5_000
    monkeypatch.setattr(archive_object, "OBJECT_BYTES_MAX", 4_999)
    with pytest.raises(ArchiveError, match="4,999 is most"):
        decode("some/key", body, KEYS)
