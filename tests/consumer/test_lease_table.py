"""KCL's lease table, read: checkpoints, holders, and whether a holder lives."""

import threading
from collections.abc import Iterator

import boto3
import pytest
from moto import mock_aws

from consumer.lease_table import LeaseRow, LeaseTable, Unheld
from consumer.snapshot import SHARD_END
from events.position import Position
from sinks.fence import FencedOff
from sinks.sink import Stopped

TABLE = "tillwatch"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Iterator[LeaseTable]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "made-up")
    with mock_aws():
        client = boto3.client("dynamodb", region_name="eu-west-1")
        client.create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "leaseKey", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        yield LeaseTable(client, TABLE, threading.Event())


def put(table: LeaseTable, shard: str, **fields: str | int) -> None:
    item = {
        name: {"S": value} if isinstance(value, str) else {"N": str(value)}
        for name, value in fields.items()
    }
    table._client.put_item(TableName=TABLE, Item={"leaseKey": {"S": shard}, **item})


def test_rows_say_how_far_each_shard_is(table: LeaseTable) -> None:
    put(table, "a", checkpoint="TRIM_HORIZON", checkpointSubSequenceNumber=0)
    put(table, "b", checkpoint="49", checkpointSubSequenceNumber=7, leaseOwner="w", leaseCounter=3)
    put(table, "c", checkpoint=SHARD_END)
    put(table, "d", checkpointOwner="leaving")
    assert table.rows() == [
        LeaseRow("a"),
        LeaseRow("b", "w", 3, "49-7"),
        LeaseRow("c", checkpoint=SHARD_END),
        LeaseRow("d", "leaving"),
    ]
    found = table.row("b")
    assert found is not None
    assert found.position == Position("b", "49", 7)
    assert [row.position for row in (LeaseRow("a"), LeaseRow("c", checkpoint=SHARD_END))] == [
        None,
        None,
    ]
    assert table.row("z") is None


def test_many_rows_come_in_pages(table: LeaseTable) -> None:
    scan, asked = table._client.scan, []

    def paged(**question: object) -> object:
        asked.append(question)
        return scan(Limit=2, **question)

    for number in range(5):
        put(table, f"shard-{number}")
    table._client.scan = paged
    assert [row.shard_id for row in table.rows()] == [f"shard-{number}" for number in range(5)]
    assert len(asked) == 3


class Rows:
    """What one look after the other finds; the last one again and again."""

    def __init__(self, *rows: LeaseRow | None) -> None:
        self.rows = list(rows)

    def __call__(self, shard_id: str) -> LeaseRow | None:
        assert shard_id == "s"
        return self.rows.pop(0) if len(self.rows) > 1 else self.rows[0]


class Patient(threading.Event):
    """Waits without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.waited: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.waited.append(timeout or 0.0)
        return self.is_set()


@pytest.mark.parametrize("row", [None, LeaseRow("s")], ids=["unknown", "free"])
def test_who_finds_no_name_waits_for_nobody(row: LeaseRow | None) -> None:
    clock = Patient()
    Unheld(Rows(row), clock).require("s")
    assert clock.waited == []


def test_a_name_whose_counter_stands_still_is_nobodys() -> None:
    clock, told = Patient(), []
    unheld = Unheld(Rows(LeaseRow("s", "gone", 5)), clock, still_seconds=3, told=told.append)
    unheld.require("s")
    assert clock.waited == [1.0, 1.0, 1.0]
    assert "gone is noted as the holder of s" in told[0]
    unheld.require("s")
    assert len(clock.waited) == 3, "it is watched once"


def test_a_name_that_is_taken_off_meanwhile_is_nobodys() -> None:
    rows = Rows(LeaseRow("s", "gone", 5), LeaseRow("s"), None)
    Unheld(rows, Patient(), still_seconds=3).require("s")


@pytest.mark.parametrize(
    "later", [LeaseRow("s", "w", 6), LeaseRow("s", "v", 5)], ids=["counts on", "another"]
)
def test_a_holder_that_lives_is_left_alone(later: LeaseRow) -> None:
    with pytest.raises(FencedOff, match=rf"s is held by {later.owner}, which is at work: stop"):
        Unheld(Rows(LeaseRow("s", "w", 5), later), Patient()).require("s")


def test_one_that_comes_between_two_looks_is_seen() -> None:
    unheld = Unheld(
        Rows(*[LeaseRow("s", "gone", 5)] * 3, LeaseRow("s", "w", 6)), Patient(), still_seconds=2
    )
    unheld.require("s")
    with pytest.raises(FencedOff, match="held by w"):
        unheld.require("s")


def test_the_look_ends_when_the_time_is_up() -> None:
    stop = Patient()
    stop.set()
    with pytest.raises(Stopped, match="w lives"):
        Unheld(Rows(LeaseRow("s", "w", 5)), stop).require("s")


def test_all_shards_are_watched_in_the_same_time() -> None:
    before = [LeaseRow("s", "gone", 5), LeaseRow("t", "gone", 7), LeaseRow("u", "w", 1)]
    after = [*before[:2], LeaseRow("u", "w", 2)]
    looks = iter([before, after])
    clock = Patient()
    rows = {row.shard_id: row for row in after}
    unheld = Unheld(rows.get, clock, others=lambda: next(looks), still_seconds=2)
    unheld.require("s")
    unheld.require("t")
    assert len(clock.waited) == 2
    assert "u" not in unheld._seen
