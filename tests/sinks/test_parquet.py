import threading
from collections import Counter

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.batch import Batch
from events.instant import HOUR, floor_hour
from sinks.memory import MemoryObjectStore
from sinks.parquet import ClosedHour, ParquetSink, PiecesLost
from sinks.sink import StagedPart
from tests.sinks.made import NOON, SHARD, batch, position, rejection, scored, trade


class CountingStore(MemoryObjectStore):
    """Counts what is fetched."""

    def __init__(self) -> None:
        super().__init__()
        self.gets: Counter[str] = Counter()

    def get(self, key: str) -> bytes:
        self.gets[key] += 1
        return super().get(key)


def staged(sink: ParquetSink, made: Batch) -> StagedPart:
    part = sink.write(made).staged
    assert part is not None
    return part


def hours_of(*parts: StagedPart) -> list[ClosedHour]:
    hours = sorted({hour for part in parts for hour in part.hours})
    return [
        ClosedHour(
            hour=hour,
            shard_id=SHARD,
            first=parts[0].first,
            last=parts[-1].last,
            pieces=tuple(
                (part.key, part.hours.index(hour)) for part in parts if hour in part.hours
            ),
        )
        for hour in hours
    ]


def rows_in(store: MemoryObjectStore, key: str) -> list[str]:
    table = pq.read_table(pa.BufferReader(store.get(key)))
    ids: list[str] = table["transaction_id"].to_pylist()
    return ids


def test_a_batch_is_one_part_with_a_row_group_per_hour() -> None:
    store = MemoryObjectStore()
    made = batch(*trade(200))
    part = staged(ParquetSink(store), made)
    assert part.key == f"staging/{SHARD}/{made.first.slug}_{made.last.slug}.parquet"
    assert store.keys("") == [part.key]
    assert part.hours == (NOON, NOON + HOUR, NOON + 2 * HOUR)
    assert (part.first, part.last) == (made.first.slug, made.last.slug)
    file = pq.ParquetFile(pa.BufferReader(store.get(part.key)))
    assert file.num_row_groups == 3
    for group, (hour, count) in enumerate(zip(part.hours, part.rows, strict=True)):
        times = file.read_row_group(group)["occurred_at"].cast(pa.int64()).to_pylist()
        assert len(times) == count
        assert {floor_hour(time) for time in times} == {hour}


def test_a_batch_without_transactions_stages_nothing() -> None:
    store = MemoryObjectStore()
    written = ParquetSink(store).write(batch(rejections=(rejection(1),)))
    assert written.staged is None
    assert store.keys("") == []


def test_a_row_that_does_not_fit_comes_back_and_the_rest_is_staged() -> None:
    store = MemoryObjectStore()
    bad = scored(2, currency="JPY", total=10**14, shop_id="tokyo")
    written = ParquetSink(store).write(batch(scored(1), bad, scored(3)))
    (refused,) = written.rejections
    assert refused.position == position(2)
    assert refused.data == bad.data
    assert (refused.stage, refused.reason) == ("parquet", "row_unbuildable")
    assert refused.shop_id == "tokyo"
    assert refused.arrived_at == bad.arrived_at
    assert written.staged is not None
    assert written.staged.rows == (2,)


def test_a_batch_of_nothing_but_bad_rows_stages_nothing() -> None:
    store = MemoryObjectStore()
    written = ParquetSink(store).write(batch(scored(1, currency="XXX"), scored(2, currency="XXX")))
    assert len(written.rejections) == 2
    assert written.staged is None
    assert store.keys("") == []


def test_a_closed_hour_is_one_file_of_all_its_rows() -> None:
    store = MemoryObjectStore()
    sink = ParquetSink(store)
    items = trade(300)
    parts = [staged(sink, batch(*items[n : n + 100])) for n in (0, 100, 200)]
    keys = [sink.publish(hour) for hour in hours_of(*parts)]
    assert keys == [
        f"processed/date=2026-01-05/hour={hour}/{SHARD}-{parts[0].first}-{parts[2].last}.parquet"
        for hour in (12, 13, 14)
    ]
    found = [id_ for key in keys for id_ in rows_in(store, key)]
    assert sorted(found) == sorted(item.transaction.transaction_id for item in items)
    metadata = pq.ParquetFile(pa.BufferReader(store.get(keys[0]))).metadata
    assert {metadata.row_group(0).column(n).compression for n in range(metadata.num_columns)} == {
        "ZSTD"
    }


def test_publishing_again_changes_nothing_with_the_pieces_or_without_them() -> None:
    store = MemoryObjectStore()
    sink = ParquetSink(store)
    part = staged(sink, batch(*trade(50, hours=1)))
    (hour,) = hours_of(part)
    key = sink.publish(hour)
    body = store.get(key)
    assert sink.publish(hour) == key
    sink.discard([part.key])
    sink.discard([part.key])
    assert store.keys("staging") == []
    assert sink.publish(hour) == key
    assert store.get(key) == body
    assert store.keys("") == [key]


def test_pieces_that_are_gone_without_a_file_are_an_error() -> None:
    store = MemoryObjectStore()
    sink = ParquetSink(store)
    part = staged(sink, batch(*trade(50, hours=1)))
    sink.discard([part.key])
    with pytest.raises(PiecesLost, match=r"staging/.* is gone"):
        sink.publish(hours_of(part)[0])


def test_a_part_is_fetched_once_for_all_the_hours_in_it() -> None:
    store = CountingStore()
    sink = ParquetSink(store)
    items = trade(1_200, hours=240)
    parts = [staged(sink, batch(*items[n : n + 600])) for n in (0, 600)]
    hours = hours_of(*parts)
    assert len(hours) > 200
    assert sink.publish_many(hours) == [hour.key for hour in hours]
    assert set(store.gets.values()) == {1}
    found = [id_ for hour in hours for id_ in rows_in(store, hour.key)]
    assert sorted(found) == sorted(item.transaction.transaction_id for item in items)


def test_with_no_room_to_keep_parts_they_are_fetched_again() -> None:
    store = CountingStore()
    sink = ParquetSink(store, parts_cached_bytes_max=1)
    items = trade(60, hours=3)
    parts = [staged(sink, batch(*items[n : n + 30])) for n in (0, 30)]
    keys = sink.publish_many(hours_of(*parts))
    assert min(store.gets.values()) > 1
    assert sum(len(rows_in(store, key)) for key in keys) == 60


def test_nothing_to_publish_is_fine() -> None:
    assert ParquetSink(MemoryObjectStore()).publish_many([]) == []


def test_a_store_that_fails_is_heard_of() -> None:
    class Full(MemoryObjectStore):
        def put(self, key: str, body: bytes) -> None:
            if key.startswith("processed"):
                raise OSError("no space left")
            super().put(key, body)

    sink = ParquetSink(Full())
    part = staged(sink, batch(*trade(100, hours=20)))
    with pytest.raises(OSError, match="no space"):
        sink.publish_many(hours_of(part))
    assert threading.active_count() == 1


def test_a_closed_hour_survives_msgpack() -> None:
    hour = ClosedHour(NOON, SHARD, "1-0", "2-0", (("a", 0), ("b", 3)))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(hour), type=ClosedHour) == hour


def test_years_before_1000_keep_their_zeros() -> None:
    hour = ClosedHour(-62_135_596_800_000_000, SHARD, "1-0", "2-0", ())
    assert hour.key.startswith("processed/date=0001-01-01/hour=00/")
