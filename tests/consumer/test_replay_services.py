"""What a replay reads from refuses every call that would change something."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from consumer.replay import replay
from consumer.replay_services import ReplayServices, WriteRefused, reading_client
from consumer.replaying import Stretch
from consumer.settings import load

BUCKET = "lake"
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "TILLWATCH_STREAM": "tills",
    "TILLWATCH_REGION": "us-east-1",
    "TILLWATCH_OPENSEARCH_URL": "http://127.0.0.1:9",
    "TILLWATCH_BUCKET": BUCKET,
    "TILLWATCH_TOPIC_ARN": "arn:aws:sns:us-east-1:1:pages",
    "TILLWATCH_DEAD_LETTER_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/letters",
    "TILLWATCH_PSEUDONYM_KEY": "correct horse battery staple",
}
STRETCH = ("--from", "2026-01-05", "--to", "2026-01-06")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        boto3.client("s3", region_name="us-east-1").create_bucket(Bucket=BUCKET)
        boto3.client("kinesis", region_name="us-east-1").create_stream(
            StreamName="tills", ShardCount=2
        )
        yield


@pytest.mark.parametrize(
    ("service", "write"),
    [
        ("s3", lambda it: it.put_object(Bucket=BUCKET, Key="k", Body=b"")),
        ("s3", lambda it: it.delete_object(Bucket=BUCKET, Key="k")),
        ("s3", lambda it: it.copy_object(Bucket=BUCKET, Key="k", CopySource=f"{BUCKET}/x")),
        ("s3", lambda it: it.create_multipart_upload(Bucket=BUCKET, Key="k")),
        ("dynamodb", lambda it: it.put_item(TableName="t", Item={})),
        ("dynamodb", lambda it: it.update_item(TableName="t", Key={})),
        ("dynamodb", lambda it: it.delete_item(TableName="t", Key={})),
        ("kinesis", lambda it: it.put_record(StreamName="tills", PartitionKey="k", Data=b"")),
        ("sns", lambda it: it.publish(TopicArn=ENVIRONMENT["TILLWATCH_TOPIC_ARN"], Message="m")),
        ("sqs", lambda it: it.send_message(QueueUrl="https://sqs/1/q", MessageBody="m")),
        ("sqs", lambda it: it.receive_message(QueueUrl="https://sqs/1/q")),
    ],
)
def test_every_call_that_is_none_of_reading_is_refused(
    aws: None, service: str, write: Callable[[Any], object]
) -> None:
    client = reading_client(load(), service)
    with pytest.raises(WriteRefused):
        write(client)


def test_it_reads(aws: None) -> None:
    settings = load()
    assert reading_client(settings, "s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    services = ReplayServices(settings, threading.Event(), archive=True, stream=True)
    assert services.archive is None
    assert len(services.shards(0, 1)) == 2
    assert services.of("shardId-of-long-ago").parents, "nobody knows where it comes from"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(replay, arguments)


def test_a_folder_with_something_in_it_is_left_alone(aws: None, tmp_path: Any) -> None:
    (tmp_path / "scores.jsonl").write_text("of another replay")
    told = run(*STRETCH, "--out", str(tmp_path))
    assert told.exit_code == 1
    assert "is not empty" in told.output
    assert (tmp_path / "scores.jsonl").read_text() == "of another replay"


def test_a_stretch_that_ends_before_it_begins_is_refused(aws: None, tmp_path: Any) -> None:
    told = run("--from", "2026-01-06", "--to", "2026-01-05", "--out", str(tmp_path))
    assert told.exit_code == 2


def test_without_a_key_there_is_no_archive_to_read(aws: None, tmp_path: Any) -> None:
    told = run(*STRETCH, "--source", "archive", "--out", str(tmp_path / "new"))
    assert told.exit_code == 1
    assert "TILLWATCH_ARCHIVE_KEY is not set" in told.output


def test_a_stretch_of_nothing_gives_empty_files(aws: None, tmp_path: Any) -> None:
    told = run(*STRETCH, "--out", str(tmp_path / "new"))
    assert told.exit_code == 0, told.output
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == [
        *("documents.jsonl", "pages.jsonl", "rejections.jsonl", "replay.json", "scores.jsonl")
    ]
    assert (tmp_path / "new" / "scores.jsonl").read_bytes() == b""


def test_a_shard_that_kinesis_has_forgotten_is_not_asked_of_it(aws: None) -> None:
    services = ReplayServices(load(), threading.Event(), archive=False, stream=True)
    replaying = services.replaying("shardId-of-long-ago", 0)
    assert list(replaying.cuts(Stretch(0, 1))) == []
    assert replaying.done.records == 0
