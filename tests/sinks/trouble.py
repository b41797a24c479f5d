"""Trouble put in front of a real client: the next calls of it meet a service that is not well."""

from typing import Any

from botocore.awsrequest import AWSResponse


class AwsTrouble:
    """Answers the next `left` requests of a boto3 client in the service's place, with `status`.

    It stands where botocore is about to send, so everything above runs as it does in production.
    """

    def __init__(self, client: Any, status: int = 503) -> None:
        self.left = 0
        self.met = 0
        self._status = status
        client.meta.events.register_first(
            f"before-send.{client.meta.service_model.service_name}", self._answer
        )

    def _answer(self, request: Any, **_: Any) -> AWSResponse | None:
        if not self.left:
            return None
        self.left -= 1
        self.met += 1
        return AWSResponse(request.url, self._status, {}, _Body())


class _Body:
    def stream(self) -> Any:
        yield b""
