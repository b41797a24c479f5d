"""Pages and verdicts in the lake, however batches were cut."""

from decimal import Decimal
from io import BytesIO
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from events.instant import DAY
from events.verdict import Verdict
from sinks.memory import MemoryObjectStore
from sinks.page_rows import told
from sinks.parquet import ParquetSink
from sinks.schema import PAGE_SCHEMA
from tests.sinks.made import NOON, batch, page, position, scored


def read(body: bytes) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(BytesIO(body), partitioning=None).to_pylist()
    return rows


def test_a_state_lies_under_the_day_of_the_opening_with_everything_that_was_told() -> None:
    later = page(2, "closed", updated_at=NOON + 2 * DAY, suppressed_by="rule-1")
    other = page(page_id="p-2", opened_at=NOON + DAY, currency="JPY", refunded_total=128_400)
    ((key, body), (second, of_second)) = told(batch(scored(1), pages=(page(), later, other)))
    assert key.startswith("pages/date=2026-01-05/shardId-000000000007-")
    assert second.startswith("pages/date=2026-01-06/")
    opened, closed = read(body)
    assert (opened["status"], opened["revision"], opened["suppressed_by"]) == ("open", 0, None)
    assert (closed["status"], closed["revision"], closed["suppressed_by"]) == (
        "closed",
        2,
        "rule-1",
    )
    assert opened["evidence"] == ["t-000001", "t-000008"]
    assert (opened["entity_kind"], opened["entity_id"]) == ("cashier", "c-1")
    assert opened["refunded_total"] == Decimal("1284.0000")
    assert opened["sequence_number"] == position(1).sequence_number
    (in_yen,) = read(of_second)
    assert in_yen["refunded_total"] == Decimal("128400.0000")
    assert list(opened) == PAGE_SCHEMA.names


def test_who_gave_a_verdict_and_in_what_words_stays_out() -> None:
    verdict = Verdict("p-1", "shop-001", "volume", "fraud", NOON, by="a person", note="some words")
    made = msgspec.structs.replace(batch(scored(1)), verdicts=(verdict,))
    ((key, body),) = told(made)
    assert key.startswith("verdicts/date=2026-01-05/")
    (row,) = read(body)
    assert row["finding"] == "fraud"
    assert "a person" not in str(row)
    assert "some words" not in str(row)


def test_what_no_row_can_be_made_of_is_left_out_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # One that fits the wire in yen, whose total has no decimals, and a time that no calendar has.
    absurd = page(page_id="p-absurd", currency="JPY", refunded_total=5 * 10**14)
    timeless = Verdict("p-2", "shop-001", "volume", "ok", -(2**60))
    fine = Verdict("p-1", "shop-001", "volume", "ok", NOON)
    made = batch(scored(1), pages=(absurd, page()))
    made = msgspec.structs.replace(made, verdicts=(timeless, fine))
    pages, verdicts = [read(body) for _, body in told(made)]
    assert [row["page_id"] for row in pages] == [page().page_id]
    assert [row["page_id"] for row in verdicts] == ["p-1"]
    assert [record.getMessage() for record in caplog.records] == [
        "Page of p-absurd has no row in the lake: ArrowInvalid",
        "Verdict of p-2 has no row in the lake: OverflowError",
    ]


def test_a_batch_is_written_twice_and_nothing_is_there_twice() -> None:
    store = MemoryObjectStore()
    sink = ParquetSink(store)
    made = batch(scored(1), pages=(page(),))
    sink.write(made)
    once = {key: store.get(key) for key in store.keys("")}
    sink.write(made)
    assert {key: store.get(key) for key in store.keys("")} == once
    assert len(store.keys("pages/")) == 1
    assert len(store.keys("staging/")) == 1


def test_pages_without_rows_are_written_and_rows_without_pages_make_no_file() -> None:
    store = MemoryObjectStore()
    sink = ParquetSink(store)
    empty = msgspec.structs.replace(batch(scored(1)), scored=(), pages=(page(),))
    assert sink.write(empty).staged is None
    assert len(store.keys("pages/")) == 1
    sink.write(batch(scored(2)))
    assert len(store.keys("pages/")) == 1
    assert store.keys("verdicts/") == []
