"""Where a shard comes from: its range of the hash-key space, and the shards before it."""

from collections.abc import Callable
from functools import partial
from threading import Event
from typing import Any, Protocol

import msgspec

from sinks.aws_errors import passes
from sinks.retry import WAIT_SECONDS_MAX, Retry, Transient, is_transient

HASH_KEY_LAST = 2**128 - 1


class HashRange(msgspec.Struct, frozen=True):
    """A contiguous part of the hash-key space, both ends included."""

    first: int = 0
    last: int = HASH_KEY_LAST

    def __contains__(self, hash_key: int) -> bool:
        """Whether `hash_key` lies in it."""
        return self.first <= hash_key <= self.last

    def overlap(self, other: "HashRange") -> int:
        """How many hash keys both hold."""
        return max(min(self.last, other.last) - max(self.first, other.first) + 1, 0)


class Ancestry(msgspec.Struct, frozen=True):
    """A shard's range, and by shard id its parents' ranges (None where Kinesis forgot them).

    There is no parent for a shard that the stream began with, one after a split, two after a merge.
    """

    own: HashRange
    parents: dict[str, HashRange | None] = {}


class Lineage(Protocol):
    """Knows where shards come from."""

    def of(self, shard_id: str) -> Ancestry:
        """The ancestry of `shard_id`."""
        ...


class KinesisLineage:
    """Asks Kinesis (ListShards), with backoff until `stop` is set."""

    def __init__(
        self,
        client: Any,
        stream: str,
        stop: Event,
        *,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._stream = stream
        self._retry = Retry(
            "kinesis", stop, passes=_passes, count=count_retry, wait_seconds_max=wait_seconds_max
        )

    def of(self, shard_id: str) -> Ancestry:
        """The ancestry of `shard_id`; waits for a shard that Kinesis does not list yet.

        ListShards may lag behind what told KCL of the shard; to begin without its parents' state
        would forget their shops.
        """
        return _ancestry(self._retry.call(partial(self._listed_with, shard_id)), shard_id)

    def every(self) -> dict[str, Ancestry]:
        """The ancestry of every shard that Kinesis still lists."""
        listed = self._listed()
        return {shard_id: _ancestry(listed, shard_id) for shard_id in listed}

    def _listed_with(self, shard_id: str) -> dict[str, dict[str, Any]]:
        listed = self._listed()
        if shard_id not in listed:
            raise Transient(f"{self._stream} does not list {shard_id} yet")
        return listed

    def _listed(self) -> dict[str, dict[str, Any]]:
        listed: dict[str, dict[str, Any]] = {}
        question: dict[str, Any] = {"StreamName": self._stream}
        while question:
            answer = self._retry.call(partial(self._client.list_shards, **question))
            listed.update((shard["ShardId"], shard) for shard in answer["Shards"])
            token = answer.get("NextToken")
            question = {"NextToken": token} if token else {}
        return listed


def _ancestry(listed: dict[str, dict[str, Any]], shard_id: str) -> Ancestry:
    shard = listed[shard_id]
    names = (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))
    parents = {name: _range(listed[name]) if name in listed else None for name in names if name}
    return Ancestry(_range(shard), parents)


def _range(shard: dict[str, Any]) -> HashRange:
    found = shard["HashKeyRange"]
    return HashRange(int(found["StartingHashKey"]), int(found["EndingHashKey"]))


def _passes(error: BaseException) -> bool:
    return is_transient(error) or passes(error)
