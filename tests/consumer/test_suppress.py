"""`tillwatch suppress`: from the command line onto the stream, so that it stands there once."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError
from click.testing import CliRunner, Result
from moto import mock_aws

from consumer.cli import main
from consumer.giver import Giver, NotGiven
from events.instant import DAY, HOUR
from events.page import Entity
from events.suppression import Lift, Suppression, suppression, suppression_of
from events.verdict import Verdict, verdict_of
from sinks.deadline import Deadline

STREAM = "suppress-test"
REGION = "eu-west-1"
NOW = 1_767_600_000_000_000


@pytest.fixture
def kinesis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in (
        "TILLWATCH_AWS_ENDPOINT",
        "TILLWATCH_KINESIS_ENDPOINT",
        "TILLWATCH_OPENSEARCH_URL",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TILLWATCH_STREAM", STREAM)
    monkeypatch.setenv("TILLWATCH_REGION", REGION)
    with mock_aws():
        client = boto3.client("kinesis", region_name=REGION)
        client.create_stream(StreamName=STREAM, ShardCount=1)
        yield client


def on_the_stream(client: Any) -> list[dict[str, Any]]:
    shard = client.list_shards(StreamName=STREAM)["Shards"][0]["ShardId"]
    start = client.get_shard_iterator(
        StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    found: list[dict[str, Any]] = client.get_records(ShardIterator=start)["Records"]
    return found


def rule_on(client: Any) -> Suppression:
    (record,) = on_the_stream(client)
    said = suppression_of(record["Data"])
    assert isinstance(said, Suppression)
    assert record["PartitionKey"] == said.shop_id
    return said


def day_in(days: int) -> str:
    """The date in so many days: a rule begins within a year."""
    return (datetime.now(UTC) + timedelta(days=days)).date().isoformat()


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["suppress", *arguments])


def test_a_rule_goes_onto_the_stream_among_its_shops_transactions(kinesis: Any) -> None:
    result = run(
        *("--shop", "shop-017", "--entity", "cashier:c:41", "--reason", "cashier"),
        *("--from", day_in(3), "--until", f"{day_in(4)}T06:00Z"),
        *("--note", "black friday", "--by", "ann"),
    )
    assert result.exit_code == 0, result.output
    rule = rule_on(kinesis)
    assert result.stdout == f"{rule.rule_id}\n"
    assert (rule.shop_id, rule.entity, rule.reason) == (
        "shop-017",
        Entity("cashier", "c:41"),
        "cashier",
    )
    assert rule.since is not None
    assert rule.until - rule.since == 30 * HOUR
    assert (rule.by, rule.note) == ("ann", "black friday")


def test_for_counts_from_now_or_from_the_beginning(kinesis: Any) -> None:
    assert run("--shop", "s", "--for", "1d").exit_code == 0
    rule = rule_on(kinesis)
    assert rule.since is None
    assert rule.until - rule.given_at == DAY
    printed = run("--shop", "s", "--from", day_in(30), "--for", "2w", "--print")
    assert json.loads(printed.stdout)["until"] == f"{day_in(44)}T00:00:00.000Z"
    assert len(on_the_stream(kinesis)) == 1


def test_a_lift_names_the_rule(kinesis: Any) -> None:
    result = run("--lift", "s-0123", "--shop", "shop-017", "--by", "bob")
    assert result.exit_code == 0, result.output
    (record,) = on_the_stream(kinesis)
    said = suppression_of(record["Data"])
    assert isinstance(said, Lift)
    assert (said.rule_id, said.shop_id, said.by) == ("s-0123", "shop-017", "bob")
    assert record["PartitionKey"] == "shop-017"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shop", "s"], "--until or --for"),
        (["--shop", "s", "--for", "1d", "--until", "2099-01-01"], "--until or --for"),
        (["--for", "1d"], "which shop"),
        (["--shop", "s", "--for", "1 day"], "no stretch of time"),
        (["--shop", "s", "--until", "soon"], "no ISO 8601 time"),
        (["--shop", "s", "--for", "1d", "--entity", "c-41"], "kind:id"),
        (["--page", "p-1", "--shop", "s", "--for", "1d"], "by itself"),
        (["--lift", "s-1", "--for", "1d"], "--lift takes only"),
    ],
)
def test_what_does_not_go_together_is_told(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--shop", "s", "--for", "60w"], "366 days"),
        (["--shop", "s", "--from", day_in(400), "--for", "1d"], "begins within"),
        (["--shop", "s", "--for", "1d", "--note", "x" * 501], "note"),
        (["--shop", "s", "--from", "2026-02-01", "--until", "2026-01-01"], "not after"),
        (["--page", "p-1", "--for", "1d"], "TILLWATCH_OPENSEARCH_URL"),
        (["--lift", "s-1"], "--shop"),
        (["list"], "TILLWATCH_OPENSEARCH_URL"),
    ],
)
def test_what_cannot_be_is_refused_and_put_nowhere(
    kinesis: Any, arguments: list[str], words: str
) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert on_the_stream(kinesis) == []


def test_without_a_stream_it_says_so(kinesis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    del kinesis
    monkeypatch.delenv("TILLWATCH_STREAM")
    assert "TILLWATCH_STREAM" in run("--shop", "s", "--for", "1d").output


class Faulty:
    """A Kinesis client whose first puts fail as they are told to."""

    def __init__(self, real: Any, *faults: tuple[Exception, bool]) -> None:
        self._real = real
        self._faults = list(faults)
        self.puts = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def put_record(self, **request: Any) -> Any:
        self.puts += 1
        if self._faults:
            error, took = self._faults.pop(0)
            if took:
                self._real.put_record(**request)
            raise error
        return self._real.put_record(**request)


THROTTLED = ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "PutRecord")
LOST = ReadTimeoutError(endpoint_url="the stream")
SAID = [
    Verdict("p-1", "shop-1", "volume", "ok", NOW),
    suppression("shop-1", NOW + DAY, given_at=NOW),
]


@pytest.mark.parametrize("said", SAID)
def test_trouble_that_passes_is_waited_out(kinesis: Any, said: Any) -> None:
    client = Faulty(kinesis, (THROTTLED, False), (THROTTLED, False))
    Giver(client, STREAM).give(said)
    assert client.puts == 3
    assert len(on_the_stream(kinesis)) == 1


@pytest.mark.parametrize("said", SAID)
def test_what_the_stream_took_without_saying_so_stands_there_once(kinesis: Any, said: Any) -> None:
    client = Faulty(kinesis, (LOST, True))
    Giver(client, STREAM, settle_seconds=0.0).give(said)
    assert client.puts == 1
    (record,) = on_the_stream(kinesis)
    assert (verdict_of(record["Data"]) or suppression_of(record["Data"])) == said


def test_a_stream_that_does_not_answer_is_told_in_time(kinesis: Any) -> None:
    client = Faulty(kinesis, *[(LOST, False)] * 100)
    giver = Giver(client, STREAM, deadline=lambda: Deadline(0.2))
    with pytest.raises(NotGiven, match="does not answer"):
        giver.give(SAID[0])
    assert client.puts <= 2
