"""A shard's whole world in memory: services that outlive a crash, and a worker that does not."""

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pyarrow.parquet as pq

from anomaly.detector import DetectorConfig
from consumer.checkpoint import Committer, DeadLetters, Lake
from consumer.duplicates import Duplicates
from consumer.golden import GoldenScores
from consumer.hours import Hours
from consumer.outbox import Outbox
from consumer.pipeline import Pipeline
from consumer.reject_share import RejectShare
from consumer.rotation import Rotation
from consumer.scorer import Scorer
from consumer.shard import Parts
from consumer.snapshot import State
from consumer.snapshot_history import SnapshotHistory
from consumer.snapshots import Restored, Snapshots
from events.instant import HOUR, MINUTE, Instant, from_datetime, to_iso
from events.page import Page
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from sinks.fence import FencedOff
from sinks.memory import MemoryFence, MemoryObjectStore, MemorySink
from sinks.parquet import ParquetSink
from sinks.sink import Sink
from sinks.sns import is_sent

SHARD = "shardId-0"
APPLICATION = "tillwatch"
START: Instant = 1_767_600_000_000_000
"""2026-01-05T08:00Z, a Monday."""
KEY_GROUPS = 2
LIVE = DetectorConfig(key_groups=KEY_GROUPS)


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


class Crashing:
    """Ends the process at the n-th call that goes through it, before or after it is done."""

    def __init__(self, at: int, *, before: bool) -> None:
        self.left, self._before = at, before
        self._undo: list[tuple[object, str, Any]] = []

    def trap(self, owner: object, *names: str) -> None:
        """Let the calls of `owner` go through it."""
        for name in names:
            original = getattr(owner, name)
            self._undo.append((owner, name, original))
            setattr(owner, name, self._around(original))

    def disarm(self) -> None:
        """Put back what was trapped."""
        for owner, name, original in self._undo:
            setattr(owner, name, original)

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if self._before:
                self._step()
            result = call(*args, **kwargs)
            if not self._before:
                self._step()
            return result

        return wrapped

    def _step(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Crash


class Mailbox:
    """A topic with its ledger: keeps each revision of a page once, in the order they were sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.available = True

    def send(self, page: Page) -> bool:
        if not self.available:
            raise ConnectionError("the topic does not answer")
        if is_sent(page) and (page.page_id, page.revision) not in self.sent:
            self.sent.append((page.page_id, page.revision))
        return True


class PromptOutbox(Outbox):
    """Sends in the caller's thread, as soon as pages come in."""

    def add(self, pages: Iterable[Page]) -> None:
        super().add(pages)
        self.flush()


class Leases:
    """KCL's table: who holds a shard. The daemon of `holder` is the one that asks."""

    def __init__(self) -> None:
        self.owner = "worker-1"

    def of(self, worker: str) -> "Holder":
        return Holder(self, worker)


@dataclass
class Holder:
    """One worker's look at the leases."""

    leases: Leases
    worker: str

    def require(self, shard_id: str) -> None:
        if self.leases.owner != self.worker:
            raise FencedOff(f"{shard_id} is held by {self.leases.owner}")


@dataclass
class World:
    """What outlives a worker: stores, fence, index, queue, mailbox, and the lease's checkpoint."""

    store: MemoryObjectStore = field(default_factory=MemoryObjectStore)
    fence: MemoryFence = field(default_factory=MemoryFence)
    leases: Leases = field(default_factory=Leases)
    index: MemorySink = field(default_factory=lambda: MemorySink(threading.Event()))
    letters: Letters = field(default_factory=Letters)
    mailbox: Mailbox = field(default_factory=Mailbox)
    checkpoint: Position | None = None
    ended: bool = False
    lateness: Instant = 30 * MINUTE
    batch_records_max: int = 50
    keeps_records: bool = False
    history_period: Instant = 0
    history_kept: Instant = 0
    sinks_before: Callable[["World"], Sequence[Sink]] = lambda world: [world.index]
    shard_id: str = SHARD
    config: DetectorConfig = LIVE

    def snapshots(self, shard_id: str | None = None) -> Snapshots:
        """The snapshots of one shard, not yet taken."""
        shard_id = shard_id or self.shard_id
        golden = GoldenScores(KEY_GROUPS)
        history = SnapshotHistory(
            self.store,
            APPLICATION,
            shard_id,
            period=self.history_period,
            kept=self.history_kept,
        )
        return Snapshots(self.store, self.fence, APPLICATION, shard_id, KEY_GROUPS, golden, history)

    def worker(self, name: str = "worker-1") -> Parts:
        """A new process's parts, restored from the checkpoint."""
        snapshots = self.snapshots()
        snapshots.take(self.leases.of(name))
        restored = (
            Restored(State()) if self.checkpoint is None else snapshots.load(self.checkpoint.slug)
        )
        lake = ParquetSink(self.store, writer=name)
        sinks = [*self.sinks_before(self), lake]
        return self.parts(restored, snapshots, sinks, self.letters, lake, self.mailbox.send)

    def parts(
        self,
        restored: Restored,
        snapshots: Snapshots,
        sinks: Sequence[Sink],
        letters: DeadLetters,
        lake: Lake,
        send: Callable[[Page], bool],
    ) -> Parts:
        """Parts that go on from `restored` and write to what is given."""
        stop, state = threading.Event(), restored.state
        duplicates = Duplicates(200)
        duplicates.restore(state.duplicates)
        hours = Hours(self.shard_id, self.lateness, state.hours)
        outbox = PromptOutbox(send, stop, state.pages)
        committer = Committer(
            sinks,
            letters,
            lake,
            snapshots,
            hours,
            outbox,
            state,
            self.config.model_version(),
            stop=stop,
            reject_share=RejectShare(1.0, state.rejects),
        )
        pipeline = Pipeline(
            Parser(Pseudonymizer(b"a key for tests only")).parse_all,
            Scorer(self.config, state.shops, state.groups),
            duplicates,
            key_groups=KEY_GROUPS,
            batch_records_max=self.batch_records_max,
            batch_bytes_max=2**20,
            lateness=self.lateness,
            watermark=state.hours.watermark,
            rotation=Rotation(state.shops, restored.slices),
            keeps_records=self.keeps_records,
            after=self.checkpoint,
        )
        outbox.flush()
        return Parts(pipeline, committer, has_open_hours=lambda: bool(hours.state.open))

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
    behind = 0 if world.checkpoint is None else int(world.checkpoint.sequence_number)
    deliver(world, as_records(data)[behind:], end=Position(SHARD, str(len(data))))


def deliver(world: World, records: Iterable[Record], *, end: Position | None = None) -> None:
    """Let a worker take and commit `records`, and the end of the shard where that is given."""
    parts, coming = world.worker(), iter(records)
    parts.committer.publish()
    while True:
        parts.pipeline.take(coming)
        if parts.pipeline.empty:
            break
        parts.committer.commit(parts.pipeline.cut(0), world.accept)
    if end is not None:
        cut = parts.pipeline.cut(0, whole=True, at=end)
        parts.committer.commit(cut, world.accept, shard_end=True)


def booby_trap(world: World, crash: Crashing) -> None:
    """Every call to a service may be the last one."""
    crash.trap(world.index, "write")
    crash.trap(world.letters, "write_rejections")
    crash.trap(world.store, "put", "get", "delete")
    crash.trap(world.fence, "advance", "note")
    crash.trap(world.mailbox, "send")
    crash.trap(world, "accept")
