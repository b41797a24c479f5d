"""A shard's whole world in memory: services that outlive a crash, and a worker that does not."""

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow.parquet as pq

from anomaly.detector import DetectorConfig
from consumer.checkpoint import Committer
from consumer.duplicates import Duplicates
from consumer.hours import Hours
from consumer.pipeline import Pipeline
from consumer.scorer import Scorer
from consumer.shard import Parts
from consumer.snapshot import Snapshots, State
from events.instant import HOUR, MINUTE, Instant, from_datetime, to_iso
from events.page import Page
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from sinks.memory import MemoryObjectStore, MemorySink
from sinks.parquet import ParquetSink
from sinks.sink import Sink

SHARD = "shardId-0"
START: Instant = 1_767_600_000_000_000
"""2026-01-05T08:00Z, a Monday."""
KEY_GROUPS = 2


def wire(
    number: int,
    *,
    shop: str = "shop-1",
    kind: str = "SALE",
    at: Instant = START,
    total: str = "10.00",
    **more: object,
) -> bytes:
    """One wire record."""
    return json.dumps(
        {
            "schema": 1,
            "transaction_id": f"t-{number:06}",
            "shop_id": shop,
            "type": kind,
            "occurred_at": to_iso(at),
            "currency": "GBP",
            "total": total,
            **more,
        }
    ).encode()


def day_of_trade(count: int, *, every: Instant = MINUTE) -> list[bytes]:
    """Records of a few shops, in time order: sales, some refunds, some dirt, some duplicates."""
    records: list[bytes] = []
    for number in range(count):
        at = START + number * every
        if number % 41 == 40:
            records.append(b'{"schema": 1, "broken": ')
        elif number % 29 == 28:
            records.append(records[-3])
        else:
            kind = "REFUND" if number % 9 == 8 else "SALE"
            total = "9000.00" if number == count * 2 // 3 else f"{5 + number % 17}.50"
            kind = "REFUND" if number == count * 2 // 3 else kind
            if number % 23 == 22:
                at -= 3 * HOUR
            records.append(wire(number, shop=f"shop-{number % 3}", kind=kind, at=at, total=total))
    return records


def as_records(data: Iterable[bytes], first: int = 1) -> list[Record]:
    """`data` as it comes off the stream, each record arriving when it says that it occurred."""
    return [
        Record(Position(SHARD, str(number)), body, "shop", _occurred_at(body))
        for number, body in enumerate(data, first)
    ]


def _occurred_at(body: bytes) -> Instant:
    try:
        return from_datetime(datetime.fromisoformat(json.loads(body)["occurred_at"]))
    except (ValueError, KeyError, TypeError):
        return START


class Letters:
    """A dead-letter queue that keeps each position once."""

    def __init__(self) -> None:
        self.rejections: dict[Position, Rejection] = {}

    def write_rejections(self, rejections: Sequence[Rejection]) -> None:
        self.rejections.update((rejection.position, rejection) for rejection in rejections)


class Crash(Exception):  # noqa: N818 -- it stands for kill -9
    """The process ends here."""


@dataclass
class World:
    """What outlives a worker: stores, index, queue, and the lease's checkpoint."""

    store: MemoryObjectStore = field(default_factory=MemoryObjectStore)
    index: MemorySink = field(default_factory=lambda: MemorySink(threading.Event()))
    letters: Letters = field(default_factory=Letters)
    checkpoint: Position | None = None
    ended: bool = False
    lateness: Instant = 30 * MINUTE
    batch_records_max: int = 50
    sinks_before: Callable[["World"], Sequence[Sink]] = lambda world: [world.index]

    def worker(self) -> Parts:
        """A new process's parts, restored from the checkpoint."""
        snapshots = Snapshots(self.store, SHARD, KEY_GROUPS)
        state = State() if self.checkpoint is None else snapshots.load(self.checkpoint.slug)
        duplicates = Duplicates(200)
        duplicates.restore(state.duplicates)
        state.duplicates = []
        hours = Hours(SHARD, self.lateness, state.hours)
        config = DetectorConfig(key_groups=KEY_GROUPS)
        lake = ParquetSink(self.store)
        committer = Committer(
            [*self.sinks_before(self), lake],
            self.letters,
            lake,
            snapshots,
            hours,
            state,
            config.model_version(),
        )
        pipeline = Pipeline(
            Parser(Pseudonymizer(b"a key for tests only")).parse,
            Scorer(config, state.shops, state.groups),
            duplicates,
            key_groups=KEY_GROUPS,
            batch_records_max=self.batch_records_max,
            batch_bytes_max=2**20,
            lateness=self.lateness,
            watermark=hours.state.watermark,
        )
        return Parts(
            pipeline,
            committer,
            base_due=lambda: snapshots.base_due,
            has_open_hours=lambda: bool(hours.state.open),
        )

    def accept(self, position: Position | None) -> None:
        """The lease table takes a checkpoint."""
        if position is None:
            self.ended = True
        else:
            self.checkpoint = position

    # -- what came out --------------------------------------------------------------------------

    def rows(self) -> list[dict[str, object]]:
        """Every published row."""
        return [
            row
            for key in self.store.keys("processed/")
            for row in pq.read_table(io.BytesIO(self.store.get(key))).to_pylist()
        ]

    def row_ids(self) -> Counter[str]:
        return Counter(str(row["transaction_id"]) for row in self.rows())

    def documents(self) -> set[str]:
        return set(self.index.transactions)

    def pages(self) -> dict[tuple[str, int], Page]:
        return self.index.pages

    def outcome(self) -> tuple[object, ...]:
        """Everything that must be equal however often the worker died."""
        rows = sorted(self.rows(), key=lambda row: str(row["transaction_id"]))
        return (self.index.transactions, rows, self.pages(), self.letters.rejections)


def run_through(world: World, data: Sequence[bytes]) -> None:
    """Deliver everything behind the checkpoint, and end the shard."""
    parts = world.worker()
    parts.committer.publish()
    behind = 0 if world.checkpoint is None else int(world.checkpoint.sequence_number)
    records = iter(as_records(data)[behind:])
    while True:
        parts.pipeline.take(records)
        if parts.pipeline.empty:
            break
        cut = parts.pipeline.cut(0, base=parts.base_due())
        parts.committer.commit(cut, world.accept)
    cut = parts.pipeline.cut(0, at=Position(SHARD, str(len(data))))
    parts.committer.commit(cut, world.accept, shard_end=True)
