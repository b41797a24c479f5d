"""Past days in few files: the steps, each of which may be the last before a crash.

A day's hourly files are merged into a version, which readers see once the day's manifest names it:
one object put in place of another. Between the steps lies `grace`, longer than any question may
run, so that whoever read the one manifest finds the files it speaks of:

1. The plan of the unit (a day, or a month) says that attempt N is made. Of two compactors the one
   whose plan stands when its files do goes on; the other's files are nobody's.
2. The files of attempt N are written, read again and held against what they were made from, and
   the plan says so, and when.
3. A grace later, each day's manifest is replaced, if it still is the one that was merged from.
4. A grace later, what no manifest needs any more is deleted.

Each step begins by looking at what stands in the store, so a repetition goes on where it broke off.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from typing import Any
from uuid import uuid4

import msgspec

from consumer.compaction_plan import Found, Held, Plan, Planned, plan_of, put_plan
from events.instant import HOUR, SECOND, Instant
from sinks.manifest import (
    COMPACTED,
    HOURLY,
    MANIFESTS,
    HourlyFile,
    Manifest,
    covers,
    end_of,
    hourly_file,
    manifest_key,
    packed,
    part_key,
    unpacked,
)
from sinks.object_store import ConditionalStore

GRACE: Instant = 2_400 * SECOND
"""Athena ends a question after 30 minutes, unless its quota was raised; clocks may differ."""

SETTLE: Instant = 6 * HOUR
"""So long after its end a day is taken for past: its last hours have closed by then."""

MONTH_BYTES_MAX = 128 * 2**20
"""The days of a past month become one version where they are no more than this."""


class RowsDiffer(Exception):  # noqa: N818 -- says what is wrong
    """What was written is not what was read: the version stays nobody's, and nothing is deleted."""

    def __init__(self, version: str, read: int, written: int) -> None:
        super().__init__(
            f"{version}: {read:,} rows were to be written, and its files hold {written:,}"
            f"{', not the same' if read == written else ''}; nothing was changed or deleted"
        )


class Compaction:
    """Compacts the past days in `store`.

    `now` tells the time; `opened` makes the bytes of an object a Parquet file, which may lie on a
    disk; `told` hears a line of every step. With `months`, past months of few bytes become one
    version.
    """

    def __init__(
        self,
        store: ConditionalStore,
        now: Callable[[], Instant],
        told: Callable[[str], None],
        *,
        grace: Instant = GRACE,
        settle: Instant = SETTLE,
        months: bool = False,
        opened: Callable[[bytes], Any] | None = None,
    ) -> None:
        self._by = str(uuid4())
        self._store = store
        self._now = now
        self._told = told
        self._grace = grace
        self._settle = settle
        self._months = months
        self._opened = opened or _in_memory

    def run(self) -> Instant | None:
        """Take every unit as far as it may go now; when the next step is due, or None.

        Raises:
            sinks.compacted_file.UnknownColumns: a newer program wrote a file.
            RowsDiffer: what was written does not hold the rows that were read.
        """
        found = self._look()
        due = [self._day(date, found) for date in sorted({*found.hourly, *found.manifests})]
        if self._months:
            found = self._look()
            months = sorted({date[:7] for date in found.manifests})
            due += [self._month(month, found) for month in months]
        due += self._clean(self._look())
        return min((at for at in due if at is not None), default=None)

    def _look(self) -> Found:
        """What there is; manifests last, so that a version which they named before is dead now."""
        found = Found(defaultdict(list), defaultdict(list), {}, {})
        for key in self._store.keys(HOURLY):
            file = hourly_file(key)
            if file is not None:
                found.hourly[file.date].append(file)
        for key in self._store.keys(f"{COMPACTED}days/") + self._store.keys(f"{COMPACTED}months/"):
            found.versions[key.removeprefix(COMPACTED).rpartition("/")[0]].append(key)
        found.plans = {unit: plan_of(self._store, unit)[0] for unit in found.versions}
        for key in self._store.keys(MANIFESTS):
            held = self._store.tagged(key)
            if held is not None:
                manifest = unpacked(held[0])
                found.manifests[manifest.date] = Held(manifest, held[1])
        return found

    def _day(self, date: str, found: Found) -> Instant | None:
        unit = f"days/date={date}"
        due = self._publish_written(unit)
        fresh = found.fresh(date)
        if due is not None or not fresh or self._now() < end_of(date) + self._settle:
            return due
        held, plan = found.manifests.get(date), found.plans.get(unit)
        if held is None and plan is not None and plan.state == "idle":
            self._told(f"{unit} was merged and its manifest is gone: bring it back")
            return None
        return self._attempt(unit, [(date, fresh, held)])

    def _month(self, month: str, found: Found) -> Instant | None:
        unit = f"months/month={month}"
        dates = sorted(date for date in found.manifests if date.startswith(month))
        manifests = [found.manifests[date].manifest for date in dates]
        sizes = {manifest.version: manifest.size for manifest in manifests}
        units = [f"days/date={date}" for date in dates]
        due = self._publish_written(unit)
        _, days = monthrange(int(month[:4]), int(month[5:]))
        if (
            due is not None
            or self._now() < end_of(f"{month}-{days}") + self._settle
            or len(sizes) == 1
            or sum(sizes.values()) > MONTH_BYTES_MAX
            or any(found.fresh(date) for date in found.hourly if date.startswith(month))
            or any(plan_of(self._store, day)[0].state == "written" for day in units)
        ):
            return due
        return self._attempt(unit, [(date, [], found.manifests[date]) for date in dates])

    def _attempt(
        self, unit: str, days: Sequence[tuple[str, Sequence[HourlyFile], Held | None]]
    ) -> Instant | None:
        """Steps 1 and 2: write a version of `days`, each of them with its fresh hourly files."""
        before, tag = plan_of(self._store, unit)
        number = before.number + 1
        writing = msgspec.structs.replace(
            before, number=number, state="writing", by=self._by, written_at=0, days=()
        )
        if not put_plan(self._store, unit, writing, tag):
            self._told(f"{unit}: another compactor is at work")
            return self._now() + self._grace
        version = f"{unit}/v{number:06d}"
        try:
            parts, size, rows = self._write(version, days)
        except KeyError as error:
            self._told(f"{unit}: {error.args[0]} is gone meanwhile; the next run begins anew")
            return self._now() + self._grace
        planned = tuple(
            Planned(
                Manifest(
                    date=date,
                    version=version,
                    parts=parts,
                    size=size,
                    covers=covers(fresh, held.manifest.covers if held else ()),
                    merged=(
                        *(held.manifest.merged if held else ()),
                        *(file.key for file in fresh),
                    ),
                    since=0,
                ),
                held.tag if held else None,
            )
            for date, fresh, held in days
        )
        held, tag = plan_of(self._store, unit)
        written = msgspec.structs.replace(
            held, state="written", written_at=self._now(), days=planned
        )
        mine = (held.number, held.by) == (number, self._by)
        if not mine or not put_plan(self._store, unit, written, tag):
            self._told(f"{unit}: another compactor was first")
            return self._now() + self._grace
        self._told(f"{version}: {rows:,} rows written; readers see them a grace later")
        return self._publish_written(unit)

    def _write(
        self, version: str, days: Sequence[tuple[str, Sequence[HourlyFile], Held | None]]
    ) -> tuple[int, int, int]:
        from sinks.compacted_file import Source, compact
        from sinks.position_sum import sum_in

        dates_of: dict[tuple[str, int], list[str]] = defaultdict(list)
        for date, _, held in days:
            if held is not None:
                dates_of[held.manifest.version, held.manifest.parts].append(date)
        sources = [
            Source(self._open(part_key(of, part)), tuple(dates))
            for (of, parts), dates in dates_of.items()
            for part in range(parts)
        ]
        sources += [Source(self._open(file.key)) for _, fresh, _ in days for file in fresh]
        sizes: list[int] = []

        def put(part: int, body: bytes) -> None:
            self._store.put(part_key(version, part), body)
            sizes.append(len(body))

        made = compact(sources, version, put)
        stand = sum_in(self._open(part_key(version, part)) for part in range(made.parts))
        if stand != made.rows:
            raise RowsDiffer(version, made.rows.rows, stand.rows)
        return made.parts, sum(sizes), stand.rows

    def _open(self, key: str) -> Any:
        return self._opened(self._store.get(key))

    def _publish_written(self, unit: str) -> Instant | None:
        """Step 3, where it is due; when it will be; None where there is nothing to publish."""
        plan, tag = plan_of(self._store, unit)
        if plan.state != "written":
            return None
        due = plan.written_at + self._grace
        if self._now() < due:
            return due
        there = set(self._store.keys(f"{COMPACTED}{unit}/"))
        for planned in plan.days:
            manifest = planned.manifest
            whole = all(part_key(manifest.version, n) in there for n in range(manifest.parts))
            if not whole:
                self._told(f"{manifest.version}: files are gone; the next run begins anew")
                self._put_again(unit, plan, "writing", tag)
                return self._now() + self._grace
            self._publish(planned)
        self._put_again(unit, plan, "idle", tag)
        return self._now() + self._grace

    def _put_again(self, unit: str, plan: Plan, state: str, tag: str | None) -> None:
        after = Plan(plan.number, state, called_off_at=plan.called_off_at)
        put_plan(self._store, unit, after, tag)

    def _publish(self, planned: Planned) -> None:
        manifest = msgspec.structs.replace(planned.manifest, since=self._now())
        key = manifest_key(manifest.date)
        if self._store.put_if(key, packed(manifest), planned.base):
            self._told(f"{manifest.date}: readers see {manifest.version}")
            return
        held = self._store.tagged(key)
        if held is None or unpacked(held[0]).version != manifest.version:
            self._told(f"{manifest.date}: it has changed since {manifest.version} was made")

    def _clean(self, found: Found) -> Iterator[Instant | None]:
        """Step 4: delete what no manifest needs, and has not needed for the grace."""
        for date, held in found.manifests.items():
            merged = set(held.manifest.merged)
            dead = [file.key for file in found.hourly.get(date, ()) if file.key in merged]
            yield self._delete(dead, held.manifest.since, f"hourly files of {date}")
        live = {held.manifest.version for held in found.manifests.values()}
        for unit, keys in found.versions.items():
            plan = found.plans[unit]
            waits = f"{unit}/v{plan.number:06d}" if plan.state != "idle" else ""
            dead = [
                key
                for key in keys
                if key.removeprefix(COMPACTED).rpartition("-")[0] not in live | {waits}
            ]
            name = unit.rpartition("=")[2]
            since = [
                held.manifest.since
                for date, held in found.manifests.items()
                if date.startswith(name)
            ]
            if since:  # without any manifest nobody knows what is needed
                yield self._delete(dead, max(since), f"files of {unit}")

    def _delete(self, keys: Sequence[str], since: Instant, what: str) -> Instant | None:
        if not keys:
            return None
        due = since + self._grace
        if self._now() < due:
            return due
        for key in keys:
            self._store.delete(key)
        self._told(f"{len(keys)} {what} deleted, which nobody needs any more")
        return None


def _in_memory(body: bytes) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(BytesIO(body))
