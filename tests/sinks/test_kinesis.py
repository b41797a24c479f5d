"""A record put so that it stands on the stream once, over a real Kinesis endpoint."""

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from events.instant import HOUR, Instant
from local.aws import AwsEndpoint
from local.provision import _create_stream
from local.stream_reading import contents
from sinks.deadline import Deadline
from sinks.kinesis import Placed, StreamWriter
from sinks.sink import Stopped

pytestmark = pytest.mark.integration


def now() -> Instant:
    return time.time_ns() // 1_000


class Lossy:
    """A client whose answers to puts get lost: of the next `before`, the request never arrives."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.before = self.after = 0
        self.asked = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def put_record(self, **request: Any) -> Any:
        self.asked += 1
        if self.before:
            self.before -= 1
            raise ReadTimeoutError(endpoint_url="http://kinesis")
        answer = self._client.put_record(**request)
        if self.after:
            self.after -= 1
            raise ReadTimeoutError(endpoint_url="http://kinesis")
        return answer


class Stream:
    def __init__(self, aws: AwsEndpoint) -> None:
        self.name = f"stream-{uuid.uuid4().hex}"
        self.client = Lossy(aws.client("kinesis"))
        self.shards = tuple(shard["ShardId"] for shard in _create_stream(self.client, self.name, 3))
        self.writer = StreamWriter(
            self.client, self.name, threading.Event(), settle_seconds=0.0, wait_seconds_max=0.001
        )

    def put(self, key: str, data: bytes) -> Placed:
        return self.writer.put(key, data, Deadline(60))

    @property
    def records(self) -> int:
        return contents(self.client, self.name, self.shards).records


@pytest.fixture
def stream(aws: AwsEndpoint) -> Stream:
    return Stream(aws)


def is_it(data: bytes) -> Callable[[bytes], bool]:
    return lambda other: other == data


def test_what_is_put_is_found_and_nothing_else(stream: Stream) -> None:
    began = now()
    placed = {n: stream.put(f"shop-{n}", b"%d" % n) for n in range(20)}
    assert len({place.shard_id for place in placed.values()}) == 3
    for n, place in placed.items():
        assert stream.writer.find(f"shop-{n}", is_it(b"%d" % n), began) == place
        assert stream.writer.find(f"shop-{n}", is_it(b"other"), began) is None
        assert stream.writer.find(f"shop-{n + 1}", is_it(b"%d" % n), began) is None


def test_a_look_reads_no_further_than_it_has_to(stream: Stream) -> None:
    stream.put("shop-1", b"1")
    far_before = now() - HOUR
    assert stream.writer.find("shop-1", is_it(b"1"), far_before, far_before) is None
    assert stream.writer.find("shop-1", is_it(b"1"), far_before, now()) is not None
    assert stream.writer.find("shop-1", is_it(b"1"), now() + HOUR) is None


@pytest.mark.parametrize(("before", "after"), [(0, 1), (1, 0), (2, 0), (1, 1)])
def test_a_lost_answer_does_not_double_a_record(stream: Stream, before: int, after: int) -> None:
    stream.client.before, stream.client.after = before, after
    place = stream.put("shop-1", b"1")
    assert stream.records == 1
    assert stream.writer.find("shop-1", is_it(b"1"), now()) == place
    assert stream.client.asked == before + 1


def test_an_equal_record_from_before_is_not_taken_for_ours(stream: Stream) -> None:
    stream.put("shop-1", b"1")
    clock = [now() + HOUR]
    stream.writer._clock = lambda: clock[0]
    stream.client.before = 1
    stream.put("shop-1", b"1")
    assert stream.records == 2


def test_no_request_begins_behind_the_deadline(stream: Stream) -> None:
    ended = threading.Event()
    ended.set()
    with pytest.raises(Stopped):
        stream.writer.put("shop-1", b"1", ended)
    assert stream.client.asked == 0


def test_a_deadline_ends_the_waiting(stream: Stream) -> None:
    stream.client.before = 10**6
    ticks = iter(range(10**6))
    with pytest.raises(Stopped):
        stream.writer.put("shop-1", b"1", Deadline(100, clock=lambda: float(next(ticks))))
    assert 0 < stream.client.asked < 100


def test_what_the_stream_never_takes_is_raised(stream: Stream) -> None:
    with pytest.raises(ClientError, match="Validation"):
        stream.put("shop-1", b"x" * (2**20 + 1))
    assert stream.client.asked == 1


def test_it_says_how_long_records_are_kept(stream: Stream) -> None:
    assert stream.writer.keeps() == 24 * HOUR
