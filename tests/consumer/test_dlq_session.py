import pytest
from botocore.exceptions import ClientError, NoCredentialsError

from consumer.dlq_session import _explained
from consumer.settings import Settings

SETTINGS = Settings(
    stream="tills",
    opensearch_url="http://127.0.0.1:9",
    bucket="lake",
    topic_arn="arn",
    dead_letter_queue_url="http://127.0.0.1:9/letters",
    pseudonym_key="a key for tests only",
)


@pytest.mark.parametrize(
    ("code", "operation", "words"),
    [
        ("QueueDoesNotExist", "ReceiveMessage", "no queue http://127.0.0.1:9/letters (TILLWATCH_D"),
        ("AWS.SimpleQueueService.NonExistentQueue", "GetQueueAttributes", "there is no queue"),
        ("AccessDenied", "ReceiveMessage", "these credentials may not do it: An error occurred"),
        ("AccessDeniedException", "PutRecord", "these credentials may not do it"),
        ("ResourceNotFoundException", "UpdateItem", "no table tillwatch-ledger (TILLWATCH_LEDGER_"),
        ("ResourceNotFoundException", "PutRecord", "no stream tills (TILLWATCH_STREAM)"),
        ("NoSuchBucket", "GetObject", "no bucket lake (TILLWATCH_BUCKET)"),
        ("Odd", "PutRecord", "An error occurred (Odd)"),
    ],
)
def test_what_aws_says_names_the_setting_or_the_right(
    code: str, operation: str, words: str
) -> None:
    error = ClientError({"Error": {"Code": code, "Message": "said"}}, operation)
    assert words in _explained(error, SETTINGS)


def test_other_trouble_is_told_in_its_own_words() -> None:
    assert "credentials" in _explained(NoCredentialsError(), SETTINGS)
