"""The services of a schedule, in memory: every call may fail before or after its effect, stall, or
be the last one of its process.
"""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from botocore.exceptions import ClientError

from consumer.lease import DynamoLease
from consumer.lineage import KinesisLineage
from events.batch import Batch
from events.rejection import Rejection
from events.score import Score
from events.transaction import Transaction
from sinks.dynamodb import CLAIM_SECONDS_MAX, Ledger
from sinks.dynamodb_fence import DynamoFence
from sinks.memory import MemoryObjectStore
from sinks.parquet import ParquetSink
from sinks.retry import Retry, Transient
from sinks.sink import Written
from sinks.sns import Pager
from tests.simulation.kernel import SECOND, Event, Process, here, kernel

if TYPE_CHECKING:
    from events.page import Page
    from events.position import Position

START = 1_767_600_000
"""What epoch second the kernel's clock begins at."""
TABLE = "ledger"
APPLICATION = "tillwatch"


class Violation(Exception):  # noqa: N818 -- it says what happened
    """A promise was broken in the middle of a schedule."""


class Odds(msgspec.Struct):
    """How likely what goes wrong is, at each call to a service."""

    fail_before: float = 0.0
    fail_after: float = 0.0
    stall: float = 0.0
    crash: float = 0.0
    crash_daemon: float = 0.0
    freeze: float = 0.0
    stall_seconds_max: float = 150.0

    def none(self) -> None:
        """Nothing goes wrong any more."""
        self.fail_before = self.fail_after = self.stall = 0.0
        self.crash = self.crash_daemon = self.freeze = 0.0


class Document(msgspec.Struct, frozen=True):
    """What the index holds of a transaction."""

    transaction: Transaction
    score: Score | None
    position: "Position"


class Shared:
    """What outlives every process."""

    def __init__(self, odds: Odds, refused: frozenset[str]) -> None:
        self.odds = odds
        self.refused = refused
        self.store = MemoryObjectStore()
        self.documents: dict[str, Document] = {}
        self.pages: set[Page] = set()
        self.letters: Counter[tuple[str, str, str, str]] = Counter()
        self.tables: dict[tuple[str, str], dict[str, Any]] = {}
        self.sent: Counter[tuple[str, int]] = Counter()
        self.claims: dict[tuple[str, str], int] = {}
        self.violations: list[str] = []
        self.may_publish: Callable[[str], bool] = lambda _: True
        self.list_shards: Callable[[], list[dict[str, Any]]] = list
        self.lease_item: Callable[[str], dict[str, Any]] = lambda _: {}
        self.counts: Counter[str] = Counter()

    def call(self, name: str, effect: Callable[[], Any]) -> Any:
        """One request; raises Transient where it failed, before or after its effect."""
        the, odds = kernel(), self.odds
        self.counts["calls"] += 1
        self._mishap(name, "before")
        the.wait(the.random.expovariate(200.0))
        if odds.fail_before and the.random.random() < odds.fail_before:
            the.trace(f"{name}: fails")
            self.counts["failures"] += 1
            raise Transient(f"{name} failed")
        result = effect()
        if the.tracing:
            the.trace(f"{name}: done")
        the.wait(the.random.expovariate(200.0))
        self._mishap(name, "after")
        if odds.fail_after and the.random.random() < odds.fail_after:
            the.trace(f"{name}: done, and its answer is lost")
            self.counts["answers lost"] += 1
            raise Transient(f"{name} was not heard of")
        return result

    def violated(self, what: str) -> None:
        """Note that a promise was broken; the product may swallow what is raised here."""
        kernel().trace(f"VIOLATION {what}")
        self.violations.append(what)
        raise Violation(what)

    def _mishap(self, name: str, when: str) -> None:
        the, odds, process = kernel(), self.odds, here()
        draw = the.random.random()
        if draw < odds.crash:
            self.counts["crashes"] += 1
            process.kill(f"{when} {name}")
        draw -= odds.crash
        if draw < 0:
            return
        if draw < odds.crash_daemon:
            self.counts["daemon crashes"] += 1
            process.attributes["daemon"].process.kill(f"{when} {name} of {process.name}")
        draw -= odds.crash_daemon
        if 0 <= draw < odds.stall:
            seconds = the.random.uniform(0.5, odds.stall_seconds_max)
            the.trace(f"{name}: stalls {seconds:.1f} s {when} its effect")
            self.counts["stalls"] += 1
            the.wait(seconds)
        draw -= odds.stall
        if 0 <= draw < odds.freeze:
            seconds = the.random.uniform(5.0, odds.stall_seconds_max)
            self.counts["freezes"] += 1
            process.attributes["daemon"].freeze(seconds)
            the.wait(0.000001)


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


class Dynamo:
    """A client of DynamoDB that knows the requests which ledger, fence and lease make."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> Any:  # noqa: N803 -- boto3's names
        assert ConsistentRead
        (key,) = (value["S"] for value in Key.values())
        if TableName == APPLICATION:
            return self._call(f"read lease {key}", lambda: {"Item": self._shared.lease_item(key)})
        row = (TableName, key)
        return self._call(f"read {key}", lambda: {"Item": dict(self._shared.tables.get(row, {}))})

    def update_item(self, *, TableName: str, Key: dict[str, Any], **request: Any) -> Any:  # noqa: N803 -- boto3's names
        key = Key["ledger_key"]["S"]
        return self._call(f"write {key}", lambda: self._update((TableName, key), request))

    def _call(self, name: str, effect: Callable[[], Any]) -> Any:
        return self._shared.call(name, effect)

    def _update(self, row: tuple[str, str], request: dict[str, Any]) -> Any:
        tables, given = self._shared.tables, request["ExpressionAttributeValues"]
        item = tables.get(row, {})
        if not _holds(request.get("ConditionExpression"), item, given):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
        expression = request["UpdateExpression"]
        if expression == "ADD epoch :one":
            changed = {"epoch": {"N": str(int(item.get("epoch", {}).get("N", "0")) + 1)}}
        else:
            names = request.get("ExpressionAttributeNames", {})
            pairs = [pair.split(" = ") for pair in expression.removeprefix("SET ").split(", ")]
            changed = {names.get(name, name): given[value] for name, value in pairs}
        tables[row] = {**item, **changed}
        if ":owner" in given:
            self._shared.claims[row[1], given[":owner"]["S"]] = kernel().now
        return {"Attributes": tables[row]}


_CLAIM = (
    "attribute_not_exists(ledger_key) OR (#state = :claimed AND "
    "(#owner = :owner OR claimed_at < :old))"
)


def _holds(condition: str | None, item: dict[str, Any], given: dict[str, Any]) -> bool:
    if condition is None:
        return True
    if condition == "epoch = :epoch":
        return item.get("epoch") == given[":epoch"]
    assert condition == _CLAIM, condition
    if not item:
        return True
    return item["state"] == given[":claimed"] and (
        item["owner"] == given[":owner"] or int(item["claimed_at"]["N"]) < int(given[":old"]["N"])
    )


class Topic:
    """A client of SNS."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def publish(self, *, Message: str, **_: Any) -> None:  # noqa: N803 -- boto3's name
        body = json.loads(json.loads(Message)["default"])
        page = (body["page_id"], body["revision"])
        self._shared.call(f"publish {page[0]} {page[1]}", lambda: self._take(page))

    def _take(self, page: tuple[str, int]) -> None:
        shared, name, me = self._shared, f"{page[0]}#{page[1]}", here().name
        if shared.sent[page]:
            # The one window: whoever sent it before could not mark it, or this one hung too long.
            row, claimed = shared.tables.get((TABLE, name), {}), shared.claims.get((name, me))
            mine = row.get("state") == {"S": "claimed"} and row.get("owner") == {"S": me}
            hung = claimed is not None and kernel().now - claimed > CLAIM_SECONDS_MAX * SECOND
            if not mine and not hung:
                shared.violated(f"page {name} is sent twice")
            shared.counts["pages sent again in the window"] += 1
        shared.sent[page] += 1


class Streams:
    """A client of Kinesis that lists shards."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def list_shards(self, **_: Any) -> Any:
        return self._shared.call("list shards", lambda: {"Shards": self._shared.list_shards()})


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
        self.pager = Pager(Topic(shared), "topic", ledger)
        self.fence = DynamoFence(dynamodb, TABLE, APPLICATION, stop, **waits)  # type: ignore[arg-type]  # simulated
        worker = process.attributes["daemon"].name
        self.lease = DynamoLease(dynamodb, APPLICATION, worker, stop, **waits)  # type: ignore[arg-type]  # simulated
        self.lineage = KinesisLineage(Streams(shared), "stream", stop, **waits)  # type: ignore[arg-type]  # simulated
        self.dead_letters = DeadLetters(shared, stop)
        self.sinks = (index, self.lake)
        self.snapshot_store = store
