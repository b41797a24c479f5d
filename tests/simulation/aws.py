"""Clients of DynamoDB, SNS and Kinesis that know the requests which the product makes."""

import json
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from sinks.dynamodb import CLAIM_SECONDS_MAX
from tests.simulation.kernel import SECOND, here, kernel
from tests.simulation.shared import APPLICATION, TABLE, Shared


class Dynamo:
    """A client of DynamoDB that knows the requests which ledger, fence and lease make."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def get_item(self, *, TableName: str, Key: dict[str, Any], ConsistentRead: bool) -> Any:  # noqa: N803 -- boto3's names
        assert ConsistentRead
        (key,) = (value["S"] for value in Key.values())
        if TableName == APPLICATION:
            return self._call(f"read lease {key}", lambda: {"Item": self._shared.lease_item(key)})
        row = (TableName, key)
        return self._call(f"read {key}", lambda: {"Item": dict(self._shared.tables.get(row, {}))})

    def update_item(self, *, TableName: str, Key: dict[str, Any], **request: Any) -> Any:  # noqa: N803 -- boto3's names
        key = Key["ledger_key"]["S"]
        return self._call(f"write {key}", lambda: self._update((TableName, key), request))

    def _call(self, name: str, effect: Callable[[], Any]) -> Any:
        return self._shared.call(name, effect)

    def _update(self, row: tuple[str, str], request: dict[str, Any]) -> Any:
        tables, given = self._shared.tables, request["ExpressionAttributeValues"]
        item = tables.get(row, {})
        if not _holds(request.get("ConditionExpression"), item, given):
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "UpdateItem")
        expression = request["UpdateExpression"]
        if expression == "ADD epoch :one":
            changed = {"epoch": {"N": str(int(item.get("epoch", {}).get("N", "0")) + 1)}}
        else:
            names = request.get("ExpressionAttributeNames", {})
            pairs = [pair.split(" = ") for pair in expression.removeprefix("SET ").split(", ")]
            changed = {names.get(name, name): given[value] for name, value in pairs}
        tables[row] = {**item, **changed}
        if ":owner" in given:
            self._shared.claims[row[1], given[":owner"]["S"]] = kernel().now
        return {"Attributes": tables[row]}


_CLAIM = (
    "attribute_not_exists(ledger_key) OR (#state = :claimed AND "
    "(#owner = :owner OR claimed_at < :old))"
)


def _holds(condition: str | None, item: dict[str, Any], given: dict[str, Any]) -> bool:
    if condition is None:
        return True
    if condition == "epoch = :epoch":
        return item.get("epoch") == given[":epoch"]
    assert condition == _CLAIM, condition
    if not item:
        return True
    return item["state"] == given[":claimed"] and (
        item["owner"] == given[":owner"] or int(item["claimed_at"]["N"]) < int(given[":old"]["N"])
    )


class Topic:
    """A client of SNS."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def publish(self, *, Message: str, **_: Any) -> None:  # noqa: N803 -- boto3's name
        body = json.loads(json.loads(Message)["default"])
        page = (body["page_id"], body["revision"])
        self._shared.call(f"publish {page[0]} {page[1]}", lambda: self._take(page))

    def _take(self, page: tuple[str, int]) -> None:
        shared, name, me = self._shared, f"{page[0]}#{page[1]}", here().name
        if shared.sent[page]:
            # The one window: whoever sent it before could not mark it, or this one hung too long.
            row, claimed = shared.tables.get((TABLE, name), {}), shared.claims.get((name, me))
            mine = row.get("state") == {"S": "claimed"} and row.get("owner") == {"S": me}
            hung = claimed is not None and kernel().now - claimed > CLAIM_SECONDS_MAX * SECOND
            if not mine and not hung:
                shared.violated(f"page {name} is sent twice")
            shared.counts["pages sent again in the window"] += 1
        shared.sent[page] += 1


class Streams:
    """A client of Kinesis that lists shards."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def list_shards(self, **_: Any) -> Any:
        return self._shared.call("list shards", lambda: {"Shards": self._shared.list_shards()})
