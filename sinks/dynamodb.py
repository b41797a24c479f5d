"""The ledger in DynamoDB: which revision of which page was sent."""

import time
from collections.abc import Callable
from enum import Enum
from typing import Any

from botocore.exceptions import ClientError

from events.instant import DAY, SECOND, Instant

KEPT: Instant = 400 * DAY
"""Longer than a Kinesis stream keeps records, and so than anything can be replayed."""


CLAIM_SECONDS_MAX = 90
"""A claim that was neither renewed nor marked sent for so long belongs to a worker that died.

Longer than one try to send lasts (connecting, reading, once again: services' deadlines), by more
than two machines' clocks differ.
"""


FRESH_SECONDS_MAX = 5
"""So old a claim may be when it is known to be made."""

CLAIMS_MAX = 3
"""Claims made one after the other; beyond that the page counts as held, and waits its turn."""


class Claim(Enum):
    """What the ledger says to who wants to send a page."""

    MINE = "mine"
    """Send it, and then mark it."""
    SENT = "sent"
    """It went out before."""
    HELD = "held"
    """Somebody else is sending it just now, or died doing so; ask again later."""


class Ledger:
    """Notes what is sent, so that it is sent once.

    `table` has the key `ledger_key` (a string), here `<page_id>#<revision>`. An entry is claimed by
    `owner`, a name that no other process has, before each try to send the page, and marked sent
    after; `expires_at` (epoch seconds) is for the table's time to live. Calls fail with what AWS
    said; who calls waits and tries again.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        owner: str,
        *,
        clock: Callable[[], Instant] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self._client = client
        self._table = table
        self._owner = owner
        self._clock = clock

    def claim(self, page_id: str, revision: int) -> Claim:
        """Claim a page that is about to be sent, or renew the claim before another try.

        What another process claimed less than `CLAIM_SECONDS_MAX` ago is `HELD`; beyond that it
        is taken over, and nobody knows whether the page went out. It then goes out, perhaps again,
        with the same page id and revision. A claim that took longer than `FRESH_SECONDS_MAX` to
        make is made again: a worker that stood still meanwhile does not send on an old one.
        """
        for _ in range(CLAIMS_MAX):
            now = self._clock() // SECOND
            if not self._claimed(page_id, revision, now):
                break
            if self._clock() // SECOND - now <= FRESH_SECONDS_MAX:
                return Claim.MINE
        return Claim.SENT if self.was_sent(page_id, revision) else Claim.HELD

    def _claimed(self, page_id: str, revision: int, now: int) -> bool:
        try:
            self._client.update_item(
                TableName=self._table,
                Key={"ledger_key": {"S": f"{page_id}#{revision}"}},
                UpdateExpression=(
                    "SET #state = :claimed, #owner = :owner, claimed_at = :now, expires_at = :end"
                ),
                ConditionExpression=(
                    "attribute_not_exists(ledger_key) OR (#state = :claimed AND "
                    "(#owner = :owner OR claimed_at < :old))"
                ),
                ExpressionAttributeNames={"#state": "state", "#owner": "owner"},
                ExpressionAttributeValues={
                    ":claimed": {"S": "claimed"},
                    ":owner": {"S": self._owner},
                    ":now": {"N": str(now)},
                    ":end": {"N": str(now + KEPT // SECOND)},
                    ":old": {"N": str(now - CLAIM_SECONDS_MAX)},
                },
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            return False
        return True

    def was_sent(self, page_id: str, revision: int) -> bool:
        """Whether this page is noted to have gone out."""
        answer = self._client.get_item(
            TableName=self._table,
            Key={"ledger_key": {"S": f"{page_id}#{revision}"}},
            ConsistentRead=True,
        )
        noted: bool = answer.get("Item", {}).get("state", {}).get("S") == "sent"
        return noted

    def mark_sent(self, page_id: str, revision: int) -> None:
        """Note that this page went out."""
        self._client.update_item(
            TableName=self._table,
            Key={"ledger_key": {"S": f"{page_id}#{revision}"}},
            UpdateExpression="SET #state = :sent, sent_at = :now",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":sent": {"S": "sent"},
                ":now": {"N": str(self._clock() // SECOND)},
            },
        )
