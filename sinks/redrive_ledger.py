"""Which records went back onto the stream: entries of the ledger table, one per record for ever."""

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from events.instant import SECOND, Instant
from sinks.aws_errors import passes
from sinks.dynamodb import KEPT
from sinks.kinesis import Placed
from sinks.retry import WAIT_SECONDS_MAX, Retry


class Entry(msgspec.Struct, frozen=True):
    """What the ledger says of one record.

    `digest` is of the bytes that went, or were about to go, onto the stream under the partition
    key `key`; `claim` names who was about to put them, since `claimed_at`. Once they are there,
    `placed` says where.
    """

    digest: str
    key: str
    claim: str
    claimed_at: Instant
    placed: Placed | None = None


class RedriveLedger:
    """Lets a record go back onto the stream once, whoever asks for it and however often.

    An entry is claimed before the put and says where the record lies after it. Its key in `table`
    is `redrive#<stream>#<shard>/<position>`: the record's, so that two letters about one record
    bring it back once. Every change is conditional on what was read before it.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        stream: str,
        stop: threading.Event,
        *,
        clock: Callable[[], Instant] = lambda: time.time_ns() // 1_000,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._table = table
        self._prefix = f"redrive#{stream}#"
        self._clock = clock
        self._retry = Retry("dynamodb", stop, passes=passes, wait_seconds_max=wait_seconds_max)

    def entry(self, record_id: str) -> Entry | None:
        """What is noted of a record, or None where nothing is."""
        answer = self._retry.call(
            lambda: self._client.get_item(
                TableName=self._table, Key=self._key(record_id), ConsistentRead=True
            )
        )
        item = answer.get("Item")
        return None if item is None else _entry(item)

    def claim(self, record_id: str, entry: Entry, before: Entry | None = None) -> bool:
        """Note that `entry`'s bytes are about to be put; False where somebody was faster.

        `before` is the claim whose place it takes; None where there was none.
        """
        values = {
            ":expires": {"N": str((self._clock() + KEPT) // SECOND)},
            ":digest": {"S": entry.digest},
            ":key": {"S": entry.key},
            ":claim": {"S": entry.claim},
            ":now": {"N": str(entry.claimed_at)},
            ":claimed": {"S": "claimed"},
        }
        condition = "attribute_not_exists(ledger_key) OR claim = :claim"
        if before is not None:
            condition = "claim = :before AND #state = :claimed"
            values[":before"] = {"S": before.claim}
        return self._update(
            record_id,
            "SET #state = :claimed, digest = :digest, partition_key = :key, claim = :claim,"
            " claimed_at = :now, expires_at = :expires",
            condition,
            values,
        )

    def mark_sent(self, record_id: str, claim: str, placed: Placed) -> bool:
        """Note where the record lies now; False where the claim is somebody else's by now."""
        return self._update(
            record_id,
            "SET #state = :sent, shard_id = :shard, sequence_number = :sequence, sent_at = :now",
            "claim = :claim",
            {
                ":sent": {"S": "sent"},
                ":shard": {"S": placed.shard_id},
                ":sequence": {"S": placed.sequence_number},
                ":now": {"N": str(self._clock())},
                ":claim": {"S": claim},
            },
        )

    def release(self, record_id: str, claim: str) -> None:
        """Forget a claim whose bytes certainly did not go onto the stream."""

        def attempt() -> None:
            try:
                self._client.delete_item(
                    TableName=self._table,
                    Key=self._key(record_id),
                    ConditionExpression="claim = :claim AND #state = :claimed",
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues={
                        ":claim": {"S": claim},
                        ":claimed": {"S": "claimed"},
                    },
                )
            except ClientError as error:
                if not _is_conflict(error):
                    raise

        self._retry.call(attempt)

    def _update(self, record_id: str, change: str, condition: str, values: dict[str, Any]) -> bool:
        def attempt() -> bool:
            try:
                self._client.update_item(
                    TableName=self._table,
                    Key=self._key(record_id),
                    UpdateExpression=change,
                    ConditionExpression=condition,
                    ExpressionAttributeNames={"#state": "state"},
                    ExpressionAttributeValues=values,
                )
            except ClientError as error:
                if _is_conflict(error):
                    return False
                raise
            return True

        return self._retry.call(attempt)

    def _key(self, record_id: str) -> dict[str, Any]:
        return {"ledger_key": {"S": self._prefix + record_id}}


def _is_conflict(error: ClientError) -> bool:
    code: str = error.response.get("Error", {}).get("Code", "")
    return code == "ConditionalCheckFailedException"


def _entry(item: dict[str, Any]) -> Entry:
    sent = item["state"]["S"] == "sent"
    return Entry(
        digest=item["digest"]["S"],
        key=item["partition_key"]["S"],
        claim=item["claim"]["S"],
        claimed_at=int(item["claimed_at"]["N"]),
        placed=Placed(item["shard_id"]["S"], item["sequence_number"]["S"]) if sent else None,
    )
