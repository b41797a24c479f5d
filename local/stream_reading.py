"""What lies on a stream: how many records, and where each shard ends."""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

_RECORDS_MAX = 10_000
_DIGEST_BYTES = 16


class Contents(NamedTuple):
    """The records of all shards, and the last sequence number of each shard that has any.

    `again` are the ids (`<shard>/<position>`) of records whose very bytes came before in their
    shard: what a producer sent again, as it does when it did not hear the answer.
    """

    records: int
    tips: dict[str, str]
    again: frozenset[str]


def contents(kinesis: Any, stream: str, shards: tuple[str, ...]) -> Contents:
    """Read every shard of `stream` from its beginning to its present end."""
    records = 0
    tips: dict[str, str] = {}
    again: set[str] = set()
    for shard in shards:
        seen: set[bytes] = set()
        question = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**question)["ShardIterator"]
        while iterator:
            answer = kinesis.get_records(ShardIterator=iterator, Limit=_RECORDS_MAX)
            if answer["Records"]:
                records += len(answer["Records"])
                for record in answer["Records"]:
                    digest = blake2b(record["Data"], digest_size=_DIGEST_BYTES).digest()
                    if digest in seen:
                        again.add(f"{shard}/{record['SequenceNumber']}-0")
                    seen.add(digest)
                tips[shard] = answer["Records"][-1]["SequenceNumber"]
            elif answer["MillisBehindLatest"] == 0:
                break
            iterator = answer.get("NextShardIterator")
    return Contents(records, tips, frozenset(again))


def tips(
    kinesis: Any, stream: str, shards: tuple[str, ...], known: Mapping[str, str]
) -> dict[str, str]:
    """Where each shard ends that has any records; `known` are such ends of earlier, to go on from.

    A shard whose end is known is read from there on alone.
    """
    found = dict(known)
    for shard in shards:
        question = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        if shard in found:
            question["ShardIteratorType"] = "AFTER_SEQUENCE_NUMBER"
            question["StartingSequenceNumber"] = found[shard]
        iterator = kinesis.get_shard_iterator(**question)["ShardIterator"]
        while iterator:
            answer = kinesis.get_records(ShardIterator=iterator, Limit=_RECORDS_MAX)
            if answer["Records"]:
                found[shard] = answer["Records"][-1]["SequenceNumber"]
            elif answer["MillisBehindLatest"] == 0:
                break
            iterator = answer.get("NextShardIterator")
    return found
