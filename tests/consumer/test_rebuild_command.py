"""`tillwatch rebuild` at a real endpoint: what it says where there is nothing to make."""

from collections.abc import Callable

import pytest
from click.testing import CliRunner, Result

from consumer.rebuild import _Time, rebuild
from consumer.shard_records import Since
from events.instant import HOUR
from local.aws import AwsEndpoint
from tests.consumer.conftest import WORKER, Holding
from tests.consumer.world import START

pytestmark = pytest.mark.integration

CLOSED = "http://127.0.0.1:9"
Command = Callable[..., Result]


@pytest.fixture
def command(holding: Holding, monkeypatch: pytest.MonkeyPatch) -> Command:
    given = holding.environment | {
        "AWS_ACCESS_KEY_ID": "made-up",
        "AWS_SECRET_ACCESS_KEY": "made-up",
        "TILLWATCH_OPENSEARCH_URL": CLOSED,
        "TILLWATCH_BUCKET": holding.made.bucket,
        "TILLWATCH_TOPIC_ARN": holding.made.topic_arn,
        "TILLWATCH_DEAD_LETTER_QUEUE_URL": holding.made.dead_letter_queue_url,
        "TILLWATCH_PSEUDONYM_KEY": "correct horse battery staple",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    return lambda *arguments, **more: CliRunner().invoke(rebuild, arguments, **more)


def committed(aws: AwsEndpoint, holding: Holding) -> str:
    """A checkpoint at the only record of its shard, and no snapshot of it."""
    kinesis, made = aws.client("kinesis"), holding.made
    put = kinesis.put_record(StreamName=made.stream, PartitionKey="shop", Data=b"no transaction")
    shard: str = put["ShardId"]
    aws.client("dynamodb").put_item(
        TableName=made.application,
        Item={
            "leaseKey": {"S": shard},
            "leaseCounter": {"N": "1"},
            "checkpoint": {"S": put["SequenceNumber"]},
            "checkpointSubSequenceNumber": {"N": "0"},
        },
    )
    return shard


@pytest.mark.parametrize(
    "arguments",
    [(), ("--all", "--shard", "shardId-0"), ("--all", "--since", "yesterday")],
    ids=["which", "both", "no time"],
)
def test_a_command_line_that_says_too_little_or_too_much(
    command: Command, arguments: tuple[str, ...]
) -> None:
    assert command(*arguments).exit_code == 2


@pytest.mark.parametrize(
    ("text", "since"),
    [
        ("TRIM_HORIZON", Since()),
        ("2026-01-05T08:00", Since(time=START)),
        ("2026-01-05T08:00+01:00", Since(time=START - HOUR)),
    ],
)
def test_times_are_in_utc_unless_they_say_otherwise(text: str, since: Since) -> None:
    assert _Time().convert(text, None, None) == since
    assert _Time().convert(since, None, None) is since


def test_what_is_refused_is_made_and_then_there_is_nothing_to_do(
    aws: AwsEndpoint, holding: Holding, command: Command
) -> None:
    shard = committed(aws, holding)
    dry = command("--shard", shard, "--dry-run")
    assert dry.exit_code == 0, dry.output
    assert "does not name it" in dry.output
    assert f"{shard}: began from nothing" in dry.output
    assert "1 records read, the first of 20" in dry.output
    assert "nothing was changed" in dry.output
    unsure = command("--shard", shard, input="n\n")
    assert unsure.exit_code == 1
    assert "Make the state of" in unsure.output

    made = command("--shard", shard, input="y\n")
    assert made.exit_code == 0, made.output
    assert "is made: 0 shops, 0 open hours" in made.output
    assert "Start the worker again." in made.output
    again = command("--all")
    assert again.exit_code == 0
    table = aws.client("dynamodb").scan(TableName=holding.made.application)
    assert again.output.count("nothing to do") == len(table["Items"]) > 1
    forced = command("--shard", shard, "--since", "TRIM_HORIZON", "--yes", "--force")
    assert "but --since was given" in forced.output
    assert forced.exit_code == 0


def test_a_shard_that_cannot_be_made_is_told_and_the_others_go_on(
    aws: AwsEndpoint, holding: Holding, command: Command
) -> None:
    shard = committed(aws, holding)
    done = command("--shard", "shardId-unknown", "--shard", shard, "--yes")
    assert done.exit_code == 1
    assert "not rebuilt: the lease table does not know shardId-unknown" in done.output
    assert f"{shard}: the snapshot of" in done.output
    assert "1 of the shards could not be rebuilt" in done.output


def test_the_named_holder_of_a_shard_is_watched(
    aws: AwsEndpoint, holding: Holding, command: Command
) -> None:
    shard = committed(aws, holding)
    aws.client("dynamodb").update_item(
        TableName=holding.made.application,
        Key={"leaseKey": {"S": shard}},
        UpdateExpression="SET leaseOwner = :worker",
        ExpressionAttributeValues={":worker": {"S": WORKER}},
    )
    done = command("--shard", shard, "--yes", "--seconds-max", "3")
    assert done.exit_code == 1
    assert f"{WORKER} is noted as the holder of {shard}" in done.output
    assert "gave up after 3 s" in done.output


def test_settings_and_services_are_told_in_words(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLWATCH_APPLICATION", "nobody")
    missing = command("--all")
    assert missing.exit_code == 1
    assert "ResourceNotFoundException" in missing.output
    monkeypatch.setenv("TILLWATCH_AWS_ENDPOINT", CLOSED)
    closed = command("--all", "--seconds-max", "2")
    assert closed.exit_code == 1
    assert "gave up after 2 s: stopped while waiting for dynamodb" in closed.output
    monkeypatch.delenv("TILLWATCH_BUCKET")
    unset = command("--all")
    assert unset.exit_code == 1
    assert "TILLWATCH_BUCKET" in unset.output
