"""Table (e): what the state in a checkpoint costs, in bytes and in CPU, by number of shops."""

import statistics
import threading
import time
from collections.abc import Sequence

import msgspec

from anomaly.detector import DetectorConfig
from benchmarks.records import wire_records
from consumer.checkpoint import Committer
from consumer.duplicates import Duplicates
from consumer.golden import GoldenScores
from consumer.hours import Hours
from consumer.outbox import Outbox
from consumer.pipeline import Pipeline
from consumer.reject_share import RejectShare
from consumer.rotation import SLICES_MAX, Rotation, Slices
from consumer.scorer import Scorer
from consumer.snapshot import State
from consumer.snapshots import Snapshots
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from sinks.memory import MemoryFence, MemoryObjectStore
from sinks.parquet import ParquetSink

SIZES = ((1_000, 1_000), (100_000, 2_050))
"""Shops of a shard, and those among them that trade: of 2,050 some 2,000 do in one batch."""

CHECKPOINTS = 20
BATCH_RECORDS = 8_000
_RECORDS_BEFORE_PER_SHOP = 100
_RECORDS_PER_SECOND = 4
"""Of event time: 100 records of 2,050 shops are 14 hours."""
_DUPLICATES_MIN = 10_000


class _Ours:
    """The lease is ours, and nothing is rejected."""

    def require(self, shard_id: str) -> None:
        """Nobody else is there."""

    def write_rejections(self, rejections: Sequence[Rejection]) -> None:
        """None come."""


class Cost(msgspec.Struct, frozen=True):
    """One checkpoint: CPU-milliseconds of both threads, and what was written."""

    changed: int
    cut_millis: float
    write_millis: float
    written_bytes: int

    @property
    def millis(self) -> float:
        """CPU in all."""
        return self.cut_millis + self.write_millis


def costs(shops: int, trading: int) -> list[Cost]:
    """The checkpoints of a shard that has seen `shops` shops, of which `trading` go on.

    The others are as many copies of their encoded state: they lie in the snapshots, and nothing
    is sold there.
    """
    config = DetectorConfig()
    before = trading * _RECORDS_BEFORE_PER_SHOP
    total = before + CHECKPOINTS * BATCH_RECORDS
    wire = wire_records(total, shops=trading, per_second=_RECORDS_PER_SECOND)
    records = [
        Record(Position("shard", str(number)), data, shop)
        for number, (shop, data) in enumerate(wire)
    ]
    past = _pipeline(config, Scorer(config), Rotation(), before)
    past.take(iter(records[:before]))
    learnt = past.cut().detector
    encoded = list(learnt.shops.values())
    state = State(
        shops=learnt.shops
        | {f"quiet-{n:06}": encoded[n % trading] for n in range(shops - len(encoded))},
        groups=learnt.groups,
    )
    rotation = Rotation(state.shops, Slices(0, SLICES_MAX))
    pipeline = _pipeline(
        config, Scorer(config, learnt.shops, learnt.groups), rotation, BATCH_RECORDS
    )
    committer = _committer(config, state)
    found = []
    for start in range(before, total, BATCH_RECORDS):
        pipeline.take(iter(records[start : start + BATCH_RECORDS]))
        began = time.thread_time()
        cut = pipeline.cut()
        middle = time.thread_time()
        # The step alone, without sinks: they are measured in the other tables.
        size = committer._write_snapshot(cut, cut.batch.last.slug)  # noqa: SLF001 -- see above
        end = time.thread_time()
        found.append(
            Cost(len(cut.detector.shops), 1e3 * (middle - began), 1e3 * (end - middle), size)
        )
    return found


def _pipeline(config: DetectorConfig, scorer: Scorer, rotation: Rotation, size: int) -> Pipeline:
    return Pipeline(
        Parser(Pseudonymizer(b"a key for the benchmark")).parse_all,
        scorer,
        Duplicates(_DUPLICATES_MIN),
        key_groups=config.key_groups,
        batch_records_max=size,
        batch_bytes_max=2**40,
        rotation=rotation,
    )


def _committer(config: DetectorConfig, state: State) -> Committer:
    snapshots = Snapshots(
        MemoryObjectStore(),
        MemoryFence(),
        "bench",
        "shard",
        config.key_groups,
        GoldenScores(config.key_groups),
    )
    snapshots.take(_Ours())
    stop = threading.Event()
    return Committer(
        (),
        _Ours(),
        ParquetSink(MemoryObjectStore()),
        snapshots,
        Hours("shard", 0),
        Outbox(lambda _: True, stop),
        state,
        config.model_version(),
        stop=stop,
        reject_share=RejectShare(1.0),
    )


def snapshot_table() -> None:
    """Measure, and print table (e)."""
    print(f"(e) The state in a checkpoint of {BATCH_RECORDS:,} records, {CHECKPOINTS} checkpoints")
    print()
    print(
        "| shops | of them changed | KB written | CPU-ms, median | CPU-ms, most "
        "| of it encoding, main thread | of it writing, commit thread |"
    )
    print("|---|---|---|---|---|---|---|")
    for shops, trading in SIZES:
        found = costs(shops, trading)
        print(
            f"| {shops:,} | {statistics.median(cost.changed for cost in found):,.0f} "
            f"| {statistics.median(cost.written_bytes for cost in found) / 1e3:,.0f} "
            f"| {statistics.median(cost.millis for cost in found):.0f} "
            f"| {max(cost.millis for cost in found):.0f} "
            f"| {statistics.median(cost.cut_millis for cost in found):.0f} "
            f"| {statistics.median(cost.write_millis for cost in found):.0f} |"
        )
    print()
