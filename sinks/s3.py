"""Objects in an S3 bucket."""

import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sinks.aws_errors import passes
from sinks.retry import WAIT_SECONDS_MAX, Retry

_GONE = frozenset({"NoSuchKey", "404"})
_REFUSED = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})


class S3ObjectStore:
    """An ObjectStore over `bucket`; every key is put behind `prefix`.

    Each call waits out transient trouble until `stop` is set, and then raises `Stopped`. `client`
    is boto3's S3 client, which may be shared between threads.
    """

    def __init__(
        self,
        client: Any,
        bucket: str,
        stop: threading.Event,
        prefix: str = "",
        *,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._retry = Retry(
            "s3", stop, passes=passes, count=count_retry, wait_seconds_max=wait_seconds_max
        )

    def put(self, key: str, body: bytes) -> None:
        """Write `body` under `key`, over whatever stood there."""
        self._retry.call(
            lambda: self._client.put_object(Bucket=self._bucket, Key=self._prefix + key, Body=body)
        )

    def get(self, key: str) -> bytes:
        """The object under `key`.

        Raises:
            KeyError: there is none.
        """
        return self._retry.call(lambda: self._get(key))

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, sorted."""
        return self._retry.call(lambda: self._keys(prefix))

    def delete(self, key: str) -> None:
        """Remove `key`; no error where there is none."""
        self._retry.call(
            lambda: self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key)
        )

    def tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object under `key` and its ETag; None where there is none."""
        try:
            return self._retry.call(lambda: self._got(key))
        except KeyError:
            return None

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        """Write `body` if the object still has `tag`; see ConditionalStore."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        if self._retry.call(lambda: self._put_if(key, body, condition)):
            return True
        held = self.tagged(key)
        return held is not None and held[0] == body

    def _put_if(self, key: str, body: bytes, condition: dict[str, str]) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=body, **condition
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _REFUSED | _GONE:
                return False
            raise
        return True

    def _get(self, key: str) -> bytes:
        return self._got(key)[0]

    def _got(self, key: str) -> tuple[bytes, str]:
        try:
            answer = self._client.get_object(Bucket=self._bucket, Key=self._prefix + key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in _GONE:
                raise KeyError(key) from error
            raise
        with answer["Body"] as stream:
            body: bytes = stream.read()
        return body, str(answer["ETag"])

    def _keys(self, prefix: str) -> list[str]:
        pages = self._client.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=self._prefix + prefix
        )
        return sorted(
            item["Key"].removeprefix(self._prefix)
            for page in pages
            for item in page.get("Contents", ())
        )
