"""A stream in memory: shards with ranges of the hash-key space, splits and merges under traffic."""

from itertools import pairwise
from typing import Any

import msgspec

from consumer.lineage import HASH_KEY_LAST, HashRange
from events.key_group import hash_key
from events.position import Position
from events.record import Record


class Shard(msgspec.Struct):
    """One shard: its range, where it comes from, and its records in order."""

    name: str
    range: HashRange
    parents: tuple[str, ...] = ()
    records: list[Record] = []
    closed: bool = False


class Stream:
    """Every record goes to the open shard whose range holds its key."""

    def __init__(self, edges: list[int]) -> None:
        """Begin with shards between `edges`, which leave out 0 and the end."""
        self.shards: dict[str, Shard] = {}
        self.records: list[Record] = []
        self._sequence = 100
        starts = [0, *sorted(edges), HASH_KEY_LAST + 1]
        for first, after in pairwise(starts):
            self._add(HashRange(first, after - 1), ())

    def put(self, data: bytes, partition_key: str, arrived_at: int) -> Record:
        """Take a record in."""
        key = hash_key(partition_key)
        shard = next(one for one in self.open if key in one.range)
        self._sequence += 1
        position = Position(shard.name, str(self._sequence), 0)
        record = Record(position, data, partition_key, arrived_at)
        shard.records.append(record)
        self.records.append(record)
        return record

    @property
    def open(self) -> list[Shard]:
        """The shards that take records."""
        return [shard for shard in self.shards.values() if not shard.closed]

    def split(self, shard: Shard, at: int) -> None:
        """Close `shard`; its children's ranges meet at `at`, where the second begins."""
        shard.closed = True
        self._add(HashRange(shard.range.first, at - 1), (shard.name,))
        self._add(HashRange(at, shard.range.last), (shard.name,))

    def merge(self, low: Shard, high: Shard) -> None:
        """Close two neighbours; one child has the range of both."""
        low.closed = high.closed = True
        self._add(HashRange(low.range.first, high.range.last), (low.name, high.name))

    def listing(self) -> list[dict[str, Any]]:
        """What ListShards answers."""
        return [
            {
                "ShardId": shard.name,
                "HashKeyRange": {
                    "StartingHashKey": str(shard.range.first),
                    "EndingHashKey": str(shard.range.last),
                },
                **dict(
                    zip(("ParentShardId", "AdjacentParentShardId"), shard.parents, strict=False)
                ),
            }
            for shard in self.shards.values()
        ]

    def _add(self, held: HashRange, parents: tuple[str, ...]) -> None:
        name = f"shardId-{len(self.shards):03}"
        self.shards[name] = Shard(name, held, parents)
