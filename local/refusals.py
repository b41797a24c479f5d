"""How AWS services say that they cannot take a request now, each in the format of its own."""

from typing import Any

import msgspec

_JSON = "application/x-amz-json-1.0"
_XML = "text/xml"
_ID = "00000000-0000-0000-0000-000000000000"
_MESSAGE = "injected by a test"

# Status and code by service and way to fail, as the services' references have them.
_SAID: dict[tuple[str, str], tuple[int, str]] = {
    ("s3", "throttle"): (503, "SlowDown"),
    ("s3", "error"): (500, "InternalError"),
    ("s3", "unavailable"): (503, "ServiceUnavailable"),
    ("sqs", "throttle"): (403, "RequestThrottled"),
    ("sqs", "error"): (500, "InternalFailure"),
    ("sqs", "unavailable"): (503, "ServiceUnavailable"),
    ("sns", "throttle"): (400, "Throttling"),
    ("sns", "error"): (500, "InternalError"),
    ("sns", "unavailable"): (503, "ServiceUnavailable"),
    ("dynamodb", "throttle"): (400, "ProvisionedThroughputExceededException"),
    ("dynamodb", "error"): (500, "InternalServerError"),
    ("dynamodb", "unavailable"): (503, "ServiceUnavailable"),
}
_NAMESPACES = {
    "sqs": "com.amazonaws.sqs#",
    "dynamodb": "com.amazonaws.dynamodb.v20120810#",
}


def refusal(service: str, how: str, headers: Any) -> tuple[int, list[tuple[str, str]], bytes]:
    """Status, headers and body of the service's own refusal of a request with `headers`."""
    status, code = _SAID[service, how]
    if headers.get("X-Amz-Target"):
        body = msgspec.json.encode(
            {"__type": f"{_NAMESPACES.get(service, '')}{code}", "message": _MESSAGE}
        )
        fault = "Sender" if status < 500 else "Receiver"  # noqa: PLR2004 -- an HTTP status
        return status, [("Content-Type", _JSON), ("x-amzn-query-error", f"{code};{fault}")], body
    if service == "s3":
        text = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
            f"<Message>{_MESSAGE}</Message><RequestId>{_ID}</RequestId></Error>"
        )
        return (
            status,
            [("Content-Type", "application/xml"), ("x-amz-request-id", _ID)],
            text.encode(),
        )
    text = (
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error>'
        f"<Type>Sender</Type><Code>{code}</Code><Message>{_MESSAGE}</Message></Error>"
        f"<RequestId>{_ID}</RequestId></ErrorResponse>"
    )
    return status, [("Content-Type", _XML)], text.encode()
