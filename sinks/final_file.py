"""One closed hour's final Parquet file, merged from the row groups that were staged for it.

The bytes depend on the rows and their order in the stream alone, not on how they were batched.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from events.instant import MINUTE, Instant
from sinks.schema import FINAL_OPTIONS, SCHEMA

ROWS_IN_MEMORY_MAX = 16_384
"""Rows merged at a time; about 400 bytes each, twice."""

ROW_GROUP_ROWS_MAX = 4_096
"""Rows of a row group, which is the least that is read of one shop's."""

Piece = tuple[str, int]
"""A staged part's key, and the row group in it."""

_Cell = tuple[str, Instant]
"""A shop and a minute: what a large hour is cut along."""

_KEYS = [("shop_id", "ascending"), ("occurred_at", "ascending")]


def merged(
    pieces: Sequence[Piece],
    opened: Callable[[str], Any],
    rows_in_memory_max: int = ROWS_IN_MEMORY_MAX,
) -> bytes:
    """The final file of `pieces`, which are given in stream order; `opened` gives a part's file.

    Rows are sorted by shop and time, and rows of one shop at one time stay as they came. An hour
    with more rows than are held in memory is read once per `rows_in_memory_max` of them.
    """
    rows = sum(opened(key).metadata.row_group(group).num_rows for key, group in pieces)
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, SCHEMA, **FINAL_OPTIONS) as writer:
        if rows <= rows_in_memory_max:
            _write(writer, [_read(opened(key), group) for key, group in pieces])
        else:
            for low, high in _ranges(_counted(pieces, opened), rows_in_memory_max):
                tables = (_read(opened(key), group) for key, group in pieces)
                _write(writer, [_between(table, low, high) for table in tables])
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _read(part: Any, group: int, columns: list[str] | None = None) -> Any:
    return part.read_row_group(group, columns=columns, use_threads=False)


def _write(writer: Any, tables: list[Any]) -> None:
    """Write the rows of `tables`, which is empty then: what was read goes before its bytes come."""
    if len(tables) == 1:
        table, order = tables.pop(), None
    else:
        table = pa.concat_tables(tables).combine_chunks()
        tables.clear()
        order = pc.sort_indices(table, sort_keys=_KEYS)
    for start in range(0, table.num_rows, ROW_GROUP_ROWS_MAX):
        group = (
            table.slice(start, ROW_GROUP_ROWS_MAX)
            if order is None
            else table.take(order.slice(start, ROW_GROUP_ROWS_MAX))
        )
        # What was read carries field ids in its schema; the columns are the declared ones.
        writer.write_table(pa.Table.from_arrays(group.columns, schema=SCHEMA))


def _counted(pieces: Sequence[Piece], opened: Callable[[str], Any]) -> Iterator[tuple[_Cell, int]]:
    """The cells of all pieces in order, each with its rows; one piece is looked at at a time.

    In numbers: there are as many cells as shops times minutes.
    """
    codes: dict[str, int] = {}
    coded, minutes = [], []
    for key, group in pieces:
        table = _read(opened(key), group, ["shop_id", "occurred_at"])
        column = table["shop_id"].combine_chunks().dictionary_encode()
        own = [codes.setdefault(shop, len(codes)) for shop in column.dictionary.to_pylist()]
        coded.append(np.array(own, np.int64)[column.indices.to_numpy()])
        minutes.append(table["occurred_at"].cast(pa.int64()).to_numpy() // MINUTE)
    shops = sorted(codes)
    ranks = np.empty(len(shops), np.int64)
    ranks[[codes[shop] for shop in shops]] = np.arange(len(shops))
    minute = np.concatenate(minutes)
    first = int(minute.min())
    span = int(minute.max()) - first + 1
    cells, rows = np.unique(
        ranks[np.concatenate(coded)] * span + (minute - first), return_counts=True
    )
    for cell, count in zip(cells, rows, strict=True):
        rank, since = divmod(int(cell), span)
        yield (shops[rank], (first + since) * MINUTE), int(count)


def _ranges(
    counted: Iterator[tuple[_Cell, int]], rows_max: int
) -> Iterator[tuple[_Cell, _Cell | None]]:
    """Neighbouring cells with `rows_max` rows at most, one cell at least; the last is open."""
    low, held = next(counted)
    for cell, rows in counted:
        if held + rows > rows_max:
            yield low, cell
            low, held = cell, 0
        held += rows
    yield low, None


def _between(table: Any, low: _Cell, high: _Cell | None) -> Any:
    inside = _from(table, low)
    if high is not None:
        inside = pc.and_not(inside, _from(table, high))
    return table.filter(inside)


def _from(table: Any, cell: _Cell) -> Any:
    shop, time = pa.scalar(cell[0]), pa.scalar(cell[1], table["occurred_at"].type)
    later = pc.and_(pc.equal(table["shop_id"], shop), pc.greater_equal(table["occurred_at"], time))
    return pc.or_(pc.greater(table["shop_id"], shop), later)
