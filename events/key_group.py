"""Key groups: fixed ranges of the stream's hash-key space, as Flink's key groups are."""

from hashlib import md5
from typing import Final

HASH_BITS: Final = 128


def hash_key(partition_key: str) -> int:
    """Where in the hash-key space, 0 to 2**128 - 1, Kinesis puts `partition_key`: its MD5."""
    return int.from_bytes(md5(partition_key.encode(), usedforsecurity=False).digest())


def key_group(shop_id: str, groups: int) -> int:
    """Which of `groups` equal ranges of the hash-key space `shop_id` falls into, from 0.

    Ranges are contiguous, so a shard split at a range's edge leaves every group whole. Hashing
    takes about a microsecond; a caller that asks per record remembers the answer per shop.
    """
    return hash_key(shop_id) * groups >> HASH_BITS
