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
from sinks.position_sum import POSITION, PositionSum, repeated_in, sum_of
from sinks.schema import COMPACTED_OPTIONS, COMPACTED_SCHEMA, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

COMPACTED_ROWS_MAX = 65_536
"""Rows merged at a time."""

PART_BYTES_MAX = 256 * 2**20
"""A file that has grown to so much is followed by another."""

GROUP_ROWS_MIN = 8_192
GROUP_ROWS_MAX = 131_072
"""Rows of a row group: a sixteenth of all within these, so that one shop's day reads little of
many, and a large file has few groups. To ask for less would cost a reader more than it saves."""

BLOOM_ROWS_MIN = 65_536
"""Row groups from so many rows on have bloom filters; of smaller ones the filter is what weighs."""

_GROUPS = 16
_BLOOMED = ("transaction_id", "customer_id")
_BLOOM_ERRORS = 0.05
_ORDER = [(name, "ascending") for name in ("shop_id", "occurred_at", *POSITION)]
_CELL = ["shop_id", "hour"]

_Cell = tuple[str, int]
"""A shop and an hour: what a large day is cut along."""


class UnknownColumns(Exception):  # noqa: N818 -- says what is wrong
    """A file has columns that this program would drop: a newer one wrote it."""


class Source(msgspec.Struct, frozen=True):
    """A Parquet file whose rows are taken: all of them, or those of `dates` alone."""

    file: Any
    dates: tuple[str, ...] | None = None


class Compacted(msgspec.Struct, frozen=True):
    """How many files were made, and which rows belong into them: those read, each Position once.

    `rows` is counted apart from what was written, so that the files can be held against it.
    """

    parts: int
    rows: PositionSum


def compact(
    sources: Sequence[Source],
    version: str,
    put: Callable[[int, bytes], None],
    *,
    rows_max: int = COMPACTED_ROWS_MAX,
    part_bytes_max: int = PART_BYTES_MAX,
    group_rows_min: int = GROUP_ROWS_MIN,
    bloom_rows_min: int = BLOOM_ROWS_MIN,
) -> Compacted:
    """Give all rows of `sources`, each Position once, to `put` as numbered files.

    Rows are sorted by shop and time, over all files. `put` is called with one file at a time; held
    are a file, `rows_max` rows or one shop's hour where that is more, and the rows of a row group.

    Raises:
        UnknownColumns: a source has columns that the declared schema has not.
    """
    counts: Counter[_Cell] = Counter()
    rows = PositionSum()
    for source in sources:
        cells, positions = _counted(source)
        counts.update(cells)
        rows += positions
    groups = max(1, min(_GROUPS, counts.total() // group_rows_min))
    group_rows = min(GROUP_ROWS_MAX, -(-counts.total() // groups))
    out = _Files(put, group_rows, COMPACTED_OPTIONS | _blooms(group_rows, bloom_rows_min))
    for low, high in _ranges(counts, rows_max):
        table = pa.concat_tables([_between(source, low, high) for source in sources])
        rows -= repeated_in(table)
        out.add(_merged(table, version))
        if out.bytes >= part_bytes_max:
            out.end()
    out.end()
    return Compacted(out.parts, rows)


class _Files:
    """Numbered files of whole row groups, given to `put` one after another."""

    def __init__(
        self, put: Callable[[int, bytes], None], group_rows: int, options: dict[str, Any]
    ) -> None:
        self._put = put
        self._group_rows = group_rows
        self._options = options
        self._sink = BytesIO()
        self._writer: Any = None
        self._rest = COMPACTED_SCHEMA.empty_table()
        self.parts = 0

    @property
    def bytes(self) -> int:
        """What the file at hand has so far."""
        return self._sink.tell()

    def add(self, table: Any) -> None:
        """Write the row groups that are full; the rest waits."""
        self._rest = pa.concat_tables([self._rest, table])
        full = len(self._rest) // self._group_rows * self._group_rows
        self._write(self._rest.slice(0, full))
        self._rest = self._rest.slice(full)

    def end(self) -> None:
        """Write what waits, and give the file away, if there is any."""
        self._write(self._rest)
        self._rest = COMPACTED_SCHEMA.empty_table()
        if self._writer is None:
            return
        self._writer.close()
        self._put(self.parts, self._sink.getvalue())
        self.parts += 1
        self._sink, self._writer = BytesIO(), None

    def _write(self, table: Any) -> None:
        if not len(table):
            return
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._sink, COMPACTED_SCHEMA, **self._options)
        self._writer.write_table(table, row_group_size=self._group_rows)


def _blooms(group_rows: int, rows_min: int) -> dict[str, Any]:
    if group_rows < rows_min:
        return {}
    filters = {name: {"ndv": group_rows, "fpp": _BLOOM_ERRORS} for name in _BLOOMED}
    return {"bloom_filter_options": filters}


def _counted(source: Source) -> tuple[Counter[_Cell], PositionSum]:
    """Rows by shop and hour, and all of them by their Positions."""
    unknown = set(source.file.schema_arrow.names) - set(COMPACTED_SCHEMA.names)
    if unknown:
        raise UnknownColumns(f"columns {', '.join(sorted(unknown))} are not in the schema")
    counts: Counter[_Cell] = Counter()
    rows = PositionSum()
    for group in range(source.file.num_row_groups):
        columns = ["shop_id", "occurred_at", *POSITION]
        table = _of_dates(_read(source, group, columns), source.dates)
        rows += sum_of(table)
        cells = table.select(["shop_id"]).append_column("hour", _hours(table))
        grouped = cells.group_by(_CELL).aggregate([([], "count_all")])
        lists = (grouped[name].to_pylist() for name in (*_CELL, "count_all"))
        for shop, hour, count in zip(*lists, strict=True):
            counts[shop, hour] += count
    return counts, rows


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


def _merged(table: Any, version: str) -> Any:
    numbered = table.select(POSITION).append_column("row", pa.array(range(len(table))))
    first = numbered.group_by(POSITION).aggregate([("row", "min")])["row_min"]
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
