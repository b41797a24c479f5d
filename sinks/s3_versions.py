"""Versions that a bucket keeps of what was replaced or deleted: to be looked at, and let go."""

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from sinks.aws_errors import passes
from sinks.retry import Retry


class OldVersion(msgspec.Struct, frozen=True):
    """One that is not the current one."""

    key: str
    version_id: str


class OldVersions:
    """Those of one bucket; `client` is boto3's S3 client. Every call waits until `stop` is set."""

    def __init__(self, client: Any, bucket: str, stop: threading.Event) -> None:
        self._client = client
        self._bucket = bucket
        self._retry = Retry("s3", stop, passes=passes)

    def under(self, prefix: str) -> Iterator[OldVersion]:
        """All of them whose key begins with `prefix`; none where the bucket keeps none."""
        marker: dict[str, str] = {}
        while True:
            listing = partial(
                self._client.list_object_versions, Bucket=self._bucket, Prefix=prefix, **marker
            )
            answer = self._retry.call(listing)
            for one in answer.get("Versions", ()):
                if not one["IsLatest"]:
                    yield OldVersion(one["Key"], one["VersionId"])
            if not answer.get("IsTruncated"):
                return
            marker = {
                "KeyMarker": answer["NextKeyMarker"],
                "VersionIdMarker": answer["NextVersionIdMarker"],
            }

    def get(self, version: OldVersion) -> bytes:
        """Its bytes.

        Raises:
            KeyError: it is gone.
        """
        return self._retry.call(lambda: self._get(version))

    def delete(self, version: OldVersion) -> None:
        """Let it go for good."""
        self._retry.call(
            lambda: self._client.delete_object(
                Bucket=self._bucket, Key=version.key, VersionId=version.version_id
            )
        )

    def _get(self, version: OldVersion) -> bytes:
        try:
            answer = self._client.get_object(
                Bucket=self._bucket, Key=version.key, VersionId=version.version_id
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"NoSuchKey", "NoSuchVersion", "404"}:
                raise KeyError(version.key) from error
            raise
        with answer["Body"] as stream:
            body: bytes = stream.read()
        return body
