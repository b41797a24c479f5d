"""Which errors of an AWS service pass by themselves, and what a person can do about the others."""

from botocore.exceptions import (
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
)
from botocore.exceptions import (
    ConnectionError as BotoConnectionError,
)
from botocore.parsers import ResponseParserError

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
# An answer that is none of AWS's, such as a proxy's page, and credentials that the machine's own
# service does not give just now, are trouble on the way as well.
_LOST = (
    BotoConnectionError
    | HTTPClientError
    | IncompleteReadError
    | FlexibleChecksumError
    | ResponseParserError
    | CredentialRetrievalError
)

# Credentials are renewed by the environment (instance or container role), so they pass too; a clock
# that is wrong is set right by the machine's time service.
_RENEWED = frozenset(
    {
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "TokenRefreshRequired",
    }
)
# The bytes were damaged or cut on their way; the next ones may arrive whole.
_DAMAGED = frozenset(
    {"BadDigest", "IncompleteBody", "XAmzContentChecksumMismatch", "XAmzContentSHA256Mismatch"}
)
_NO_WORDS = frozenset({"", "400"})
"""botocore's names for an answer without AWS's words in it: a proxy's page, or half an answer."""
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
            or code in _DAMAGED
            or code in _NO_WORDS
            or status == _TOO_MANY_REQUESTS
            or status >= _SERVER_ERROR
        )
    return isinstance(error, _LOST | Transient)


_ADVICE = {
    "": "the answer is none of AWS's: does a proxy in between answer?",
    "AccessDenied": "grant the worker's role the right (docs/operations.md lists them); a key of "
    "KMS has a policy of its own, and so has a VPC endpoint",
    "AuthorizationHeaderMalformed": "it lies in another region: look at TILLWATCH_REGION",
    "ExpiredToken": "nobody renews the credentials: with those of a role this passes by itself",
    "IllegalLocationConstraintException": "it lies in another region: look at TILLWATCH_REGION",
    "InvalidAccessKeyId": "there is no such access key (any more): give the worker a role, or the "
    "right AWS_ACCESS_KEY_ID",
    "InvalidObjectState": "the object was moved to an archive class: restore it; have no lifecycle "
    "rule that archives snapshots/ or staging/",
    "KMS.DisabledException": "the key that the bucket is encrypted with is disabled: enable it",
    "KMS.NotFoundException": "the key that the bucket is encrypted with is gone",
    "NoSuchBucket": "there is no such bucket: look at TILLWATCH_BUCKET and TILLWATCH_REGION; an "
    "empty one in its place means to begin anew (docs/operations.md)",
    "PermanentRedirect": "it lies in another region: look at TILLWATCH_REGION",
    "RequestTimeTooSkewed": "this machine's clock is more than 15 minutes off: set it (chrony); it "
    "goes on by itself then",
    "SignatureDoesNotMatch": "the secret does not belong to the access key: correct it",
    "SlowDown": "more requests than the prefix takes yet: it is tried again, slower",
}
_ALIASES = {
    "400": "",
    "403": "AccessDenied",
    "AccessDeniedException": "AccessDenied",
    "AllAccessDisabled": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "RequestExpired": "RequestTimeTooSkewed",
    "RequestInTheFuture": "RequestTimeTooSkewed",
    "TokenRefreshRequired": "ExpiredToken",
}


def advice(error: BaseException) -> str:
    """What a person can do about `error`; empty where nothing but waiting is known to help."""
    if not isinstance(error, ClientError):
        return ""
    code = error.response.get("Error", {}).get("Code", "")
    return _ADVICE.get(_ALIASES.get(code, code), "")
