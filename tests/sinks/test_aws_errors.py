import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    IncompleteReadError,
    NoCredentialsError,
    ReadTimeoutError,
)

from sinks.aws_errors import passes
from sinks.retry import Transient


def client_error(code: str, status: int) -> ClientError:
    answer = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "Publish")


@pytest.mark.parametrize(
    "error",
    [
        client_error("ThrottlingException", 400),
        client_error("ProvisionedThroughputExceededException", 400),
        client_error("SlowDown", 503),
        client_error("503", 503),
        client_error("InternalError", 500),
        client_error("Whatever", 429),
        client_error("ExpiredToken", 400),
        EndpointConnectionError(endpoint_url="http://127.0.0.1:1"),
        ConnectTimeoutError(endpoint_url="http://127.0.0.1:1"),
        ReadTimeoutError(endpoint_url="http://127.0.0.1:1"),
        IncompleteReadError(actual_bytes=1, expected_bytes=2),
        Transient("busy"),
    ],
)
def test_what_passes(error: Exception) -> None:
    assert passes(error)


@pytest.mark.parametrize(
    "error",
    [
        client_error("AccessDenied", 403),
        client_error("NoSuchBucket", 404),
        client_error("InvalidParameter", 400),
        client_error("ConditionalCheckFailedException", 400),
        NoCredentialsError(),
        ValueError("ours"),
    ],
)
def test_what_does_not(error: Exception) -> None:
    assert not passes(error)
