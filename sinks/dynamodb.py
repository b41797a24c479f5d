"""The ledger in DynamoDB: which revision of which page was sent."""

import threading
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from events.instant import DAY, SECOND, Instant
from sinks.aws_errors import passes
from sinks.retry import WAIT_SECONDS_MAX, Retry

KEPT: Instant = 400 * DAY
"""Longer than a Kinesis stream keeps records, and so than anything can be replayed."""


class Ledger:
    """Notes what is sent, so that it is sent once.

    `table` has the key `ledger_key` (a string), here `<page_id>#<revision>`. An entry is claimed
    before the page goes out and marked sent after; `expires_at` (epoch seconds) is for the table's
    time to live. One shard writes a page at a time, which its lease sees to: the ledger guards
    against repeats of one worker after another, not against two at once.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        stop: threading.Event,
        *,
        clock: Callable[[], Instant] = lambda: time.time_ns() // 1_000,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._retry = Retry(
            "dynamodb", stop, passes=passes, count=count_retry, wait_seconds_max=wait_seconds_max
        )

    def claim(self, page_id: str, revision: int) -> bool:
        """Note that this page is about to be sent; False where it was sent before.

        True for one that was claimed and never marked: whoever claimed it died in between, and
        nobody knows whether it went out. It is sent again, with the same page id and revision.
        """
        return self._retry.call(lambda: self._claim(f"{page_id}#{revision}"))

    def mark_sent(self, page_id: str, revision: int) -> None:
        """Note that this page went out."""
        key = f"{page_id}#{revision}"
        self._retry.call(
            lambda: self._client.update_item(
                TableName=self._table,
                Key={"ledger_key": {"S": key}},
                UpdateExpression="SET #state = :sent, sent_at = :now",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":sent": {"S": "sent"},
                    ":now": {"N": str(self._clock() // SECOND)},
                },
            )
        )

    def _claim(self, key: str) -> bool:
        now = self._clock()
        try:
            self._client.put_item(
                TableName=self._table,
                Item={
                    "ledger_key": {"S": key},
                    "state": {"S": "claimed"},
                    "claimed_at": {"N": str(now // SECOND)},
                    "expires_at": {"N": str((now + KEPT) // SECOND)},
                },
                ConditionExpression="attribute_not_exists(ledger_key)",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
        else:
            return True
        answer = self._client.get_item(
            TableName=self._table, Key={"ledger_key": {"S": key}}, ConsistentRead=True
        )
        state: str | None = answer.get("Item", {}).get("state", {}).get("S")
        return state != "sent"
