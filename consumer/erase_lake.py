"""A person out of the lake: files are written anew, with as many rows as before.

A file that a worker published or staged is replaced by one put, which is atomic, and only while it
still is the one that was read. A compacted day is replaced as `tillwatch compact` does it: a new
version, its manifest a grace later, and the old files deleted a grace after that.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

from consumer.compaction import GRACE, Compaction
from consumer.erase_report import Place
from events.instant import to_iso
from sinks.erasure import NAMING, PERSONAL, without_names_in, without_person_in
from sinks.manifest import COMPACTED, HOURLY, MANIFESTS, part_key
from sinks.page_rows import PAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from events.instant import Instant
    from sinks.erasure import Subject
    from sinks.object_store import ConditionalStore
    from sinks.s3_versions import OldVersions

STAGING = "staging/"


class LakeErasure:
    """Goes through every Parquet file of the lake, one in memory at a time.

    `versions` are what the bucket keeps of replaced and deleted objects, if it keeps them: those
    that hold the subject are let go. Safe to break off and to do again.
    """

    def __init__(
        self,
        store: ConditionalStore,
        subject: Subject,
        now: Callable[[], Instant],
        told: Callable[[str], None],
        *,
        dry_run: bool,
        versions: OldVersions | None = None,
        grace: Instant = GRACE,
    ) -> None:
        self._store = store
        self._subject = subject
        self._told = told
        self._dry_run = dry_run
        self._versions = versions
        self._compaction = _Rewriting(store, now, told, opened=self._cleaned, grace=grace)

    def run(self) -> Iterator[Place]:
        """One place after the other, as far as it came."""
        yield self._in_place("Parquet: staged", STAGING)
        yield self._in_place("Parquet: hourly", HOURLY)
        yield self._in_place("Parquet: pages", PAGES)
        yield self._compacted()
        if self._versions is not None:
            yield self._old_versions(self._versions)

    def _in_place(self, name: str, prefix: str) -> Place:
        found = erased = 0
        for key in self._store.keys(prefix):
            if not key.endswith(".parquet"):
                continue
            held = self._store.tagged(key)
            if held is None or not self._holds(held[0]):
                continue
            found += 1
            self._told(key)
            # Where it is not the one that was read any more, or gone, the next run looks again.
            if not self._dry_run and self._store.put_if(key, self._rewritten(held[0]), held[1]):
                erased += 1
        note = "changed meanwhile; erase again" if found > erased and not self._dry_run else ""
        return Place(name, "files", found, erased, note)

    def _compacted(self) -> Place:
        """Live files are written anew through their day's manifest; others wait for their end."""
        holding = [
            key
            for key in self._store.keys(COMPACTED)
            if key.endswith(".parquet") and not key.startswith(MANIFESTS)
            if self._holds(self._get(key))
        ]
        for key in holding:
            self._told(key)
        due: list[Instant] = []
        if holding and not self._dry_run:
            due = self._compaction.rewrite(set(holding))
        left = set(holding) & set(self._store.keys(COMPACTED)) if holding else set()
        note = ""
        if left and not self._dry_run:
            at = f" after {to_iso(max(due))}" if due else ""
            note = f"readers may still need them: erase again{at}, or run `tillwatch compact`"
        return Place("Parquet: compacted", "files", len(holding), len(holding) - len(left), note)

    def _old_versions(self, versions: OldVersions) -> Place:
        found = erased = 0
        for prefix in (STAGING, HOURLY, COMPACTED, PAGES):
            for version in versions.under(prefix):
                if not version.key.endswith(".parquet") or version.key.startswith(MANIFESTS):
                    continue
                try:
                    body = versions.get(version)
                except KeyError:
                    continue
                if self._holds(body):
                    found += 1
                    if not self._dry_run:
                        versions.delete(version)
                        erased += 1
        return Place("S3: old versions", "of these files", found, erased)

    def _get(self, key: str) -> bytes:
        try:
            return self._store.get(key)
        except KeyError:
            return b""

    def _holds(self, body: bytes) -> bool:
        """Whether a file has rows of the subject; one that is no Parquet file has none."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not body:
            return False
        try:
            file = pq.ParquetFile(BytesIO(body))
        except pa.ArrowInvalid:
            return False
        telling = (*self._subject.fields, *NAMING)
        names = [name for name in telling if name in file.schema_arrow.names]
        return bool(names) and any(
            _without(file.read_row_group(group, names, use_threads=False), self._subject)[1]
            for group in range(file.num_row_groups)
        )

    def _rewritten(self, body: bytes) -> bytes:
        """The file without the person, its row groups as they were: a snapshot counts on them."""
        import pyarrow.parquet as pq

        from sinks.schema import FINAL_OPTIONS, STAGED_OPTIONS

        file = pq.ParquetFile(BytesIO(body))
        schema = _declared(file.schema_arrow)
        kind = file.metadata.row_group(0).column(0).compression
        options = STAGED_OPTIONS if kind == "SNAPPY" else FINAL_OPTIONS
        if "customer_id" not in schema.names:  # pages: see sinks/page_rows.py
            options = {"compression": "zstd", "store_schema": False}
        sink = BytesIO()
        with pq.ParquetWriter(sink, schema, **options) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group, use_threads=False)
                table, _ = _without(table, self._subject)
                columns = table.columns
                writer.write_table(
                    type(table).from_arrays(columns, schema=schema), row_group_size=len(table)
                )
        return sink.getvalue()

    def _cleaned(self, body: bytes) -> Any:
        import pyarrow.parquet as pq

        return _Cleaned(pq.ParquetFile(BytesIO(body)), self._subject)


def _without(table: Any, subject: Subject) -> tuple[Any, int]:
    """A table of sales or pages without the subject, and how many rows that changed."""
    table, sales = without_person_in(table, subject)
    table, named = without_names_in(table, subject)
    return table, sales + named


def _declared(schema: Any) -> Any:
    """The schema of a file, without the field ids that reading puts into it."""
    import pyarrow as pa

    from sinks.schema import SCHEMA

    declared = {field.name: field for field in SCHEMA}
    return pa.schema(
        [
            declared[field.name]
            if field.name in declared and declared[field.name].type == field.type
            else field.remove_metadata()
            for field in schema
        ]
    )


_CHANGED = frozenset({*PERSONAL, "score_reasons"})


class _Cleaned:
    """A Parquet file that is read without the person."""

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


class _Rewriting(Compaction):
    """Makes versions anew that hold certain files; a run of `tillwatch compact` finishes them."""

    def rewrite(self, keys: set[str]) -> list[Instant]:
        """Take every live version that has one of `keys` a step further; when the next are due."""
        due = []
        for unit in self._units(keys):
            at = self._publish_written(unit)
            if at is None and unit in self._units(keys):
                found = self._look()
                at = self._attempt(
                    unit,
                    [
                        (date, found.fresh(date), held)
                        for date, held in sorted(found.manifests.items())
                        if held.manifest.version.startswith(f"{unit}/")
                    ],
                )
            due.append(at)
        due += self._clean(self._look())
        return [at for at in due if at is not None]

    def _units(self, keys: set[str]) -> list[str]:
        """Units whose live version has one of `keys`."""
        return sorted(
            {
                held.manifest.version.rpartition("/")[0]
                for held in self._look().manifests.values()
                for part in range(held.manifest.parts)
                if part_key(held.manifest.version, part) in keys
            }
        )
