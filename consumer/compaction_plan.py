"""What `tillwatch compact` finds in the store, and what it notes there of its attempts."""

from __future__ import annotations

import msgspec

from events.instant import Instant
from sinks.manifest import COMPACTED, HourlyFile, Manifest
from sinks.object_store import ConditionalStore

PLANS = f"{COMPACTED}plans/"


class Planned(msgspec.Struct, frozen=True):
    """What becomes of one day: its next manifest, and the tag of the one it was made from."""

    manifest: Manifest
    base: str | None


class Plan(msgspec.Struct, frozen=True):
    """How far the attempts at one unit have come; `number` counts them and is never used again."""

    number: int = 0
    state: str = "idle"
    """idle, writing, written, or superseded: its attempt was called off."""
    by: str = ""
    """Whose attempt it is: no two compactors have one name."""
    written_at: Instant = 0
    days: tuple[Planned, ...] = ()
    called_off_at: Instant = 0
    """When an attempt was called off by an erasure, the last time; those after it keep that."""


class Held(msgspec.Struct, frozen=True):
    """A day's manifest as it stands, and its tag."""

    manifest: Manifest
    tag: str


class Found(msgspec.Struct):
    """What lies in the store."""

    hourly: dict[str, list[HourlyFile]]
    """By date."""
    versions: dict[str, list[str]]
    """Keys of compacted files, by unit."""
    plans: dict[str, Plan]
    """Of the units that have files."""
    manifests: dict[str, Held]
    """By date."""

    def fresh(self, date: str) -> list[HourlyFile]:
        """Hourly files of `date` that its manifest does not know."""
        held = self.manifests.get(date)
        merged = set(held.manifest.merged) if held else set()
        return [file for file in self.hourly.get(date, ()) if file.key not in merged]


def plan_of(store: ConditionalStore, unit: str) -> tuple[Plan, str | None]:
    """The plan of `unit` and its tag; an idle one, and None, where none was put yet."""
    held = store.tagged(_key(unit))
    return (Plan(), None) if held is None else (msgspec.json.decode(held[0], type=Plan), held[1])


def put_plan(store: ConditionalStore, unit: str, plan: Plan, tag: str | None) -> bool:
    """Put `plan` where the one with `tag` still stands; whether it did."""
    return store.put_if(_key(unit), msgspec.json.encode(plan), tag)


def units_planned(store: ConditionalStore) -> list[str]:
    """Every unit that has a plan."""
    return [key.removeprefix(PLANS).removesuffix(".json") for key in store.keys(PLANS)]


def _key(unit: str) -> str:
    return f"{PLANS}{unit}.json"
