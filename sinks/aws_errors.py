"""Which errors of an AWS service pass by themselves."""

from botocore.exceptions import (
    ClientError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)

from sinks.retry import Transient

_THROTTLES = frozenset(
    {
        "BandwidthLimitExceeded",
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "KMSThrottlingException",
        "KmsThrottled",
        "LimitExceededException",
        "OperationAborted",
        "OverLimit",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_LOST = BotoConnectionError | HTTPClientError | IncompleteReadError

# Credentials are renewed by the environment (instance or container role), so they pass too.
_RENEWED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500


def passes(error: BaseException) -> bool:
    """Whether trying the same call again may succeed: throttling, 5xx, time-outs, lost connections.

    A missing bucket or a right that is not granted does not pass: it is raised, and ends the worker
    with its message, rather than waiting for ever for a person who does not know.
    """
    if isinstance(error, ClientError):
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return (
            code in _THROTTLES
            or code in _RENEWED
            or status == _TOO_MANY_REQUESTS
            or status >= _SERVER_ERROR
        )
    return isinstance(
        error, BotoConnectionError | HTTPClientError | IncompleteReadError | Transient
    )
