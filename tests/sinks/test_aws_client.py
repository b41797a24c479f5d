"""Clients that know less of AWS call it at the same places, in the same ways."""

import sys
from pathlib import Path
from subprocess import run
from typing import Any

import boto3
import botocore
import msgspec
import pytest
from botocore.config import Config

from sinks import aws_client

_GIVEN = {"aws_access_key_id": "a", "aws_secret_access_key": "b"}
_SIGNED = {
    "dynamodb": ("list_tables", {}),
    "kinesis": ("list_streams", {}),
    "s3": ("list_objects_v2", {"Bucket": "some-bucket"}),
    "secretsmanager": ("list_secrets", {}),
    "sns": ("list_topics", {}),
    "sqs": ("list_queues", {}),
    "sts": ("get_caller_identity", {}),
}


class _Sent(Exception):  # noqa: N818 -- says what happened
    """In the place of sending."""


def _request(client: Any, service: str) -> tuple[str, str]:
    """Where `client` would send a call, and what it would sign it for."""
    sent: list[tuple[str, str]] = []

    def look(request: Any, **_: Any) -> None:
        told = request.headers["Authorization"]
        scope = (told.decode() if isinstance(told, bytes) else told).split(",")[0]
        sent.append((request.url, scope.split("/", 2)[2]))
        raise _Sent

    client.meta.events.register("before-send", look)
    operation, arguments = _SIGNED[service]
    with pytest.raises(_Sent):
        getattr(client, operation)(**arguments)
    return sent[0]


@pytest.fixture(scope="module")
def whole() -> boto3.Session:
    return boto3.Session(**_GIVEN)


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-1", "cn-north-1"])
def test_calls_go_to_the_same_place_and_are_signed_for_it(
    whole: boto3.Session, region: str
) -> None:
    config = Config(retries={"total_max_attempts": 1})
    for service in _SIGNED:
        lean = aws_client.client(service, region_name=region, config=config, **_GIVEN)
        theirs = whole.client(service, region_name=region, config=config)
        assert lean.meta.endpoint_url == theirs.meta.endpoint_url
        assert _request(lean, service) == _request(theirs, service), service


def test_every_operation_is_there_with_the_same_members(whole: boto3.Session) -> None:
    for service in _SIGNED:
        lean = aws_client.client(service, region_name="eu-west-1", **_GIVEN).meta.service_model
        theirs = whole.client(service, region_name="eu-west-1").meta.service_model
        assert lean.metadata == theirs.metadata
        assert lean.operation_names == theirs.operation_names
        for name in lean.operation_names:
            mine, full = lean.operation_model(name), theirs.operation_model(name)
            assert _members(mine.input_shape) == _members(full.input_shape)
            assert _members(mine.output_shape) == _members(full.output_shape)


def _members(shape: Any) -> Any:
    if shape is None:
        return None
    members = shape.members.items()
    return {name: (one.type_name, one.serialization, one.metadata) for name, one in members}


def test_what_no_call_needs_is_not_held() -> None:
    data = Path(botocore.__file__).parent / "data"
    described = aws_client.Descriptions()
    endpoints = described.load_file(f"{data}/endpoints")
    kept = {name for partition in endpoints["partitions"] for name in partition["services"]}
    assert "kinesis" in kept
    assert "lambda" not in kept
    s3 = described.load_file(f"{data}/s3/2006-03-01/service-2")
    for part in ("operations", "shapes"):
        assert b'"documentation":"' not in msgspec.json.encode(s3[part])
    assert described.load_file(f"{data}/s3/2006-03-01/no-such-file") is None


def test_boto3_s_own_session_stays_as_it_is() -> None:
    program = """
import boto3
from sinks.aws_client import client
given = {"region_name": "eu-west-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
client("s3", **given)
whole = boto3.client("s3", **given).meta.service_model
assert whole.operation_model("PutObject").documentation
"""
    run([sys.executable, "-c", program], check=True, timeout=120)
