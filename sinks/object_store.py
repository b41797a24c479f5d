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


class ConditionalStore(ObjectStore, Protocol):
    """An ObjectStore that can also write under a condition, so that of two writers one wins."""

    def tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object under `key` and the tag of this content; None where there is none."""
        ...

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        """Write `body` if the object still has `tag`, or, with None, if there is none.

        False says that somebody else was first, and nothing was written. Where the same bytes stand
        there already it is true: a call whose answer was lost may be repeated.
        """
        ...
