"""Fences in DynamoDB: rows of the ledger's table, beside the pages'."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from sinks.aws_errors import passes
from sinks.fence import FencedOff, Held
from sinks.retry import WAIT_SECONDS_MAX, Retry


class DynamoFence:
    """A Fence in `table`, whose key is `ledger_key`; here `fence#<application>#<shard>`.

    Rows have no time to live: there is one per shard that ever was.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        application: str,
        stop: threading.Event,
        *,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._table = table
        self._application = application
        self._retry = Retry(
            "dynamodb", stop, passes=passes, count=count_retry, wait_seconds_max=wait_seconds_max
        )

    def advance(self, shard_id: str) -> Held:
        """Take the shard; a call that is repeated unawares leaves out a number, no more."""
        answer = self._retry.call(
            partial(
                self._client.update_item,
                TableName=self._table,
                Key=self._key(shard_id),
                UpdateExpression="ADD epoch :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
                ReturnValues="ALL_NEW",
            )
        )
        return _held(answer["Attributes"])

    def note(self, shard_id: str, held: Held) -> None:
        """Set what the shard's row says; FencedOff where another has taken the shard."""
        try:
            self._retry.call(
                partial(
                    self._client.update_item,
                    TableName=self._table,
                    Key=self._key(shard_id),
                    UpdateExpression="SET snapshots = :snapshots",
                    ConditionExpression="epoch = :epoch",
                    ExpressionAttributeValues={
                        ":snapshots": {"M": {at: {"S": key} for at, key in held.snapshots.items()}},
                        ":epoch": {"N": str(held.epoch)},
                    },
                )
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            raise FencedOff(f"another process has taken {shard_id}") from error

    def look(self, shard_id: str) -> Held:
        """What the row says now, read consistently."""
        answer = self._retry.call(
            partial(
                self._client.get_item,
                TableName=self._table,
                Key=self._key(shard_id),
                ConsistentRead=True,
            )
        )
        return _held(answer.get("Item", {}))

    def forget(self, shard_id: str) -> None:
        """Delete the row; for an application that is no more."""
        self._retry.call(
            partial(self._client.delete_item, TableName=self._table, Key=self._key(shard_id))
        )

    def _key(self, shard_id: str) -> dict[str, Any]:
        return {"ledger_key": {"S": f"fence#{self._application}#{shard_id}"}}


def _held(item: dict[str, Any]) -> Held:
    return Held(
        epoch=int(item.get("epoch", {}).get("N", "0")),
        snapshots={at: key["S"] for at, key in item.get("snapshots", {}).get("M", {}).items()},
    )
