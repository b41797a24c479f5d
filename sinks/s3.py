"""Objects in an S3 bucket."""

import threading
from collections.abc import Callable, Mapping
from typing import Any

from botocore.exceptions import ClientError

from sinks.aws_errors import advice, passes
from sinks.retry import WAIT_SECONDS_MAX, Result, Retry, Transient

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

    def _call(self, attempt: Callable[[], Result]) -> Result:
        """What `attempt` returns, once it does; what it fails with says what a person can do."""

        def explained() -> Result:
            try:
                return attempt()
            except ClientError as error:
                todo = advice(error)
                if todo:
                    error.add_note(f"bucket {self._bucket}: {todo}")
                raise

        return self._retry.call(explained)

    def put(self, key: str, body: bytes) -> None:
        """Write `body` under `key`, over whatever stood there."""

        def attempt() -> None:
            name = self._prefix + key
            answer = self._client.put_object(Bucket=self._bucket, Key=name, Body=body)
            _see_that_s3_said("ETag", answer)

        self._call(attempt)

    def get(self, key: str) -> bytes:
        """The object under `key`.

        Raises:
            KeyError: there is none.
        """
        return self._call(lambda: self._get(key))

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, sorted."""
        return self._call(lambda: self._keys(prefix))

    def delete(self, key: str) -> None:
        """Remove `key`; no error where there is none."""
        self._call(lambda: self._client.delete_object(Bucket=self._bucket, Key=self._prefix + key))

    def tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object under `key` and its ETag; None where there is none."""
        try:
            return self._call(lambda: self._got(key))
        except KeyError:
            return None

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        """Write `body` if the object still has `tag`; see ConditionalStore."""
        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        if self._call(lambda: self._put_if(key, body, condition)):
            return True
        held = self.tagged(key)
        return held is not None and held[0] == body

    def _put_if(self, key: str, body: bytes, condition: dict[str, str]) -> bool:
        try:
            answer = self._client.put_object(
                Bucket=self._bucket, Key=self._prefix + key, Body=body, **condition
            )
            _see_that_s3_said("ETag", answer)
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
            _see_that_s3_said("ETag", answer)
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
        found = []
        for page in pages:
            _see_that_s3_said("Name", page)
            found += [item["Key"].removeprefix(self._prefix) for item in page.get("Contents", ())]
        return sorted(found)


def _see_that_s3_said(word: str, answer: Mapping[str, Any]) -> None:
    """A page of a proxy with status 200 would pass for a put that is durable, or for no objects."""
    if word not in answer:
        raise Transient("the answer is none of S3's: does a proxy in between answer?")
