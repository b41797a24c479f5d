"""Where shards come from, as Kinesis says it, and ranges of hash keys."""

import threading
import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from consumer.lineage import HASH_KEY_LAST, Ancestry, HashRange, KinesisLineage
from local.aws import AwsEndpoint
from sinks.sink import Stopped

KEYS = st.integers(0, HASH_KEY_LAST)


@given(KEYS, KEYS, KEYS, KEYS)
def test_overlap_is_how_many_keys_both_hold(a: int, b: int, c: int, d: int) -> None:
    one, other = HashRange(min(a, b), max(a, b)), HashRange(min(c, d), max(c, d))
    assert one.overlap(other) == other.overlap(one)
    assert one.overlap(HashRange()) == one.last - one.first + 1
    assert (one.overlap(HashRange(c, c)) == 1) == (c in one)
    assert (one.overlap(other) > 0) == (other.first in one or one.first in other)


class Kinesis:
    """Lists shards, some at a time, after some errors."""

    def __init__(self, shards: list[dict[str, Any]], *errors: str) -> None:
        self.shards = shards
        self.errors = list(errors)
        self.questions: list[dict[str, Any]] = []

    def list_shards(self, **question: Any) -> dict[str, Any]:
        self.questions.append(question)
        if self.errors:
            raise ClientError({"Error": {"Code": self.errors.pop(0)}}, "ListShards")
        # Kinesis takes the stream or a token, not both.
        assert ("StreamName" in question) != ("NextToken" in question)
        begin = int(question.get("NextToken", 0))
        answer: dict[str, Any] = {"Shards": self.shards[begin : begin + 2]}
        if begin + 2 < len(self.shards):
            answer["NextToken"] = str(begin + 2)
        return answer


def shard(name: str, first: int, last: int, *parents: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "ShardId": name,
        "HashKeyRange": {"StartingHashKey": str(first), "EndingHashKey": str(last)},
    }
    return made | dict(zip(("ParentShardId", "AdjacentParentShardId"), parents, strict=False))


SHARDS = [
    shard("a", 0, 99),
    shard("b", 100, HASH_KEY_LAST),
    shard("a-lower", 0, 49, "a"),
    shard("a-upper", 50, 99, "a"),
    shard("merged", 50, HASH_KEY_LAST, "a-upper", "b"),
    shard("orphan", 0, 49, "forgotten"),
]


def lineage(kinesis: Kinesis, **more: Any) -> KinesisLineage:
    return KinesisLineage(kinesis, "tills", threading.Event(), wait_seconds_max=0.01, **more)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a", Ancestry(HashRange(0, 99))),
        ("a-lower", Ancestry(HashRange(0, 49), {"a": HashRange(0, 99)})),
        (
            "merged",
            Ancestry(
                HashRange(50, HASH_KEY_LAST),
                {"a-upper": HashRange(50, 99), "b": HashRange(100, HASH_KEY_LAST)},
            ),
        ),
        ("orphan", Ancestry(HashRange(0, 49), {"forgotten": None})),
    ],
)
def test_every_page_of_the_list_is_read(name: str, expected: Ancestry) -> None:
    kinesis = Kinesis(SHARDS)
    assert lineage(kinesis).of(name) == expected
    assert kinesis.questions == [{"StreamName": "tills"}, {"NextToken": "2"}, {"NextToken": "4"}]


def test_a_shard_that_is_not_listed_yet_is_waited_for() -> None:
    stopped, counted = threading.Event(), []

    def count(service: str) -> None:
        counted.append(service)
        if len(counted) == 3:
            stopped.set()

    waiting = KinesisLineage(
        Kinesis(SHARDS), "tills", stopped, count_retry=count, wait_seconds_max=0.001
    )
    with pytest.raises(Stopped, match="does not list unknown yet"):
        waiting.of("unknown")
    assert counted == ["kinesis"] * 3


def test_throttling_is_waited_out_and_counted() -> None:
    counted: list[str] = []
    kinesis = Kinesis(SHARDS, "LimitExceededException", "LimitExceededException")
    assert lineage(kinesis, count_retry=counted.append).of("a").own == HashRange(0, 99)
    assert counted == ["kinesis", "kinesis"]


def test_what_does_not_pass_is_raised_and_a_stop_ends_the_wait() -> None:
    with pytest.raises(ClientError, match="AccessDenied"):
        lineage(Kinesis(SHARDS, "AccessDeniedException")).of("a")
    stopped = threading.Event()
    stopped.set()
    throttled = Kinesis(SHARDS, *["LimitExceededException"] * 3)
    with pytest.raises(Stopped):
        KinesisLineage(throttled, "tills", stopped).of("a")


@pytest.mark.integration
def test_a_real_endpoint_says_the_same(aws: AwsEndpoint) -> None:
    client, name = aws.client("kinesis"), f"lineage-{uuid.uuid4()}"
    client.create_stream(StreamName=name, ShardCount=3)
    client.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    found = KinesisLineage(client, name, threading.Event())
    names = [one["ShardId"] for one in client.list_shards(StreamName=name)["Shards"]]
    own = [found.of(one) for one in names]
    assert [one.parents for one in own] == [{}, {}, {}]
    assert sum(one.own.overlap(HashRange()) for one in own) == HASH_KEY_LAST + 1
    client.delete_stream(StreamName=name)
