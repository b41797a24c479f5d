import threading

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sinks.s3 import S3ObjectStore
from sinks.sink import Stopped
from tests.sinks.aws_double import client
from tests.sinks.trouble import AwsTrouble


def test_a_bucket_that_is_not_there_is_an_error_to_hear_of() -> None:
    with mock_aws():
        store = S3ObjectStore(client("s3"), "nowhere", threading.Event())
        with pytest.raises(ClientError, match="NoSuchBucket"):
            store.get("a")
        with pytest.raises(ClientError, match="NoSuchBucket"):
            store.put("a", b"")


def test_every_call_waits_trouble_out_and_counts_it() -> None:
    with mock_aws():
        s3 = client("s3")
        s3.create_bucket(Bucket="bucket")
        trouble = AwsTrouble(s3)
        counted: list[str] = []
        store = S3ObjectStore(
            s3, "bucket", threading.Event(), count_retry=counted.append, wait_seconds_max=0.001
        )
        trouble.left = 2
        store.put("a", b"body")
        trouble.left = 2
        assert store.get("a") == b"body"
        trouble.left = 2
        assert store.keys("") == ["a"]
        trouble.left = 2
        store.delete("a")
        assert counted == ["s3"] * 8


def test_it_stops_when_asked() -> None:
    with mock_aws():
        s3 = client("s3")
        stop = threading.Event()
        stop.set()
        AwsTrouble(s3).left = 9
        with pytest.raises(Stopped):
            S3ObjectStore(s3, "bucket", stop).put("a", b"")
