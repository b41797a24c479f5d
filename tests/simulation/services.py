"""The services of one process of a schedule.

Every call may fail before or after its effect, stall, or be the last one of its process.
"""

from collections.abc import Callable, Sequence
from typing import Any

from consumer.lease import DynamoLease
from consumer.lineage import KinesisLineage
from events.batch import Batch
from events.rejection import Rejection
from sinks.dynamodb import Ledger
from sinks.dynamodb_fence import DynamoFence
from sinks.parquet import ParquetSink
from sinks.retry import Retry
from sinks.sink import Written
from sinks.sns import Pager
from tests.simulation.aws import Dynamo, Streams, Topic
from tests.simulation.kernel import SECOND, Process, kernel
from tests.simulation.shared import APPLICATION, START, TABLE, Document, Shared
from tests.simulation.threads import Event


class Store:
    """A process's way to the object store; waits like S3ObjectStore."""

    def __init__(self, shared: Shared, stop: Event) -> None:
        self._shared = shared
        self._retry = Retry("s3", stop, wait_seconds_max=5.0)  # type: ignore[arg-type]  # simulated

    def put(self, key: str, body: bytes) -> None:
        self._call(f"put {key}", lambda: self._put(key, body))

    def _put(self, key: str, body: bytes) -> None:
        if key.startswith("processed/") and not self._shared.may_publish(key):
            self._shared.violated(f"{key} is published before its checkpoint")
        self._shared.store.put(key, body)

    def get(self, key: str) -> bytes:
        found: bytes = self._call(f"get {key}", lambda: self._shared.store.get(key))
        return found

    def keys(self, prefix: str) -> list[str]:
        found: list[str] = self._call(f"list {prefix}", lambda: self._shared.store.keys(prefix))
        return found

    def delete(self, key: str) -> None:
        self._call(f"delete {key}", lambda: self._shared.store.delete(key))

    def _call(self, name: str, effect: Callable[[], Any]) -> Any:
        return self._retry.call(lambda: self._shared.call(name, effect))


class Index:
    """A process's way to the index: documents by id, pages by id and revision, in two requests."""

    name = "opensearch"

    def __init__(self, shared: Shared, stop: Event, *, exact: bool) -> None:
        self._shared = shared
        self._exact = exact
        self._retry = Retry("index", stop, wait_seconds_max=5.0)  # type: ignore[arg-type]  # simulated

    def write(self, batch: Batch) -> Written:
        middle = len(batch.scored) // 2
        refused: list[Rejection] = []
        for part in (batch.scored[:middle], batch.scored[middle:]):
            refused += self._retry.call(
                lambda part=part: self._shared.call("index documents", lambda: self._take(part))
            )
        if batch.pages:
            self._retry.call(
                lambda: self._shared.call("index pages", lambda: self._take_pages(batch))
            )
        return Written(rejections=tuple(refused))

    def close(self) -> None:
        pass

    def _take(self, scored: Sequence[Any]) -> list[Rejection]:
        shared, refused = self._shared, []
        for item in scored:
            name = item.transaction.transaction_id
            if name in shared.refused:
                refused.append(
                    Rejection(
                        position=item.position,
                        data=item.data,
                        stage=self.name,
                        reason="refused",
                        field=None,
                        detail="refused by the service",
                        arrived_at=item.arrived_at,
                        shop_id=item.transaction.shop_id,
                    )
                )
                continue
            made = Document(item.transaction, item.score, item.position)
            known = shared.documents.setdefault(name, made)
            if known != made and (self._exact or known.position != made.position):
                shared.violated(f"document {name} was {known} and becomes {made}")
        return refused

    def _take_pages(self, batch: Batch) -> None:
        self._shared.pages.update(batch.pages)


class DeadLetters:
    """A process's way to the dead-letter queue: one request per letter."""

    def __init__(self, shared: Shared, stop: Event) -> None:
        self._shared = shared
        self._retry = Retry("sqs", stop, wait_seconds_max=5.0)  # type: ignore[arg-type]  # simulated

    def write_rejections(self, rejections: Sequence[Rejection]) -> None:
        for one in rejections:
            self._retry.call(
                lambda one=one: self._shared.call("send letter", lambda: self._take(one))
            )

    def _take(self, one: Rejection) -> None:
        self._shared.letters[letter(one)] += 1


def letter(one: Rejection) -> tuple[str, str, str, str]:
    """What a letter is known by."""
    return one.position.shard_id, one.position.slug, one.stage, one.reason


class SimulatedServices:
    """consumer.services.Services of one process of a schedule."""

    def __init__(self, shared: Shared, process: Process, stop: Event, *, exact: bool) -> None:
        the, waits = kernel(), {"wait_seconds_max": 5.0}
        index, store = Index(shared, stop, exact=exact), Store(shared, stop)
        self.lake = ParquetSink(
            store, staging=f"staging/{APPLICATION}/", writer=process.name.replace("/", "-")
        )
        dynamodb = Dynamo(shared)
        owner = process.name
        ledger = Ledger(dynamodb, TABLE, owner, clock=lambda: START * SECOND + the.now)
        self.shadow = None
        self.pager = Pager(Topic(shared), "topic", ledger)
        self.fence = DynamoFence(dynamodb, TABLE, APPLICATION, stop, **waits)  # type: ignore[arg-type]  # simulated
        worker = process.attributes["daemon"].name
        self.lease = DynamoLease(dynamodb, APPLICATION, worker, stop, **waits)  # type: ignore[arg-type]  # simulated
        self.lineage = KinesisLineage(Streams(shared), "stream", stop, **waits)  # type: ignore[arg-type]  # simulated
        self.dead_letters = DeadLetters(shared, stop)
        self.sinks = (index, self.lake)
        self.snapshot_store = store
