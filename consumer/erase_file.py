"""One Parquet file of the lake, and the person in it."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from sinks.erasure import NAMING, PERSONAL, without_names_in, without_person_in

if TYPE_CHECKING:
    from events.instant import Instant
    from sinks.erasure import Subject

_REWRITTEN_AT = b"tillwatch_rewritten_at"


def file_of(body: bytes) -> Any:
    """The Parquet file in `body`; None where it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(BytesIO(body)) if body else None
    except pa.ArrowInvalid:
        return None


def holds(file: Any, subject: Subject) -> bool:
    """Whether a file has rows of the subject."""
    telling = (*subject.fields, *NAMING)
    names = [name for name in telling if name in file.schema_arrow.names]
    return bool(names) and any(
        _without(file.read_row_group(group, names, use_threads=False), subject)[1]
        for group in range(file.num_row_groups)
    )


def rewritten_at(file: Any) -> Instant:
    """When a person was taken out of the file, the last one if several; 0 if nobody was."""
    return int((file.metadata.metadata or {}).get(_REWRITTEN_AT, b"0"))


def rewritten(file: Any, subject: Subject, now: Instant) -> bytes:
    """The file without the subject, its row groups as they were: a snapshot counts on them."""
    import pyarrow.parquet as pq

    from sinks.schema import COMPACTED_OPTIONS, FINAL_OPTIONS, STAGED_OPTIONS

    schema = _declared(file.schema_arrow)
    kind = file.metadata.row_group(0).column(0).compression
    options = STAGED_OPTIONS if kind == "SNAPPY" else FINAL_OPTIONS
    if "version" in schema.names:
        options = COMPACTED_OPTIONS
    elif "customer_id" not in schema.names:  # pages: see sinks/page_rows.py
        options = {"compression": "zstd", "store_schema": False}
    sink = BytesIO()
    with pq.ParquetWriter(sink, schema, **options) as writer:
        writer.add_key_value_metadata({_REWRITTEN_AT: str(now).encode()})
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, use_threads=False)
            table, _ = _without(table, subject)
            columns = table.columns
            writer.write_table(
                type(table).from_arrays(columns, schema=schema), row_group_size=len(table)
            )
    return sink.getvalue()


def _without(table: Any, subject: Subject) -> tuple[Any, int]:
    """A table of sales or pages without the subject, and how many rows that changed."""
    table, sales = without_person_in(table, subject)
    table, named = without_names_in(table, subject)
    return table, sales + named


def _declared(schema: Any) -> Any:
    """The schema of a file, without the field ids that reading puts into it."""
    import pyarrow as pa

    from sinks.schema import COMPACTED_SCHEMA

    declared = {field.name: field for field in COMPACTED_SCHEMA}
    return pa.schema(
        [
            declared[field.name]
            if field.name in declared and declared[field.name].type == field.type
            else field.remove_metadata()
            for field in schema
        ]
    )


_CHANGED = frozenset({*PERSONAL, "score_reasons"})


class Cleaned:
    """A Parquet file that is read without the person, by whoever merges it."""

    def __init__(self, file: Any, subject: Subject) -> None:
        self._file = file
        self._subject = subject
        self.metadata = file.metadata
        self.num_row_groups = file.num_row_groups
        self.schema_arrow = file.schema_arrow

    def read_row_group(self, group: int, columns: list[str] | None = None, **options: Any) -> Any:
        """As the file's own; what is asked for is read together with what tells whose it is."""
        if columns is not None and not _CHANGED.intersection(columns):
            return self._file.read_row_group(group, columns=columns, **options)
        table = self._file.read_row_group(group, **options)
        table, _ = without_person_in(table, self._subject)
        return table if columns is None else table.select(columns)
