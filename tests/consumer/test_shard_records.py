"""A shard's records straight from the stream, at the real endpoint."""

import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError

from consumer.lineage import HashRange
from consumer.shard_records import ShardRecords, Since
from events.instant import DAY, HOUR, SECOND
from events.position import Position
from events.record import Record
from local.aws import AwsEndpoint
from sinks.sink import Stopped
from tests.consumer.test_aggregated import aggregate

pytestmark = pytest.mark.integration

OWN = HashRange()
COUNT = 25


class Filled(msgspec.Struct):
    """A stream of one shard, and the sequence numbers on it."""

    client: Any
    name: str
    shard: str
    sequences: list[str]

    def reader(self, **more: Any) -> ShardRecords:
        given = {"stop": threading.Event(), "pause_seconds": 0.0} | more
        return ShardRecords(self.client, self.name, **given)

    def read(self, since: Since, until: Position | None, **more: Any) -> list[Record]:
        return list(self.reader(**more).read(self.shard, OWN, since, until))

    def position(self, index: int, sub: int = 0) -> Position:
        return Position(self.shard, self.sequences[index], sub)


@pytest.fixture
def filled(aws: AwsEndpoint) -> Iterator[Filled]:
    client, name = aws.client("kinesis"), f"read-{uuid.uuid4()}"
    client.create_stream(StreamName=name, ShardCount=1)
    client.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    sequences = []
    for number in range(COUNT):
        data = b"%d" % number
        if number == 10:
            data = aggregate(["shop"], [(0, b"10.%d" % sub) for sub in range(4)])
        answer = client.put_record(StreamName=name, PartitionKey="shop", Data=data)
        sequences.append(answer["SequenceNumber"])
    yield Filled(client, name, answer["ShardId"], sequences)
    client.delete_stream(StreamName=name)


def test_every_user_record_comes_with_its_position_up_to_the_checkpoint(filled: Filled) -> None:
    found = filled.read(Since(), filled.position(20))
    assert [record.data for record in found] == [
        *(b"%d" % number for number in range(10)),
        *(b"10.%d" % sub for sub in range(4)),
        *(b"%d" % number for number in range(11, 21)),
    ]
    assert found[12].position == filled.position(10, 2)
    assert {record.partition_key for record in found} == {"shop"}
    assert all(record.arrived_at and record.arrived_at % 1_000 == 0 for record in found)


def test_a_checkpoint_inside_an_aggregate_ends_there(filled: Filled) -> None:
    found = filled.read(Since(filled.sequences[9]), filled.position(10, 1))
    assert [record.data for record in found] == [b"9", b"10.0", b"10.1"]


def test_a_checkpoint_beyond_the_tip_ends_at_the_tip(filled: Filled) -> None:
    beyond = Position(filled.shard, str(int(filled.sequences[-1]) + 5))
    assert len(filled.read(Since(), beyond)) == COUNT + 3


def test_it_begins_at_a_time(filled: Filled) -> None:
    now = time.time_ns() // 1_000
    assert len(filled.read(Since(time=now - HOUR), filled.position(-1))) == COUNT + 3
    assert filled.read(Since(time=now + 60 * SECOND), filled.position(-1)) == []


def test_few_at_a_time_and_an_iterator_that_ran_out(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.shard_records.READ_RECORDS_MAX", 7)
    real, calls = filled.client.get_records, []

    def sometimes(**question: Any) -> Any:
        calls.append(question)
        if len(calls) in {1, 3}:
            raise ClientError({"Error": {"Code": "ExpiredIteratorException"}}, "GetRecords")
        return real(**question)

    monkeypatch.setattr(filled.client, "get_records", sometimes)
    behind: list[int] = []
    found = list(
        filled.reader().read(filled.shard, OWN, Since(), filled.position(-1), behind.append)
    )
    assert [
        record.position.sequence_number for record in found if not record.data.startswith(b"10.")
    ] == [sequence for index, sequence in enumerate(filled.sequences) if index != 10]
    assert len(calls) == 6
    assert len(behind) == 4


def test_an_error_that_does_not_pass_is_raised(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetRecords")

    monkeypatch.setattr(filled.client, "get_records", refuse)
    with pytest.raises(ClientError, match="AccessDenied"):
        filled.read(Since(), filled.position(-1))


def test_it_stops_when_the_time_is_up(filled: Filled) -> None:
    stop = threading.Event()
    stop.set()
    beyond = Position(filled.shard, str(int(filled.sequences[-1]) + 5))
    with pytest.raises(Stopped, match="reading the stream"):
        filled.read(Since(filled.sequences[-1]), beyond, stop=stop)


def test_a_shard_that_ended_is_read_to_its_end(
    filled: Filled, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = filled.client.get_records

    def last(**question: Any) -> Any:
        answer = real(**question)
        del answer["NextShardIterator"]
        return answer

    monkeypatch.setattr(filled.client, "get_records", last)
    assert len(filled.read(Since(), None)) == COUNT + 3


def test_a_stream_that_is_younger_than_it_keeps_records_has_forgotten_nothing(
    filled: Filled,
) -> None:
    now = time.time_ns() // 1_000
    assert filled.reader().forgets_before(now) is None
    assert filled.reader().forgets_before(now + 9 * DAY) == now + 8 * DAY
