"""A shadow's whole world in memory, beside that of a live worker."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pyarrow.parquet as pq

from anomaly.detector import DetectorConfig
from consumer.golden import GoldenScores
from consumer.handover import take_over
from consumer.lineage import Ancestry, HashRange
from consumer.rebuild_start import Starts
from consumer.shadow_begin import Beginning, begin, watch
from consumer.shadow_services import Nowhere
from consumer.shard import Parts
from consumer.snapshots import Restored, Snapshots
from sinks.memory import MemoryFence
from sinks.shadow_notes import (
    Noted,
    Notes,
    ShadowFailures,
    folder_of,
)
from sinks.shadow_pages import ShadowPages
from tests.consumer.world import (
    APPLICATION,
    KEY_GROUPS,
    Crashing,
    World,
    day_of_trade,
)

DATA = day_of_trade(360)
NAME = "bold"
FOLDER = folder_of(APPLICATION, NAME)
BOLD = DetectorConfig(key_groups=KEY_GROUPS, pages_per_shop_week=50.0)


class Family:
    """A Lineage: which shards have parents, and everybody's range."""

    def __init__(self, parents: dict[str, dict[str, HashRange | None]] | None = None) -> None:
        self.parents = parents or {}
        self.ranges: dict[str, HashRange] = {}

    def of(self, shard_id: str) -> Ancestry:
        return Ancestry(self.ranges.get(shard_id, HashRange()), self.parents.get(shard_id, {}))


@dataclass
class ShadowWorld(World):
    """A shadow that lives in the bucket of the world `live`; its worker begins as a child does."""

    live: World = field(default_factory=World)
    config: DetectorConfig = BOLD
    family: Family = field(default_factory=Family)
    goes_on: bool = True
    """Whether the stream still has the record of its checkpoint."""

    def __post_init__(self) -> None:
        self.store = self.live.store
        self.fence = MemoryFence()

    def snapshots(self, shard_id: str | None = None) -> Snapshots:
        golden = GoldenScores(KEY_GROUPS)
        return Snapshots(
            self.store,
            self.fence,
            f"{APPLICATION}-shadow-{NAME}",
            shard_id or self.shard_id,
            KEY_GROUPS,
            golden,
        )

    def worker(self, name: str = "worker-1") -> Parts:
        snapshots, sink = self.snapshots(), ShadowPages(self.store, FOLDER)
        snapshots.take(self.leases.of(name))
        met: Callable[[], bool] = lambda: parts.pipeline.met_known  # noqa: E731 -- as in the child
        if self.checkpoint is not None:
            start = Beginning(snapshots.load(self.checkpoint.slug))
            met = lambda: self.goes_on  # noqa: E731 -- likewise
        else:
            state, parents = take_over(snapshots, self.family, self.shard_id, KEY_GROUPS)
            start = Beginning(Restored(state))
            if not parents:
                starts = Starts(self.store, self.live.snapshots(), self.family, KEY_GROUPS)
                start = begin(self.shard_id, snapshots, starts, sink.notes, self.config)
        nowhere, failures = Nowhere(), ShadowFailures(sink.notes)
        parts = self.parts(start.restored, snapshots, [sink], failures, nowhere, nowhere.send)
        parts.pipeline.skip(start.position)
        after = self.checkpoint or start.position
        watch(sink, self.shard_id, self.config, after, start.restored.state.hours.watermark, met)
        return parts

    def noted(self) -> Noted:
        return Notes(self.store, FOLDER).read()

    def states(self) -> dict[tuple[str, int], dict[str, Any]]:
        """Every state of a page that lies in the shadow's lake, each once."""
        found: dict[tuple[str, int], dict[str, Any]] = {}
        for key in self.store.keys(f"{FOLDER}pages/"):
            for row in pq.read_table(io.BytesIO(self.store.get(key))).to_pylist():
                del row["sequence_number"]  # of the batch, which deaths cut otherwise
                before = found.setdefault((row["page_id"], row["revision"]), row)
                assert before == row
        return found


def may_die(world: ShadowWorld, at: int, *, before: bool) -> Crashing:
    """End the process at the `at`-th put or checkpoint."""
    crash = Crashing(at, before=before)
    crash.trap(world.store, "put")
    crash.trap(world, "accept")
    return crash
