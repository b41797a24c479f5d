"""`tillwatch lifecycle apply` against moto: what it sets, what it leaves alone."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result
from moto import mock_aws

from consumer.lifecycle import lifecycle
from sinks.bucket_rules import OURS, rules

BUCKET = "lake"
STRANGER = {
    "ID": "of-another",
    "Status": "Enabled",
    "Filter": {"Prefix": "theirs/"},
    "Expiration": {"Days": 3},
}


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with mock_aws():
        for name, value in {
            "AWS_ACCESS_KEY_ID": "made-up",
            "AWS_SECRET_ACCESS_KEY": "made-up",
            "TILLWATCH_STREAM": "tills",
            "TILLWATCH_REGION": "us-east-1",
            "TILLWATCH_OPENSEARCH_URL": "http://127.0.0.1:9",
            "TILLWATCH_BUCKET": BUCKET,
            "TILLWATCH_TOPIC_ARN": "arn:aws:sns:us-east-1:1:pages",
            "TILLWATCH_PSEUDONYM_KEY": "correct horse battery staple",
        }.items():
            monkeypatch.setenv(name, value)
        url = queue().create_queue(QueueName="letters")["QueueUrl"]
        monkeypatch.setenv("TILLWATCH_DEAD_LETTER_QUEUE_URL", url)
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield client


def queue() -> Any:
    return boto3.client("sqs", region_name="us-east-1")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(lifecycle, ["apply", *arguments])


def standing(s3: Any) -> dict[str, Any]:
    return {
        rule["ID"]: rule for rule in s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    }


def retention() -> str:
    url = queue().get_queue_url(QueueName="letters")["QueueUrl"]
    answer = queue().get_queue_attributes(QueueUrl=url, AttributeNames=["MessageRetentionPeriod"])
    kept: str = answer["Attributes"]["MessageRetentionPeriod"]
    return kept


@pytest.mark.parametrize("kms", ["", "alias/letters"])
def test_dead_letters_are_encrypted_at_rest(s3: Any, kms: str) -> None:
    del s3
    url = queue().get_queue_url(QueueName="letters")["QueueUrl"]
    clear = {"SqsManagedSseEnabled": "false"} | ({"KmsMasterKeyId": kms} if kms else {})
    queue().set_queue_attributes(QueueUrl=url, Attributes=clear)
    assert ("encrypted at rest" in run("--dry-run").output) == (not kms)
    run()
    found = queue().get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert (found["SqsManagedSseEnabled"] == "true") == (not kms)
    assert "encrypted at rest" not in run().output


PARQUET = ("processed", "compacted", "pages", "verdicts")


def test_it_sets_what_the_settings_say_and_twice_is_as_once(s3: Any) -> None:
    first = run()
    assert first.exit_code == 0, first.output
    found = standing(s3)
    assert set(found) == {rule["ID"] for rule in rules(30, 30, tiering=False)}
    days = {name: rule.get("Expiration", {}).get("Days") for name, rule in found.items()}
    assert {name for name, of in days.items() if of == 30} == {
        f"{OURS}{name}" for name in ("archive", "history", "dead-letters", "shadow", *PARQUET)
    }
    assert days[f"{OURS}staging"] == 365
    assert days[f"{OURS}snapshots"] is None
    assert found[f"{OURS}snapshots"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 7}
    assert retention() == str(14 * 86_400)
    again = run()
    assert again.stdout == ""
    assert "0 changed" in again.stderr
    assert standing(s3) == found


def test_rules_of_others_stay_and_old_ones_of_ours_go(s3: Any) -> None:
    old = STRANGER | {"ID": f"{OURS}no-more", "Filter": {"Prefix": "gone/"}}
    s3.put_bucket_lifecycle_configuration(
        Bucket=BUCKET, LifecycleConfiguration={"Rules": [STRANGER, old]}
    )
    told = run().stdout
    assert f"- {OURS}no-more" in told
    assert "of-another" not in told
    found = standing(s3)
    assert found["of-another"] == STRANGER
    assert f"{OURS}no-more" not in found


def test_processed_files_may_stay_longer_and_grow_cheaper(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    monkeypatch.setenv("TILLWATCH_PROCESSED_RETENTION_DAYS", "400")
    monkeypatch.setenv("TILLWATCH_PROCESSED_INTELLIGENT_TIERING", "true")
    told = run().stdout.splitlines()
    assert [line[: len("~ tillwatch-")] for line in told] == ["~ tillwatch-"] * 4
    found = standing(s3)
    for name in PARQUET:
        rule = found[f"{OURS}{name}"]
        assert rule["Expiration"] == {"Days": 400}
        assert rule["Transitions"] == [{"Days": 0, "StorageClass": "INTELLIGENT_TIERING"}]
    assert found[f"{OURS}archive"]["Expiration"] == {"Days": 30}


def test_a_dry_run_shows_and_changes_nothing(s3: Any) -> None:
    before = retention()
    told = run("--dry-run")
    assert f"+ {OURS}archive: archive/, deleted after 30 days" in told.stdout
    assert "~ dead letters: kept 4 days -> 14 days" in told.stdout
    assert "would change" in told.stderr
    assert retention() == before
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchLifecycle"):
        standing(s3)


def test_what_a_person_has_to_mend_is_said(s3: Any) -> None:
    assert "versioning is off in lake" in run().stderr
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    assert "versioning" not in run().stderr


def test_a_shorter_retention_is_the_letters_too(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLWATCH_RETENTION_DAYS", "5")
    run()
    assert retention() == str(5 * 86_400)
    assert standing(s3)[f"{OURS}archive"]["Expiration"] == {"Days": 5}


def test_a_bucket_that_is_not_there_is_said_in_words(
    s3: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILLWATCH_BUCKET", "elsewhere")
    told = run()
    assert told.exit_code == 1
    assert "elsewhere" in told.output or "NoSuchBucket" in told.output
