"""What lies on a stream: how many records, and where each shard ends."""

from typing import Any, NamedTuple

_RECORDS_MAX = 10_000


class Contents(NamedTuple):
    """The records of all shards, and the last sequence number of each shard that has any."""

    records: int
    tips: dict[str, str]


def contents(kinesis: Any, stream: str, shards: tuple[str, ...]) -> Contents:
    """Read every shard of `stream` from its beginning to its present end."""
    records = 0
    tips: dict[str, str] = {}
    for shard in shards:
        question = {"StreamName": stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        iterator = kinesis.get_shard_iterator(**question)["ShardIterator"]
        while iterator:
            answer = kinesis.get_records(ShardIterator=iterator, Limit=_RECORDS_MAX)
            if answer["Records"]:
                records += len(answer["Records"])
                tips[shard] = answer["Records"][-1]["SequenceNumber"]
            elif answer["MillisBehindLatest"] == 0:
                break
            iterator = answer.get("NextShardIterator")
    return Contents(records, tips)
