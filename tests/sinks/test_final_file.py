from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.batch import Scored
from events.instant import floor_hour
from sinks.final_file import merged
from sinks.parquet import encode
from sinks.rows import rows
from sinks.schema import SCHEMA
from tests.sinks.made import NOON, scored, trade


class Parts:
    """Staged parts of `items` cut at `cuts`, and the pieces of the hour of NOON in them."""

    def __init__(self, items: list[Scored], cuts: list[int]) -> None:
        self._parts: dict[str, Any] = {}
        self.pieces: list[tuple[str, int]] = []
        ends = [*sorted({cut % len(items) for cut in cuts} - {0}), len(items)]
        start = 0
        for end in ends:
            made = rows(items[start:end])
            key = f"part-{start}"
            self._parts[key] = pq.ParquetFile(pa.BufferReader(encode(made)))
            self.pieces += [(key, group) for group, at in enumerate(made.hours) if at == NOON]
            start = end

    def opened(self, key: str) -> Any:
        return self._parts[key]


def noon_of(items: list[Scored]) -> list[str]:
    """Ids of the hour of NOON, by shop and time and then as they came."""
    inside = [item.transaction for item in items]
    inside = [it for it in inside if floor_hour(it.occurred_at) == NOON]
    inside.sort(key=lambda it: (it.shop_id, it.occurred_at))
    return [it.transaction_id for it in inside]


def read(body: bytes) -> Any:
    return pq.read_table(pa.BufferReader(body))


TRADE = trade(400, hours=2)
WHOLE = Parts(TRADE, [])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, len(TRADE) - 1), max_size=8))
def test_the_bytes_do_not_depend_on_how_rows_were_batched(cuts: list[int]) -> None:
    parts = Parts(TRADE, cuts)
    assert merged(parts.pieces, parts.opened) == merged(WHOLE.pieces, WHOLE.opened)


def test_rows_are_sorted_and_are_those_of_the_hour() -> None:
    parts = Parts(TRADE, [100, 200, 300])
    table = read(merged(parts.pieces, parts.opened))
    assert table.schema.equals(SCHEMA)
    assert table["transaction_id"].to_pylist() == noon_of(TRADE)


@pytest.mark.parametrize("rows_max", [1, 7, 50, 150])
def test_an_hour_larger_than_memory_gives_the_same_rows_in_bounded_groups(rows_max: int) -> None:
    parts = Parts(TRADE, [31, 222])
    body = merged(parts.pieces, parts.opened, rows_max)
    assert read(body) == read(merged(parts.pieces, parts.opened))
    file = pq.ParquetFile(pa.BufferReader(body))
    groups = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]
    assert len(groups) > 1
    # A shop's minute is the least that is held at a time.
    assert max(groups) <= max(rows_max, 4)
    again = Parts(TRADE, [5, 6, 7, 390])
    assert merged(again.pieces, again.opened, rows_max) == body


def test_rows_of_one_shop_at_one_time_stay_as_they_came() -> None:
    items = [scored(n, shop_id="s", occurred_at=NOON + 5) for n in (3, 1, 2, 9, 4)]
    for cuts in ([], [1, 3], [1, 2, 3, 4]):
        parts = Parts(items, cuts)
        table = read(merged(parts.pieces, parts.opened))
        assert table["transaction_id"].to_pylist() == [f"t-{n:06d}" for n in (3, 1, 2, 9, 4)]
