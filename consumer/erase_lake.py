"""A person out of the lake: files are written anew, with as many rows as before.

A file that a worker published or staged is replaced by one put, which is atomic, and only while it
still is the one that was read. A compacted day is replaced as `tillwatch compact` does it: a new
version, its manifest a grace later, and the old files deleted a grace after that. Who read a file
before that and writes what it made of it later would bring the person back: see `LakeErasure.run`.
"""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING, Any

import msgspec

from consumer.compaction import GRACE
from consumer.erase_compacted import Rewriting
from consumer.erase_file import Cleaned, file_of, holds, rewritten, rewritten_at
from consumer.erase_report import Place
from events.instant import to_iso
from sinks.manifest import COMPACTED, HOURLY, MANIFESTS
from sinks.page_rows import PAGES
from sinks.shadow_notes import SHADOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

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
        self._now = now
        self._told = told
        self._dry_run = dry_run
        self._versions = versions
        self._grace = grace
        self._compaction = Rewriting(store, now, told, opened=self._cleaned, grace=grace)
        self._done: set[str] = set()
        """Keys that need no second look: clean when they were read, or told of already."""

    def run(self) -> Iterator[Place]:
        """One place after the other, as far as it came.

        Hours are rewritten before attempts at merging them are called off, and everything that is
        new is looked at behind both: so what had read the person before has given up, or its file
        is found, or the report says until when one may still come.
        """
        yield self._staged()
        yield self._in_place("Parquet: hourly", HOURLY)
        yield self._in_place("Parquet: pages", PAGES)
        yield self._in_place("Parquet: shadows", SHADOWS)
        under_way = None if self._dry_run else self._compaction.call_off()
        yield self._compacted()
        yield self._again(under_way)
        if self._versions is not None:
            yield self._old_versions(self._versions)

    def _staged(self) -> Place:
        """Staged parts; a worker may hold an hour that it merged from one before it was rewritten.

        Such a part is deleted once that hour is put, so while it is there, it says how long ago it
        was rewritten.
        """
        place = self._in_place("Parquet: staged", STAGING)
        if self._dry_run:
            return place
        files = map(self._file, self._parquet(STAGING))
        due = max((rewritten_at(file) for file in files if file), default=0) + self._grace
        if self._now() >= due:
            return place
        note = f"a worker may be publishing what it had read: erase again after {to_iso(due)}"
        note = "; ".join(filter(None, (place.note, note)))
        return msgspec.structs.replace(place, note=note, whole=False)

    def _parquet(self, prefix: str) -> list[str]:
        return [key for key in self._store.keys(prefix) if key.endswith(".parquet")]

    def _in_place(self, name: str, prefix: str) -> Place:
        found, erased = self._replaced(self._parquet(prefix))
        note = "changed meanwhile; erase again" if found > erased and not self._dry_run else ""
        return Place(name, "files", found, erased, note)

    def _replaced(self, keys: Iterable[str]) -> tuple[int, int]:
        """How many of `keys` hold the person, and how many were written anew without."""
        found = erased = 0
        for key in keys:
            held = self._store.tagged(key)
            if held is None:
                continue
            file = file_of(held[0])
            if file is None or not holds(file, self._subject):
                self._done.add(key)
                continue
            found += 1
            self._told(key)
            # Where it is not the one that was read any more, or gone, the next run looks again.
            if not self._dry_run:
                body = rewritten(file, self._subject, self._now())
                erased += self._store.put_if(key, body, held[1])
        return found, erased

    def _compacted(self) -> Place:
        """Live files are written anew through their day's manifest; others wait for their end.

        One that no reader was pointed to yet is replaced where it is.
        """
        every = self._merged()
        holding = [key for key in every if self._holds(self._get(key))]
        self._done.update(every)
        due: list[Instant] = []
        if holding and not self._dry_run:
            unseen = self._compaction.unseen(holding)
            self._done -= unseen
            self._replaced(sorted(unseen))
            due = self._compaction.rewrite(set(holding) - unseen)
        for key in holding:
            self._told(key)
        left = [key for key in holding if self._holds(self._get(key))]
        note = ""
        if left and not self._dry_run:
            at = f" after {to_iso(max(due))}" if due else ""
            note = f"readers may still need them: erase again{at}, or run `tillwatch compact`"
        return Place("Parquet: compacted", "files", len(holding), len(holding) - len(left), note)

    def _merged(self) -> list[str]:
        return [key for key in self._parquet(COMPACTED) if not key.startswith(MANIFESTS)]

    def _again(self, under_way: Instant | None) -> Place:
        """A last look at what came meanwhile, and at what was written anew; and who may be at it.

        `under_way` is until when an attempt at merging that was called off may still put files.
        """
        name, of = "Parquet: looked again", "files that came meanwhile"
        if self._dry_run:
            return Place(name, of, 0, 0)
        found = erased = 0
        for prefix in (STAGING, HOURLY, PAGES, SHADOWS):
            new = [key for key in self._parquet(prefix) if key not in self._done]
            came, gone = self._replaced(new)
            found, erased = found + came, erased + gone
        merged = [key for key in self._merged() if key not in self._done]
        holding = [key for key in merged if self._holds(self._get(key))]
        unseen = self._compaction.unseen(holding) if holding else set()
        _, gone = self._replaced(sorted(unseen))
        found, erased = found + len(holding), erased + gone
        due = [at for at in (under_way, self._compaction.call_off()) if at is not None]
        notes = [f"a day was being merged: erase again after {to_iso(max(due))}"] if due else []
        if found:
            after = to_iso(self._now() + self._grace)
            notes.append(f"something wrote them just now: erase again after {after}")
        return Place(name, of, found, erased, "; ".join(notes), whole=not notes)

    def _old_versions(self, versions: OldVersions) -> Place:
        found = erased = 0
        for prefix in (STAGING, HOURLY, COMPACTED, PAGES, SHADOWS):
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
        file = file_of(body)
        return file is not None and holds(file, self._subject)

    def _file(self, key: str) -> Any:
        return file_of(self._get(key))

    def _cleaned(self, body: bytes) -> Any:
        import pyarrow.parquet as pq

        return Cleaned(pq.ParquetFile(BytesIO(body)), self._subject)
