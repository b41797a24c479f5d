"""Trouble put in front of a real client: the next calls of it meet a service that is not well."""

from typing import Any

from botocore.awsrequest import AWSResponse


class AwsTrouble:
    """Answers the next `left` requests of a boto3 client in the service's place, with `status`.

    It stands where botocore is about to send, so everything above runs as it does in production.
    """

    def __init__(self, client: Any, status: int = 503, body: bytes = b"") -> None:
        self.left = 0
        self.met = 0
        self._status = status
        self._body = body
        client.meta.events.register_first(
            f"before-send.{client.meta.service_model.service_name}", self._answer
        )

    def _answer(self, request: Any, **_: Any) -> AWSResponse | None:
        if not self.left:
            return None
        self.left -= 1
        self.met += 1
        return AWSResponse(request.url, self._status, {}, _Body(self._body))


class _Body:
    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Any:
        yield self._body


def s3_error(code: str, message: str = "S3's own words") -> bytes:
    """What S3 answers with, beside the status."""
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code>'
        f"<Message>{message}</Message><RequestId>1</RequestId></Error>"
    ).encode()
