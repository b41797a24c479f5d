"""The lake as a database: DuckDB over the published and the staged Parquet files, read alone.

DuckDB is given Arrow datasets, since its own S3 reader has to be fetched from the network. A
question sees the files that were there when it was asked, listed in this order: staged parts,
hourly files, manifests, and what these name. So an hour that is published in between, or a day that
is merged, is seen in one of two places at least, and the views see to it that it is seen in one at
most.
"""

from __future__ import annotations

from datetime import date
from functools import lru_cache
from itertools import chain, islice
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from consumer.dialect import to_duckdb
from sinks.catalogue import DATE, HOUR, MONTH, Table, tables
from sinks.catalogue_views import views
from sinks.manifest import COMPACTED, Manifest, part_key, unpacked_with_rows

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
        for name, dataset in self._datasets().items():
            connection.register(name, dataset)
        for name, text in _views(self._zone):
            connection.execute(f'CREATE VIEW "{name}" AS {text}')
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        return connection

    def _datasets(self) -> dict[str, Any]:
        """Every table, of the files that there are: see above for the order.

        Files that a manifest names and nobody finds were replaced meanwhile, so all is looked at
        again; those that stay away have outlived their retention.
        """
        from sinks.schema import COMPACTED_SCHEMA, PAGE_SCHEMA, SCHEMA, VERDICT_SCHEMA

        hourly, daily, monthly, manifests, staged, pages, verdicts = tables(self._application)
        for left in reversed(range(LISTINGS_MAX)):
            parts, hours = self._listed(staged.folder), self._listed(hourly.folder)
            held, rows = self._manifests(manifests.folder)
            merged = {key for manifest in held for key in manifest.merged}
            named = {part_key(m.version, part) for m in held for part in range(m.parts)}
            there = self._listed(COMPACTED)
            if not left or named <= set(there):
                break
        live = sorted(named.intersection(there))
        return {
            staged.name: self._dataset(staged, parts, SCHEMA),
            hourly.name: self._dataset(hourly, [key for key in hours if key not in merged], SCHEMA),
            daily.name: self._dataset(
                daily, [key for key in live if key.startswith(daily.folder)], COMPACTED_SCHEMA
            ),
            monthly.name: self._dataset(
                monthly, [key for key in live if key.startswith(monthly.folder)], COMPACTED_SCHEMA
            ),
            manifests.name: rows,
            pages.name: self._dataset(pages, self._listed(pages.folder), PAGE_SCHEMA),
            verdicts.name: self._dataset(verdicts, self._listed(verdicts.folder), VERDICT_SCHEMA),
        }

    def _listed(self, folder: str) -> list[str]:
        from pyarrow.fs import FileSelector

        place = f"{self._root}/{folder}".rstrip("/")
        selector = FileSelector(place, recursive=True, allow_not_found=True)
        try:
            found = self._files.get_file_info(selector)
        except OSError as error:
            raise LakeError(f"{place} cannot be listed: {error}") from None
        return sorted(
            entry.path.removeprefix(f"{self._root}/")
            for entry in found
            if entry.is_file and entry.base_name.endswith(".parquet")
            if not entry.base_name.startswith((".", "_"))
        )

    def _manifests(self, folder: str) -> tuple[list[Manifest], Any]:
        """Every day's manifest, and the rows of all of them."""
        import pyarrow as pa

        from sinks.schema import MANIFEST_SCHEMA

        schema = pa.schema([*MANIFEST_SCHEMA, pa.field(DATE.name, pa.date32())])
        held, tables_of = [], [schema.empty_table()]
        for key in self._listed(folder):
            try:
                with self._files.open_input_stream(f"{self._root}/{key}") as stream:
                    manifest, rows = unpacked_with_rows(stream.read())
            except (OSError, ValueError) as error:
                raise LakeError(f"{key} cannot be read: {error}") from None
            days = pa.repeat(pa.scalar(date.fromisoformat(manifest.date)), len(rows))
            tables_of.append(pa.Table.from_arrays([*rows.columns, days], schema=schema))
            held.append(manifest)
        return held, pa.concat_tables(tables_of)

    def _dataset(self, table: Table, keys: list[str], columns: Any) -> Any:
        import pyarrow as pa
        import pyarrow.dataset as ds

        folder = f"{self._root}/{table.folder}".rstrip("/")
        kinds = {DATE.name: pa.date32(), HOUR.name: pa.int32(), MONTH.name: pa.string()}
        fields = [pa.field(column.name, kinds[column.name]) for column in table.partitions]
        schema = pa.schema([*columns, *fields])
        if not keys:
            return schema.empty_table()
        factory = ds.FileSystemDatasetFactory(
            self._files,
            [f"{self._root}/{key}" for key in keys],
            ds.ParquetFileFormat(),
            ds.FileSystemFactoryOptions(
                partitioning=ds.HivePartitioning(pa.schema(fields)) if fields else None,
                partition_base_dir=folder,
            ),
        )
        return factory.finish(schema)


@lru_cache(maxsize=2)
def _views(zone: str) -> tuple[tuple[str, str], ...]:
    """The views in DuckDB's dialect: to translate them takes longer than to answer little."""
    return tuple((view.name, to_duckdb(view.sql)) for view in views(zone))


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
