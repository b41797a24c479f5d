"""`tillwatch verdict`: from the command line onto the stream."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from consumer.cli import main
from consumer.giver import NotGiven, giver_of
from events.verdict import Verdict, verdict_of

STREAM = "verdicts-test"
REGION = "eu-west-1"
PAGE = ("--shop", "shop-017", "--reason", "cashier")


@pytest.fixture
def kinesis(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    for name in ("TILLWATCH_AWS_ENDPOINT", "TILLWATCH_KINESIS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TILLWATCH_STREAM", STREAM)
    monkeypatch.setenv("TILLWATCH_REGION", REGION)
    with mock_aws():
        client = boto3.client("kinesis", region_name=REGION)
        client.create_stream(StreamName=STREAM, ShardCount=1)
        yield client


def on_the_stream(client: Any) -> list[tuple[str, Verdict | None]]:
    shard = client.list_shards(StreamName=STREAM)["Shards"][0]["ShardId"]
    start = client.get_shard_iterator(
        StreamName=STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = client.get_records(ShardIterator=start)["Records"]
    return [(record["PartitionKey"], verdict_of(record["Data"])) for record in records]


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["verdict", *arguments])


def test_a_verdict_goes_onto_the_stream_among_its_shops_transactions(kinesis: Any) -> None:
    result = run("p-1", "policy", *PAGE, "--note", "two weeks' returns", "--by", "ann")
    assert result.exit_code == 0, result.output
    ((key, said),) = on_the_stream(kinesis)
    assert key == "shop-017"
    assert said is not None
    assert (said.page_id, said.reason, said.finding) == ("p-1", "cashier", "policy")
    assert (said.by, said.note) == ("ann", "two weeks' returns")


def test_what_is_printed_is_put_nowhere(kinesis: Any) -> None:
    result = run("p-1", "ok", *PAGE, "--print")
    assert json.loads(result.stdout)["verdict"] == "ok"
    assert on_the_stream(kinesis) == []


def test_a_finding_is_one_of_three() -> None:
    result = run("p-1", "maybe", *PAGE)
    assert result.exit_code == 2
    assert "'fraud', 'ok', 'policy'" in result.output


def test_a_note_that_is_too_long_is_refused(kinesis: Any) -> None:
    result = run("p-1", "ok", *PAGE, "--note", "x" * 501)
    assert result.exit_code == 1
    assert "note" in result.output
    assert on_the_stream(kinesis) == []


def test_a_shop_needs_its_reason() -> None:
    assert run("p-1", "ok", "--shop", "shop-017").exit_code == 2


def test_without_a_stream_or_opensearch_it_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TILLWATCH_STREAM", raising=False)
    monkeypatch.delenv("TILLWATCH_OPENSEARCH_URL", raising=False)
    assert "TILLWATCH_STREAM" in run("p-1", "ok", *PAGE).output
    assert "TILLWATCH_OPENSEARCH_URL" in run("p-1", "ok").output
    assert giver_of({}) is None


def test_a_stream_that_is_not_there_is_told(kinesis: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    del kinesis
    monkeypatch.setenv("TILLWATCH_STREAM", "nowhere")
    result = run("p-1", "ok", *PAGE)
    assert result.exit_code == 1
    assert "ResourceNotFound" in result.output or "ClientError" in result.output


def test_a_giver_tells_what_is_not_whole(kinesis: Any) -> None:
    giver = giver_of({"TILLWATCH_STREAM": STREAM, "TILLWATCH_REGION": REGION})
    assert giver is not None
    with pytest.raises(NotGiven, match="page_id"):
        giver.give(Verdict("", "shop-017", "card", "ok", 0))
    assert on_the_stream(kinesis) == []
