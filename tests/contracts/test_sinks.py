"""What every Sink promises, over the real services and the fake in memory."""

import copy
import json
import threading
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from events.batch import Batch
from events.position import Position
from sinks.archive import ArchiveSink
from sinks.archive_object import decode
from sinks.archive_seal import KEY_BYTES, Keys
from sinks.dlq import DeadLetterSink
from sinks.memory import MemorySink
from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import connect
from sinks.parquet import ParquetSink
from sinks.s3 import S3ObjectStore
from sinks.sink import Sink, Stopped, Written
from tests.sinks.made import NOON, batch, page, rejection, scored, trade
from tests.sinks.scripted_node import ScriptedNode
from tests.sinks.trouble import AwsTrouble

if TYPE_CHECKING:
    from local.aws import AwsEndpoint
    from local.stack import Stack

SECONDS_MAX = 60.0


class Place(ABC):
    """A service, a sink on it, and what stands in it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.sink: Sink

    @abstractmethod
    def fail_next(self, calls: int) -> None:
        """Let the next calls meet trouble that passes."""

    @abstractmethod
    def holds(self) -> Any:
        """What the service holds, comparable; a repeat that is documented counts once."""

    def refusable(self) -> Batch | None:
        """A batch whose second transaction this service refuses for good, if there is such."""
        return None

    @abstractmethod
    def end(self) -> None:
        """Let go of the service."""


class MemoryPlace(Place):
    def __init__(self) -> None:
        super().__init__()
        self._memory = MemorySink(self.stop, refused=frozenset({"t-refused"}))
        self.sink = self._memory

    def fail_next(self, calls: int) -> None:
        self._memory.available.clear()
        if calls < 100:
            threading.Timer(0.05 * calls, self._memory.available.set).start()

    def holds(self) -> Any:
        memory = self._memory
        return dict(memory.transactions), dict(memory.pages), dict(memory.rejections)

    def refusable(self) -> Batch:
        return batch(scored(1), scored(2, transaction_id="t-refused"), scored(3))

    def end(self) -> None:
        pass


class OpenSearchPlace(Place):
    """The real node, behind a relay that gets in the way."""

    def __init__(self, stack: "Stack") -> None:
        super().__init__()
        stack.renew()
        assert stack.node is not None
        self._direct = stack.search_client()
        self._relay = ScriptedNode(stack.node.url)
        self._running = self._relay.running()
        self._running.__enter__()
        self.sink = OpenSearchSink(
            connect(self._relay.url), self.stop, clock=lambda: NOON, wait_seconds_max=0.001
        )

    def fail_next(self, calls: int) -> None:
        answers = [(503, b"{}"), None, (429, b"{}")]
        self._relay.script = (lambda _, n=n: answers[n % 3] for n in range(calls))  # type: ignore[misc]

    def holds(self) -> Any:
        every = "transactions-*,pages-*,rejections-*,operations"
        self._direct.indices.refresh(index=every)
        hits = self._direct.search(index=every, size=2_000)["hits"]["hits"]
        return {(hit["_index"], hit["_id"]): hit["_source"] for hit in hits}

    def refusable(self) -> Batch:
        return batch(scored(1), scored(2, unknown=b'{"a":"%b"}' % (b"x" * 40_000)), scored(3))

    def end(self) -> None:
        self._direct.close()
        self._running.__exit__(None, None, None)


class AwsPlace(Place):
    def __init__(self, aws: "AwsEndpoint", service: str) -> None:
        super().__init__()
        self.name = f"sinks-{uuid.uuid4()}"
        self.client = aws.client(service)
        self._trouble = AwsTrouble(self.client)

    def fail_next(self, calls: int) -> None:
        self._trouble.left = calls

    def end(self) -> None:
        self.client.close()


class ParquetPlace(AwsPlace):
    def __init__(self, aws: "AwsEndpoint") -> None:
        super().__init__(aws, "s3")
        self.client.create_bucket(
            Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": aws.region}
        )
        self._store = S3ObjectStore(self.client, self.name, self.stop, wait_seconds_max=0.001)
        self.sink = ParquetSink(self._store)

    def holds(self) -> Any:
        return {key: self._store.get(key) for key in self._store.keys("")}

    def refusable(self) -> Batch:
        return batch(scored(1), scored(2, currency="JPY", total=10**14), scored(3))


class ArchivePlace(AwsPlace):
    """Objects that are opened: a sealed object tells nothing of its records."""

    def __init__(self, aws: "AwsEndpoint") -> None:
        super().__init__(aws, "s3")
        self.client.create_bucket(
            Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": aws.region}
        )
        self._store = S3ObjectStore(self.client, self.name, self.stop, wait_seconds_max=0.001)
        self._keys = Keys(b"k" * KEY_BYTES)
        self.sink = ArchiveSink(self._store, "tills", self._keys)

    def holds(self) -> Any:
        bodies = {key: self._store.get(key) for key in self._store.keys("")}
        return {key: (body, decode(key, body, self._keys)) for key, body in bodies.items()}


class QueuePlace(AwsPlace):
    """Something whose messages come out of a queue; what was received is kept."""

    queue: str

    def __init__(self, aws: "AwsEndpoint", service: str) -> None:
        super().__init__(aws, service)
        self.sqs = aws.client("sqs")
        self.queue = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        self.received: list[Any] = []

    def receive(self) -> list[Any]:
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                self.received.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return self.received

    def end(self) -> None:
        super().end()
        self.sqs.close()


class DeadLetterPlace(QueuePlace):
    def __init__(self, aws: "AwsEndpoint") -> None:
        super().__init__(aws, "sqs")
        s3 = aws.client("s3")
        s3.create_bucket(
            Bucket=self.name, CreateBucketConfiguration={"LocationConstraint": aws.region}
        )
        store = S3ObjectStore(s3, self.name, self.stop)
        self.sink = DeadLetterSink(
            self.client, self.queue, store, self.stop, wait_seconds_max=0.001
        )

    def holds(self) -> Any:
        return {message["id"]: message for message in self.receive()}


REAL = pytest.mark.integration


@pytest.fixture(
    params=[
        "memory",
        *(pytest.param(n, marks=REAL) for n in ("opensearch", "parquet", "dlq", "archive")),
    ]
)
def place(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # waiting is the sink's, not botocore's
    made: Place
    if request.param == "memory":
        made = MemoryPlace()
    elif request.param == "opensearch":
        made = OpenSearchPlace(request.getfixturevalue("stack"))
    else:
        kinds: dict[str, Callable[[AwsEndpoint], Place]]
        kinds = {"parquet": ParquetPlace, "dlq": DeadLetterPlace, "archive": ArchivePlace}
        made = kinds[request.param](request.getfixturevalue("aws"))
    yield made
    made.sink.close()
    made.end()


def full_batch() -> Batch:
    return batch(
        *trade(60),
        pages=(page(0), page(1, "updated"), page(0, page_id="p-0002"), page(2, "closed")),
        rejections=(rejection(100), rejection(101, b"x" * 300_000), rejection(102, b"")),
    )


def test_it_has_the_name_that_its_rejections_and_metrics_carry(place: Place) -> None:
    assert place.sink.name == type(place.sink).name
    assert place.sink.name.islower()


def test_what_is_written_is_there(place: Place) -> None:
    before = place.holds() if not isinstance(place, OpenSearchPlace) else {}
    written = place.sink.write(full_batch())
    assert isinstance(written, Written)
    assert written.rejections == ()
    assert place.holds() != before


def test_writing_the_same_batch_again_changes_nothing(place: Place) -> None:
    written = place.sink.write(full_batch())
    once = copy.deepcopy(place.holds())
    assert place.sink.write(full_batch()) == written
    assert place.holds() == once


def test_trouble_that_passes_is_waited_out(place: Place) -> None:
    place.fail_next(5)
    assert place.sink.write(full_batch()).rejections == ()
    after_trouble = copy.deepcopy(place.holds())
    place.sink.write(full_batch())
    assert place.holds() == after_trouble


def test_stopped_is_raised_when_asked_and_a_later_write_makes_it_good(place: Place) -> None:
    place.fail_next(10_000_000)
    raised: list[BaseException] = []

    def write() -> None:
        try:
            place.sink.write(full_batch())
        except Stopped as error:
            raised.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    place.stop.set()
    thread.join(SECONDS_MAX)
    assert not thread.is_alive()
    assert len(raised) == 1
    place.stop.clear()
    place.fail_next(0)
    assert place.sink.write(full_batch()).rejections == ()
    once = copy.deepcopy(place.holds())
    place.sink.write(full_batch())
    assert place.holds() == once


def test_what_is_refused_for_good_comes_back_and_nothing_else(place: Place) -> None:
    made = place.refusable()
    if made is None:  # pages and rejections are not refused one by one
        assert place.sink.write(full_batch()).rejections == ()
        return
    bad = made.scored[1]
    (refused,) = place.sink.write(made).rejections
    assert refused.position == bad.position
    assert refused.data == bad.data
    assert refused.stage == place.sink.name
    assert refused.reason
    assert refused.shop_id == bad.transaction.shop_id
    assert place.sink.write(made).rejections == (refused,)


def test_a_batch_without_anything_in_it_is_fine(place: Place) -> None:
    empty = Batch(
        scored=(),
        pages=(),
        rejections=(),
        first=Position("shardId-0", "1"),
        last=Position("shardId-0", "1"),
        records=0,
    )
    assert place.sink.write(empty) == Written()


def test_the_batch_is_left_as_it_came(place: Place) -> None:
    made = full_batch()
    place.sink.write(made)
    assert made == full_batch()


def test_closing_twice_is_fine(place: Place) -> None:
    place.sink.write(batch(scored(1)))
    place.sink.close()
    place.sink.close()
