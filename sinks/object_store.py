"""Objects under keys: S3, a directory, or memory. What snapshots and Parquet files lie in."""

from typing import Protocol


class ObjectStore(Protocol):
    """Whole objects under `/`-separated keys; a `put` that returned is durable and atomic."""

    def put(self, key: str, body: bytes) -> None:
        """Write `body` under `key`, over whatever stood there."""
        ...

    def get(self, key: str) -> bytes:
        """The object under `key`.

        Raises:
            KeyError: there is none.
        """
        ...

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, sorted."""
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; no error where there is none."""
        ...
