"""The producer: everything arrives, in order per key, whatever the stream fails of a request."""

from collections.abc import Iterator
from random import Random
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st
from moto import mock_aws

from local.aws import AwsEndpoint
from local.producer import ProducerError, put_all

STREAM = "tills"


class FlakyStream:
    """A stream that fails any record it likes, and keeps the others in order of arrival."""

    def __init__(self, rng: Random, failing: float, real: Any = None) -> None:
        self.rng = rng
        self.failing = failing
        self.real = real
        self.taken: list[tuple[str, bytes]] = []
        self.requests: list[list[tuple[str, bytes]]] = []

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 -- boto3's names
        self.requests.append([(record["PartitionKey"], record["Data"]) for record in Records])
        fails = [self.rng.random() < self.failing for _ in Records]
        accepted = [record for record, fail in zip(Records, fails, strict=True) if not fail]
        self.taken += [(record["PartitionKey"], record["Data"]) for record in accepted]
        if self.real is not None and accepted:
            self.real.put_records(StreamName=StreamName, Records=accepted)
        refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow"}
        passed = {"SequenceNumber": "1", "ShardId": "shardId-000000000000"}
        return {
            "FailedRecordCount": sum(fails),
            "Records": [refused if fail else passed for fail in fails],
        }


def by_key(records: list[tuple[str, bytes]]) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for key, data in records:
        found.setdefault(key, []).append(data)
    return found


def no_sleep(_: float) -> None:
    """No waiting in tests."""


@pytest.fixture
def kinesis() -> Iterator[Any]:
    with mock_aws():
        client = boto3.client(
            "kinesis", region_name="eu-west-1", aws_access_key_id="k", aws_secret_access_key="s"
        )
        client.create_stream(StreamName=STREAM, ShardCount=1)
        yield client


def on_stream(client: Any, stream: str = STREAM) -> list[tuple[str, bytes]]:
    shard = client.list_shards(StreamName=stream)["Shards"][0]["ShardId"]
    iterator = client.get_shard_iterator(
        StreamName=stream, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found: list[tuple[str, bytes]] = []
    while True:
        answer = client.get_records(ShardIterator=iterator, Limit=10_000)
        if not answer["Records"]:
            return found
        found += [(record["PartitionKey"], record["Data"]) for record in answer["Records"]]
        iterator = answer["NextShardIterator"]


def numbered(count: int, keys: int, seed: int = 1) -> list[tuple[str, bytes]]:
    rng = Random(seed)
    return [(f"shop-{rng.randrange(keys)}", b"record %06d" % n) for n in range(count)]


@given(
    keys=st.lists(st.integers(0, 5), max_size=60),
    failing=st.floats(0, 0.6),
    seed=st.integers(0, 2**16),
)
def test_no_record_is_overtaken_by_a_later_one_of_its_key(
    keys: list[int], failing: float, seed: int
) -> None:
    records = [(f"shop-{key}", b"%d" % place) for place, key in enumerate(keys)]
    stream = FlakyStream(Random(seed), failing)
    put = put_all(
        stream, STREAM, records, order="key", batch_records_max=8, attempts_max=200, sleep=no_sleep
    )
    assert put == len(records)
    assert sorted(stream.taken) == sorted(records)
    assert by_key(stream.taken) == by_key(records)


@given(failing=st.floats(0, 0.6), seed=st.integers(0, 2**16))
def test_full_requests_are_overtaken_within_themselves_at_most(failing: float, seed: int) -> None:
    records = numbered(100, keys=4)
    stream = FlakyStream(Random(seed), failing)
    put_all(
        stream, STREAM, records, order="request", batch_records_max=10, attempts_max=200,
        sleep=no_sleep,
    )  # fmt: skip
    for start in range(0, 100, 10):
        assert sorted(stream.taken[start : start + 10]) == sorted(records[start : start + 10])
    assert failing > 0 or stream.taken == records


def test_what_failed_in_part_stands_on_the_stream_once_and_in_order(kinesis: Any) -> None:
    records = numbered(600, keys=25)
    flaky = FlakyStream(Random(7), 0.2, real=kinesis)
    assert put_all(flaky, STREAM, records, order="key", sleep=no_sleep) == 600
    found = on_stream(kinesis)
    assert len(found) == 600
    assert by_key(found) == by_key(records)


def test_only_what_failed_is_sent_again() -> None:
    records = [(f"shop-{n}", b"%d" % n) for n in range(50)]
    flaky = FlakyStream(Random(3), 0.3)
    put_all(flaky, STREAM, records, sleep=no_sleep)
    taken: set[tuple[str, bytes]] = set()
    assert len(flaky.requests) > 1
    for earlier, later in zip(flaky.requests, flaky.requests[1:], strict=False):
        assert set(later) <= set(earlier)
        taken |= set(earlier) - set(later)
        assert not taken & set(later)


def test_requests_keep_their_bounds() -> None:
    stream = FlakyStream(Random(1), 0.0)
    records = [(f"shop-{n}", b"x" * 1_000) for n in range(1_200)]
    put_all(stream, STREAM, records, batch_bytes_max=100_000)
    assert [len(request) for request in stream.requests[:-1]] == [99] * 12
    stream.requests.clear()
    put_all(stream, STREAM, records, batch_records_max=10_000)
    assert [len(request) for request in stream.requests] == [500, 500, 200]


def test_an_oversized_record_is_refused_by_its_place_after_all_before_it() -> None:
    stream = FlakyStream(Random(1), 0.0)
    records = [("a", b"1"), ("b", b"2"), ("c", b"x" * 2**20), ("d", b"4")]
    with pytest.raises(ProducerError, match=r"record 2 of the input .* 1,048,577 bytes"):
        put_all(stream, STREAM, records)
    assert stream.taken == records[:2]
    assert put_all(stream, STREAM, records, record_bytes_max=2 * 2**20) == 4


def test_progress_counts_what_is_acknowledged() -> None:
    seen: list[int] = []
    stream = FlakyStream(Random(1), 0.4)
    records = [(f"shop-{n}", b"") for n in range(25)]
    put_all(stream, STREAM, records, batch_records_max=10, on_progress=seen.append, sleep=no_sleep)
    assert seen == [10, 20, 25]


def test_no_records_are_no_request() -> None:
    stream = FlakyStream(Random(1), 0.0)
    assert put_all(stream, STREAM, []) == 0
    assert stream.requests == []


def test_it_gives_up_after_bounded_tries_and_says_where() -> None:
    waits: list[float] = []
    stream = FlakyStream(Random(1), 1.0)
    with pytest.raises(
        ProducerError, match=r"did not take 2 of 2 records, from record 0 .* 5 tries"
    ):
        put_all(
            stream, STREAM, [("a", b""), ("b", b"")],
            attempts_max=5, wait_seconds_max=0.5, sleep=waits.append,
        )  # fmt: skip
    assert len(waits) == 4
    assert all(0 <= wait <= 0.5 for wait in waits)


class BrokenStream(FlakyStream):
    """Raises each of `errors` once, then works."""

    def __init__(self, *errors: Exception) -> None:
        super().__init__(Random(1), 0.0)
        self.errors = list(errors)

    def put_records(self, *, StreamName: str, Records: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803 -- boto3's names
        if self.errors:
            raise self.errors.pop(0)
        return super().put_records(StreamName=StreamName, Records=Records)


def refusal(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": "no"}, "ResponseMetadata": {"HTTPStatusCode": status}},
        "PutRecords",
    )


def test_a_request_that_fails_as_a_whole_for_now_is_sent_again() -> None:
    stream = BrokenStream(
        refusal("ProvisionedThroughputExceededException"),
        refusal("Whatever", 503),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
    )
    assert put_all(stream, STREAM, [("a", b"1")], sleep=no_sleep) == 1
    assert stream.taken == [("a", b"1")]


def test_a_request_that_fails_for_good_is_said_at_once(kinesis: Any) -> None:
    with pytest.raises(ProducerError, match=r"refused records 0 to 0 .*ResourceNotFound"):
        put_all(kinesis, "no-such-stream", [("a", b"1")])


@pytest.mark.integration
def test_order_and_count_at_the_embedded_endpoint(aws: AwsEndpoint) -> None:
    client = aws.client("kinesis")
    client.create_stream(StreamName="producer-test", ShardCount=1)
    client.get_waiter("stream_exists").wait(StreamName="producer-test")
    records = numbered(3_000, keys=40)
    assert put_all(client, "producer-test", iter(records)) == 3_000
    assert on_stream(client, "producer-test") == records
