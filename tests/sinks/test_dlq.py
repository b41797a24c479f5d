import base64
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from moto import mock_aws

from sinks.dlq import REQUEST_BYTES_MAX, DeadLetterSink
from sinks.letter import message
from sinks.memory import MemoryObjectStore
from sinks.sink import Stopped
from tests.sinks.aws_double import client
from tests.sinks.made import SHARD, batch, position, rejection, scored


class Queue:
    """A queue, what stands in it, and how it was asked."""

    def __init__(self) -> None:
        self.client = client("sqs")
        self.url = self.client.create_queue(QueueName="rejections")["QueueUrl"]
        self.requests: list[list[dict[str, Any]]] = []
        self.client.meta.events.register(
            "provide-client-params.sqs.SendMessageBatch",
            lambda params, **_: self.requests.append(params["Entries"]),
        )

    def messages(self) -> list[dict[str, Any]]:
        got = []
        while found := self.client.receive_message(QueueUrl=self.url, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            got += [json.loads(entry["Body"]) for entry in found]
        return sorted(got, key=lambda entry: str(entry["id"]))


@pytest.fixture
def queue() -> Iterator[Queue]:
    with mock_aws():
        yield Queue()


@pytest.fixture
def store() -> MemoryObjectStore:
    return MemoryObjectStore()


def sink(queue: Queue, store: MemoryObjectStore, stop: threading.Event | None = None) -> Any:
    return DeadLetterSink(
        queue.client, queue.url, store, stop or threading.Event(), wait_seconds_max=0.001
    )


def test_a_message_says_what_where_and_why(queue: Queue, store: MemoryObjectStore) -> None:
    data = bytes(range(256))
    entry = rejection(4, data, field="total", shop_id="шоп", detail="it is\nnegative")
    sink(queue, store).write_rejections([entry])
    (got,) = queue.messages()
    assert base64.b64decode(got.pop("data")) == data
    assert got == {
        "id": f"{SHARD}/{position(4).slug}",
        "position": {
            "shard_id": SHARD,
            "sequence_number": position(4).sequence_number,
            "sub_sequence_number": 1,
        },
        "stage": "parse",
        "reason": "not_json",
        "field": "total",
        "detail": "it is\nnegative",
        "shop_id": "шоп",
        "model_version": None,
        "arrived_at": "2026-01-05T12:00:00.000Z",
        "data_bytes": 256,
    }


def test_requests_hold_ten_messages_and_their_bytes_at_most(
    queue: Queue, store: MemoryObjectStore
) -> None:
    entries = [rejection(n, b"x" * (n * 4_000 % 150_000)) for n in range(80)]
    sink(queue, store).write_rejections(entries)
    assert len(queue.messages()) == 80
    for request in queue.requests:
        assert len(request) <= 10
        assert sum(len(entry["MessageBody"]) for entry in request) <= REQUEST_BYTES_MAX
    assert len(queue.requests) < 40


def test_a_record_too_large_for_a_message_lies_in_the_store(
    queue: Queue, store: MemoryObjectStore
) -> None:
    large = b"\x00\xff" * (5 * 2**20)
    sink(queue, store).write_rejections([rejection(1), rejection(2, large), rejection(3)])
    (pointer,) = [entry for entry in queue.messages() if "data_key" in entry]
    assert pointer["data_key"] == f"dead-letters/{SHARD}/{position(2).slug}"
    assert pointer["data_bytes"] == len(large)
    assert "data" not in pointer
    assert store.get(pointer["data_key"]) == large


def test_the_limit_is_that_of_the_message_not_of_the_record(
    queue: Queue, store: MemoryObjectStore
) -> None:
    overhead = len(message(rejection(1, b"", arrived_at=None)))
    fits = (REQUEST_BYTES_MAX - overhead - len(str(REQUEST_BYTES_MAX))) // 4 * 3
    sink(queue, store).write_rejections([rejection(1, b"x" * fits, arrived_at=None)])
    assert store.keys("") == []
    sink(queue, store).write_rejections([rejection(1, b"x" * (fits + 40), arrived_at=None)])
    assert len(store.keys("")) == 1
    assert len(queue.messages()) == 2


def test_messages_that_the_queue_did_not_take_are_sent_again_alone(
    store: MemoryObjectStore,
) -> None:
    class Partial:
        def __init__(self) -> None:
            self.asked: list[list[str]] = []

        def send_message_batch(self, **request: Any) -> Any:
            entries = request["Entries"]
            self.asked.append([json.loads(entry["MessageBody"])["id"] for entry in entries])
            taken, left = entries[::2], entries[1::2]
            return {
                "Successful": [{"Id": entry["Id"]} for entry in taken],
                "Failed": [
                    {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False}
                    for entry in left
                ],
            }

    partial = Partial()
    counted: list[str] = []
    DeadLetterSink(
        partial,
        "url",
        store,
        threading.Event(),
        count_retry=counted.append,
        wait_seconds_max=0.001,
    ).write_rejections([rejection(n) for n in range(5)])
    ids = [f"{SHARD}/{position(n).slug}" for n in range(5)]
    assert partial.asked == [ids, [ids[1], ids[3]], [ids[3]]]
    assert counted == ["dlq", "dlq"]


def test_a_queue_that_refuses_stops_the_checkpoint_until_asked(store: MemoryObjectStore) -> None:
    class Refuses:
        def send_message_batch(self, **_: Any) -> Any:
            return {"Failed": [{"Id": "0", "Code": "AccessDenied", "SenderFault": True}]}

    stop = threading.Event()
    stop.set()
    refusing = DeadLetterSink(Refuses(), "url", store, stop)
    with pytest.raises(Stopped, match="AccessDenied"):
        refusing.write_rejections([rejection(1)])


def test_as_a_sink_it_takes_the_rejections_of_a_batch(
    queue: Queue, store: MemoryObjectStore
) -> None:
    made = batch(scored(1), rejections=(rejection(2), rejection(3)))
    assert sink(queue, store).write(made).rejections == ()
    assert len(queue.messages()) == 2
    sink(queue, store).write(batch(scored(4)))
    assert queue.messages() == []
