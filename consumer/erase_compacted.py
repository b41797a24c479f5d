"""A person out of compacted days: new versions, and attempts at merging called off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumer.compaction import Compaction
from consumer.compaction_plan import Plan, plan_of, put_plan, units_planned
from sinks.manifest import COMPACTED, part_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from events.instant import Instant


class Rewriting(Compaction):
    """Makes versions anew that hold certain files; a run of `tillwatch compact` finishes them."""

    def call_off(self) -> Instant | None:
        """Call off every attempt that has not written its plan; when none can put a file any more.

        None where none was under way within a grace. An attempt says so in its plan before it reads
        the first file, and looks at the plan before it says that it is written. So one that
        has read what was rewritten since stands here as writing and gives up, or it has written and
        its files are there to be looked at.
        """
        due = []
        for unit in units_planned(self._store):
            plan, tag = plan_of(self._store, unit)
            now = self._now()
            if plan.state == "writing":
                # Where it went on in this very moment its files are there, or another's come.
                after = Plan(plan.number + 1, "superseded", self._by, called_off_at=now)
                if put_plan(self._store, unit, after, tag):
                    self._told(f"{unit}: a compaction was under way and is called off")
                due.append(now + self._grace)
            elif now < plan.called_off_at + self._grace:
                due.append(plan.called_off_at + self._grace)
        return max(due, default=None)

    def unseen(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that no reader was ever pointed to: they may be replaced where they are.

        Either they wait for their manifest, or they are left of an attempt at days that have none.
        """
        found = self._look()
        live = {held.manifest.version for held in found.manifests.values()}
        unseen = set()
        for key in keys:
            version = key.removeprefix(COMPACTED).rpartition("-")[0]
            unit = version.rpartition("/")[0]
            plan = found.plans.get(unit, Plan())
            waits = plan.state == "written" and version == f"{unit}/v{plan.number:06d}"
            name = unit.rpartition("=")[2]
            named = any(date.startswith(name) for date in found.manifests)
            if version not in live and (waits or not named):
                unseen.add(key)
        return unseen

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
