"""Few large files of many small ones: the same rows, sorted, in bounded memory."""

from io import BytesIO
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.instant import DAY, HOUR
from sinks.compacted_file import Source, UnknownColumns, compact
from sinks.manifest import (
    Manifest,
    compacted_already,
    covers,
    hourly_file,
    manifest_key,
    packed,
    part_key,
    unpacked,
)
from sinks.memory import MemoryObjectStore
from sinks.parquet import ClosedHour, ParquetSink, encode
from sinks.position_sum import sum_in
from sinks.rows import rows
from sinks.schema import COMPACTED_SCHEMA, FINAL_OPTIONS, SCHEMA
from tests.sinks.made import NOON, SHARD, scored, trade

TRADE = trade(600, hours=3)


def opened(items: list[Any]) -> Any:
    return pq.ParquetFile(BytesIO(encode(rows(items))))


def made(sources: list[Source], **options: Any) -> list[bytes]:
    bodies: list[bytes] = []
    done = compact(sources, "v", lambda _, body: bodies.append(body), **options)
    assert done.parts == len(bodies)
    assert done.rows == sum_in(pq.ParquetFile(BytesIO(body)) for body in bodies)
    return bodies


def ids(bodies: list[bytes]) -> list[str]:
    return [name for body in bodies for name in read(body)["transaction_id"].to_pylist()]


def read(body: bytes) -> Any:
    return pq.read_table(BytesIO(body), partitioning=None)


def in_order(items: list[Any]) -> list[str]:
    found = sorted(
        items,
        key=lambda it: (
            it.transaction.shop_id,
            it.transaction.occurred_at,
            it.position.sequence_number,
        ),
    )
    return [item.transaction.transaction_id for item in found]


@pytest.mark.parametrize("rows_max", [1, 10, 77, 10_000])
def test_rows_are_those_of_the_sources_sorted_however_much_memory_there_is(rows_max: int) -> None:
    sources = [Source(opened(TRADE[n : n + 150])) for n in range(0, 600, 150)]
    (body,) = made(sources, rows_max=rows_max)
    assert ids([body]) == in_order(TRADE)
    assert read(body).schema.equals(COMPACTED_SCHEMA)
    assert set(read(body)["version"].to_pylist()) == {"v"}
    assert [body] == made(list(reversed(sources)), rows_max=1_000), "bytes depend on rows alone"


def test_a_file_that_is_full_is_followed_by_another() -> None:
    bodies = made([Source(opened(TRADE))], rows_max=100, part_bytes_max=1, group_rows_min=40)
    assert len(bodies) > 3
    assert ids(bodies) == in_order(TRADE)


def test_a_position_that_lies_in_two_sources_is_one_row() -> None:
    sources = [Source(opened(TRADE)), Source(opened(TRADE[100:300]))]
    assert ids(made(sources, rows_max=50)) == in_order(TRADE)


@pytest.mark.parametrize("rows_max", [50, 10_000])
def test_rows_that_were_read_are_told_from_those_that_were_not(rows_max: int) -> None:
    """The sum of what belongs into the files is none of the files' own: it tells other rows."""
    done = compact(
        [Source(opened(TRADE)), Source(opened(TRADE[100:300]))],
        "v",
        lambda *_: None,
        rows_max=rows_max,
    )
    assert done.rows == sum_in([opened(TRADE[300:]), opened(TRADE[:300])])
    for others in (TRADE[1:], [*TRADE[1:], TRADE[1]], [*TRADE[1:], scored(9_999)]):
        assert done.rows != sum_in([opened(others)])


def test_of_a_month_only_the_days_asked_for_are_taken() -> None:
    items = [scored(n, occurred_at=NOON + n * DAY - 12 * HOUR - (n == 2)) for n in range(4)]
    (body,) = made([Source(opened(items), ("2026-01-06", "2026-01-08"))])
    assert sorted(ids([body])) == ["t-000001", "t-000002", "t-000003"]
    assert made([Source(opened(items), ("2027-01-01",))]) == []


def test_a_column_that_an_older_file_lacks_is_absent_and_one_too_many_is_refused() -> None:
    table = rows(TRADE).table
    older, newer = BytesIO(), BytesIO()
    pq.write_table(table.drop_columns(["approval_limit"]), older, store_schema=False)
    pq.write_table(table.append_column("points", pa.nulls(len(table), pa.int64())), newer)
    (body,) = made([Source(pq.ParquetFile(older))])
    assert read(body)["approval_limit"].null_count == len(TRADE)
    assert ids([body]) == in_order(TRADE)
    with pytest.raises(UnknownColumns, match="points"):
        made([Source(pq.ParquetFile(newer))])


def test_large_row_groups_have_bloom_filters_that_know_what_is_not_there(tmp_path: Any) -> None:
    (body,) = made([Source(opened(TRADE))], bloom_rows_min=100)
    path = tmp_path / "a.parquet"
    path.write_bytes(body)
    for name, excluded in (("t-000017", False), ("t-999999", True)):
        (answer,) = duckdb.sql(
            "SELECT bloom_filter_excludes FROM parquet_bloom_probe(?, 'transaction_id', ?)",
            params=[str(path), name],
        ).fetchall()
        assert answer == (excluded,)
    (small,) = made([Source(opened(TRADE))])
    assert len(small) < len(body)


def test_what_an_hour_s_key_says() -> None:
    key = ClosedHour(NOON, "shardId-000000000001-x", "12-0", "345-6", ()).key
    file = hourly_file(key)
    assert file is not None
    assert (file.date, file.hour, file.shard_id, file.last) == (
        "2026-01-05",
        12,
        "shardId-000000000001-x",
        "345-6",
    )
    assert hourly_file(f"{key}.tmp") is None


def test_positions_are_compared_as_numbers() -> None:
    files = [
        hourly_file(ClosedHour(NOON, "s", "1-0", last, ()).key) for last in ("99-9", "100-0", "9-1")
    ]
    (cover,) = covers([file for file in files if file])
    assert cover.through == "100-0"
    (cover,) = covers([], [cover])
    assert cover.through == "100-0"


def test_a_manifest_survives_its_object() -> None:
    held = Manifest("2026-01-05", "days/date=2026-01-05/v000001", 2, 7, (), ("a",), 5)
    assert unpacked(packed(held)) == held
    with pytest.raises(ValueError, match="no manifest"):
        unpacked(encode(rows(TRADE)))
    assert part_key(held.version, 1) == "compacted/days/date=2026-01-05/v000001-0001.parquet"


def test_an_hour_that_was_published_and_compacted_is_not_missed_at_a_restart() -> None:
    """Its pieces and its file are gone; the snapshot still says that it is to be published."""
    store = MemoryObjectStore()
    closed = ClosedHour(NOON, SHARD, "1-0", "2-0", (("staging/gone", 0),))
    file = hourly_file(closed.key)
    assert file is not None
    manifest = Manifest(file.date, "v", 1, 1, covers([file]), (closed.key,), 0)
    assert not compacted_already(store, closed)
    store.put(manifest_key(file.date), packed(manifest))
    assert ParquetSink(store).publish(closed) == closed.key
    assert store.keys("processed/") == []


def test_the_options_of_older_files_are_read() -> None:
    sink = BytesIO()
    pq.write_table(rows(TRADE).table.cast(SCHEMA), sink, **FINAL_OPTIONS)
    assert ids(made([Source(pq.ParquetFile(sink))])) == in_order(TRADE)
