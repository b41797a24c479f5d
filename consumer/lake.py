"""The lake as a database: DuckDB over the published and the staged Parquet files, read alone.

DuckDB is given Arrow datasets, since its own S3 reader has to be fetched from the network. A
question sees the files that were there when it was asked; staged parts are listed before published
files, so that an hour which is published in between is seen in one of the two at least, and the
views see to it that it is seen in one at most.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from consumer.dialect import to_duckdb
from sinks.catalogue import DATE, HOUR, Table, tables
from sinks.catalogue_views import views

if TYPE_CHECKING:
    from collections.abc import Iterator

ROWS_FETCHED_MAX = 2_048
"""Rows of an answer held at a time."""
MEMORY_BYTES_MAX = 2_000_000_000
"""What one question may take; what does not fit is refused, not spilled to a disk."""
LISTINGS_MAX = 3
"""Staged parts are deleted while a question runs: it is asked again, so often in all."""


_GONE = ("No such file", "Path does not exist", "NO_SUCH_KEY", "NoSuchKey")
"""What the system, Arrow and DuckDB say of a file that was listed and is there no more."""


class LakeError(Exception):
    """The lake cannot be asked; the message says why."""


class Answer:
    """The columns of an answer, and its rows as they are read."""

    def __init__(self, names: list[str], kinds: list[str], batches: Iterator[Any]) -> None:
        self.names = names
        self.kinds = kinds
        self._batches = batches

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """All rows, once, `ROWS_FETCHED_MAX` of them in memory.

        Raises:
            LakeError: a row could not be worked out, or a file is gone by now.
        """
        try:
            for batch in self._batches:
                yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)
        except (ValueError, OSError) as error:  # Arrow's own errors are of the two kinds
            raise LakeError(f"the answer broke off: {error}") from None


class Lake:
    """The files in `filesystem` below `root`, an Arrow filesystem and a folder or bucket of it."""

    def __init__(self, filesystem: Any, root: str, *, application: str, zone: str) -> None:
        self._files = filesystem
        self._root = root.rstrip("/")
        self._application = application
        self._zone = zone

    def ask(self, text: str) -> Answer:
        """The answer to one statement in Athena's dialect.

        Raises:
            NotReadable: the statement is none, or would change something.
            LakeError: the files cannot be read, or DuckDB refuses the statement.
        """
        import duckdb

        query = to_duckdb(text)
        for left in reversed(range(LISTINGS_MAX)):
            try:
                return _first(self.connect().sql(query))
            except (duckdb.Error, ValueError, OSError) as error:
                if not left or not any(said in str(error) for said in _GONE):
                    raise LakeError(str(error)) from None
        raise AssertionError  # the last round returned or raised

    def connect(self) -> Any:
        """A DuckDB connection with every table and view, which reaches nothing else."""
        import duckdb

        connection = duckdb.connect(config={"memory_limit": f"{MEMORY_BYTES_MAX}B"})
        connection.execute("SET TimeZone = 'UTC'")
        # Staged parts first: see above.
        for table in reversed(tables(self._application)):
            connection.register(table.name, self._dataset(table))
        for view in views(self._zone):
            connection.execute(f'CREATE VIEW "{view.name}" AS {to_duckdb(view.sql)}')
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _dataset(self, table: Table) -> Any:
        import pyarrow as pa
        import pyarrow.dataset as ds
        from pyarrow.fs import FileSelector

        from sinks.schema import SCHEMA

        schema, partitioning = SCHEMA, None
        if table.partitions:
            fields = pa.schema([(DATE.name, pa.date32()), (HOUR.name, pa.int32())])
            partitioning = ds.HivePartitioning(fields)
            schema = pa.schema([*SCHEMA, *fields])
        folder = f"{self._root}/{table.folder}".rstrip("/")
        selector = FileSelector(folder, recursive=True, allow_not_found=True)
        try:
            found = [
                entry.path
                for entry in self._files.get_file_info(selector)
                if entry.is_file and entry.base_name.endswith(".parquet")
                if not entry.base_name.startswith((".", "_"))
            ]
        except OSError as error:
            raise LakeError(f"{folder} cannot be listed: {error}") from None
        if not found:
            return schema.empty_table()
        factory = ds.FileSystemDatasetFactory(
            self._files,
            sorted(found),
            ds.ParquetFileFormat(),
            ds.FileSystemFactoryOptions(partitioning=partitioning, partition_base_dir=folder),
        )
        return factory.finish(schema)


def _first(relation: Any) -> Answer:
    """The answer with its first rows read, which for a sum or a sorted list is all of the work."""
    # Arrow, since DuckDB's own rows want pytz for a time.
    batches = iter(relation.to_arrow_reader(ROWS_FETCHED_MAX))
    first = list(islice(batches, 1))
    kinds = [str(kind) for kind in relation.types]
    return Answer(list(relation.columns), kinds, chain(first, batches))


def open_lake(
    where: str,
    *,
    application: str,
    zone: str,
    region: str | None = None,
    endpoint: str | None = None,
) -> Lake:
    """The lake at `where`: `s3://bucket`, or a folder of this machine.

    Raises:
        LakeError: there is no such place.
    """
    from pyarrow.fs import FileSystem, LocalFileSystem, S3FileSystem

    files: FileSystem
    if where.startswith("s3://"):
        address = urlsplit(endpoint or "")
        files = S3FileSystem(
            region=region,
            endpoint_override=address.netloc or None,
            scheme=address.scheme or "https",
            connect_timeout=5,
            request_timeout=30,
        )
        root = where.removeprefix("s3://")
    else:
        files, root = LocalFileSystem(), where
    try:
        there = files.get_file_info(root.rstrip("/")).type.name != "NotFound"
    except OSError as error:
        raise LakeError(f"{where} cannot be reached: {error}") from None
    if not there:
        raise LakeError(f"there is no {where}")
    return Lake(files, root, application=application, zone=zone)
