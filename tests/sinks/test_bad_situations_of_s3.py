"""What goes wrong with S3: what is waited for, what ends the worker, and what a person is told.

The rows of docs/bad-situations.md that name this file are held by it.
"""

import logging
import threading

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sinks.s3 import S3ObjectStore
from tests.sinks.aws_double import client
from tests.sinks.trouble import AwsTrouble, s3_error

HTML = b"<html><body>Sign in to the guest network</body></html>"


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        pytest.param(403, s3_error("RequestTimeTooSkewed"), "clock is more than 15", id="clock"),
        pytest.param(503, s3_error("SlowDown"), "slower", id="slow down"),
        pytest.param(400, s3_error("ExpiredToken"), "passes by itself", id="expired token"),
        pytest.param(500, s3_error("InternalError"), "InternalError", id="internal error"),
        pytest.param(400, s3_error("RequestTimeout"), "RequestTimeout", id="idle connection"),
        pytest.param(400, s3_error("BadDigest"), "BadDigest", id="damaged on its way"),
        pytest.param(502, HTML, "502", id="a proxy without its upstream"),
        pytest.param(400, HTML, "does a proxy", id="a page of HTML"),
        pytest.param(400, s3_error("X")[:60], "does a proxy", id="a truncated answer"),
        pytest.param(200, HTML, "does a proxy", id="success that is none of S3's"),
    ],
)
def test_what_passes_is_waited_for_and_says_what_helps(
    status: int, body: bytes, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    with mock_aws():
        s3 = client("s3")
        s3.create_bucket(Bucket="lake")
        trouble = AwsTrouble(s3, status, body)
        store = S3ObjectStore(s3, "lake", threading.Event(), wait_seconds_max=0.001)
        trouble.left = 2
        with caplog.at_level(logging.WARNING):
            store.put("processed/a", b"rows")
        assert trouble.met == 2
        assert store.get("processed/a") == b"rows"
    assert words in caplog.text
    assert "rows" not in caplog.text


def test_a_list_that_is_a_page_of_html_is_asked_for_again() -> None:
    with mock_aws():
        s3 = client("s3")
        s3.create_bucket(Bucket="lake")
        store = S3ObjectStore(s3, "lake", threading.Event(), wait_seconds_max=0.001)
        store.put("processed/a", b"rows")
        trouble = AwsTrouble(s3, 200, HTML)
        trouble.left = 2
        assert store.keys("processed/") == ["processed/a"]
        assert trouble.met == 2


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (404, "NoSuchBucket", "there is no such bucket: look at TILLWATCH_BUCKET"),
        (403, "AccessDenied", "grant the worker's role the right"),
        (403, "AllAccessDisabled", "grant the worker's role the right"),
        (403, "InvalidAccessKeyId", "there is no such access key"),
        (403, "SignatureDoesNotMatch", "the secret does not belong to the access key"),
        (400, "AuthorizationHeaderMalformed", "look at TILLWATCH_REGION"),
        (301, "PermanentRedirect", "look at TILLWATCH_REGION"),
        (400, "KMS.DisabledException", "is disabled: enable it"),
        (403, "InvalidObjectState", "moved to an archive class"),
    ],
)
def test_what_a_person_has_to_mend_ends_the_worker_in_words(
    status: int, code: str, words: str
) -> None:
    with mock_aws():
        s3 = client("s3")
        trouble = AwsTrouble(s3, status, s3_error(code))
        store = S3ObjectStore(s3, "lake", threading.Event(), wait_seconds_max=0.001)
        trouble.left = 1
        with pytest.raises(ClientError, match=code) as raised:
            store.put("processed/a", b"rows")
        assert trouble.met == 1, "it was not tried again"
    (note,) = raised.value.__notes__
    assert note.startswith("bucket lake: ")
    assert words in note
