"""The rows of past days in few large files, merged from many small ones with bounded memory."""

from __future__ import annotations

from collections import Counter
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from events.instant import HOUR
from sinks.schema import COMPACTED_OPTIONS, COMPACTED_SCHEMA, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COMPACTED_ROWS_MAX = 65_536
"""Rows merged at a time."""

PART_BYTES_MAX = 256 * 2**20
"""A file that has grown to so much is followed by another."""

GROUP_ROWS_MIN = 4_096
GROUP_ROWS_MAX = 131_072
"""Rows of a row group: a sixteenth of all within these, so that one shop's day reads little of
many, and a large file has few groups."""

BLOOM_ROWS_MIN = 65_536
"""Row groups from so many rows on have bloom filters; of smaller ones the filter is what weighs."""

_GROUPS = 16
_BLOOMED = ("transaction_id", "customer_id")
_BLOOM_ERRORS = 0.05
_POSITION = ["shard_id", "sequence_number", "sub_sequence_number"]
_ORDER = [(name, "ascending") for name in ("shop_id", "occurred_at", *_POSITION)]
_CELL = ["shop_id", "hour"]

_Cell = tuple[str, int]
"""A shop and an hour: what a large day is cut along."""


class UnknownColumns(Exception):  # noqa: N818 -- says what is wrong
    """A file has columns that this program would drop: a newer one wrote it."""


class Source(msgspec.Struct, frozen=True):
    """A Parquet file whose rows are taken: all of them, or those of `dates` alone."""

    file: Any
    dates: tuple[str, ...] | None = None


def compact(
    sources: Sequence[Source],
    version: str,
    put: Callable[[int, bytes], None],
    *,
    rows_max: int = COMPACTED_ROWS_MAX,
    part_bytes_max: int = PART_BYTES_MAX,
    bloom_rows_min: int = BLOOM_ROWS_MIN,
) -> int:
    """Give all rows of `sources`, each Position once, to `put` as numbered files; their number.

    Rows are sorted by shop and time, over all files. `put` is called with one file at a time; no
    more than `part_bytes_max` and `rows_max` rows are held, or one shop's hour where that is more.

    Raises:
        UnknownColumns: a source has columns that the declared schema has not.
    """
    counts: Counter[_Cell] = Counter()
    for source in sources:
        counts.update(_counted(source))
    group_rows = max(GROUP_ROWS_MIN, min(GROUP_ROWS_MAX, counts.total() // _GROUPS))
    options = COMPACTED_OPTIONS | _blooms(group_rows, bloom_rows_min)
    part, sink, writer = 0, BytesIO(), None
    for low, high in _ranges(counts, max(rows_max, group_rows)):
        table = _merged([_between(source, low, high) for source in sources], version)
        if writer is None:
            writer = pq.ParquetWriter(sink, COMPACTED_SCHEMA, **options)
        writer.write_table(table, row_group_size=group_rows)
        if sink.tell() >= part_bytes_max:
            writer.close()
            put(part, sink.getvalue())
            part, sink, writer = part + 1, BytesIO(), None
    if writer is not None:
        writer.close()
        put(part, sink.getvalue())
        part += 1
    return part


def _blooms(group_rows: int, rows_min: int) -> dict[str, Any]:
    if group_rows < rows_min:
        return {}
    filters = {name: {"ndv": group_rows, "fpp": _BLOOM_ERRORS} for name in _BLOOMED}
    return {"bloom_filter_options": filters}


def _counted(source: Source) -> Counter[_Cell]:
    """Rows by shop and hour."""
    unknown = set(source.file.schema_arrow.names) - set(COMPACTED_SCHEMA.names)
    if unknown:
        raise UnknownColumns(f"columns {', '.join(sorted(unknown))} are not in the schema")
    counts: Counter[_Cell] = Counter()
    for group in range(source.file.num_row_groups):
        table = _of_dates(_read(source, group, ["shop_id", "occurred_at"]), source.dates)
        cells = table.select(["shop_id"]).append_column("hour", _hours(table))
        grouped = cells.group_by(_CELL).aggregate([([], "count_all")])
        columns = (grouped[name].to_pylist() for name in (*_CELL, "count_all"))
        for shop, hour, count in zip(*columns, strict=True):
            counts[shop, hour] += count
    return counts


def _ranges(counts: Counter[_Cell], rows_max: int) -> Iterator[tuple[_Cell, _Cell | None]]:
    """Neighbouring cells with `rows_max` rows at most, one cell at least; the last is open."""
    cells = sorted(counts)
    if not cells:
        return
    low, held = cells[0], 0
    for cell in cells:
        if held and held + counts[cell] > rows_max:
            yield low, cell
            low, held = cell, 0
        held += counts[cell]
    yield low, None


def _between(source: Source, low: _Cell, high: _Cell | None) -> Any:
    """The rows from `low` to before `high`, of the row groups that can hold some."""
    tables = []
    for group in range(source.file.num_row_groups):
        bounds = _shops(source.file.metadata.row_group(group))
        if bounds is not None:
            first, last = bounds
            if last < low[0] or (high is not None and first > high[0]):
                continue
        table = _of_dates(_read(source, group), source.dates)
        inside = _from(table, low)
        if high is not None:
            inside = pc.and_not(inside, _from(table, high))
        tables.append(_aligned(table.filter(inside)))
    return pa.concat_tables(tables) if tables else SCHEMA.empty_table()


def _merged(tables: Sequence[Any], version: str) -> Any:
    table = pa.concat_tables(tables)
    numbered = table.select(_POSITION).append_column("row", pa.array(range(len(table))))
    first = numbered.group_by(_POSITION).aggregate([("row", "min")])["row_min"]
    table = table.take(first)
    table = table.take(pc.sort_indices(table, sort_keys=_ORDER))
    versions = pa.repeat(pa.scalar(version), len(table))
    return pa.Table.from_arrays([*table.columns, versions], schema=COMPACTED_SCHEMA)


def _read(source: Source, group: int, columns: list[str] | None = None) -> Any:
    return source.file.read_row_group(group, columns=columns, use_threads=False)


def _shops(group: Any) -> tuple[str, str] | None:
    """The least and the greatest shop of a row group; None where the file does not say."""
    for index in range(group.num_columns):
        column = group.column(index)
        if column.path_in_schema == "shop_id":
            found = column.statistics
            return (found.min, found.max) if found is not None and found.has_min_max else None
    return None


def _hours(table: Any) -> Any:
    return pc.divide(table["occurred_at"].cast(pa.int64()), pa.scalar(HOUR))


def _from(table: Any, cell: _Cell) -> Any:
    shop = pa.scalar(cell[0])
    later = pc.and_(
        pc.equal(table["shop_id"], shop), pc.greater_equal(_hours(table), pa.scalar(cell[1]))
    )
    return pc.or_(pc.greater(table["shop_id"], shop), later)


def _of_dates(table: Any, dates: tuple[str, ...] | None) -> Any:
    if dates is None:
        return table
    days = table["occurred_at"].cast(pa.timestamp("us")).cast(pa.date32())
    wanted = pa.array([date.fromisoformat(day) for day in dates], pa.date32())
    return table.filter(pc.is_in(days, value_set=wanted))


def _aligned(table: Any) -> Any:
    """The columns as declared; one that an older file has not is absent in every row."""
    have = set(table.column_names)
    columns = [
        table[field.name] if field.name in have else pa.nulls(len(table), field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=SCHEMA)
