"""Whose a shard is: KCL's table, read at a real endpoint."""

import threading

import pytest

from consumer.lease import WORKER_VARIABLE, DynamoLease, worker_id
from local.aws import AwsEndpoint
from sinks.fence import FencedOff
from tests.consumer.conftest import WORKER, Holding


@pytest.mark.integration
@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ({"leaseOwner": WORKER}, None),
        ({"leaseOwner": WORKER, "checkpointOwner": WORKER}, None),
        ({"leaseOwner": "another"}, "held by another, and not by this worker"),
        ({"leaseOwner": WORKER, "checkpointOwner": "the last"}, f"{WORKER}, and|the last, "),
        ({"leaseOwner": "another", "checkpointOwner": WORKER}, "another, worker-of-the-test"),
        ({"checkpoint": "TRIM_HORIZON"}, "held by nobody"),
        (None, "held by nobody"),
    ],
    ids=[
        "ours",
        "ours, handed over",
        "another's",
        "still another's checkpoint",
        "still our checkpoint",
        "nobody's",
        "unknown",
    ],
)
def test_only_a_shard_that_is_ours_alone_is_ours(
    aws: AwsEndpoint, holding: Holding, fields: dict[str, str] | None, refused: str | None
) -> None:
    client = aws.client("dynamodb")
    if fields is not None:
        item = {name: {"S": value} for name, value in fields.items()}
        client.put_item(
            TableName=holding.made.application, Item={"leaseKey": {"S": "shardId-9"}, **item}
        )
    lease = DynamoLease(client, holding.made.application, WORKER, threading.Event())
    if refused is None:
        lease.require("shardId-9")
    else:
        with pytest.raises(FencedOff, match=refused) as error:
            lease.require("shardId-9")
        assert str(error.value).startswith("shardId-9 is held by ")


def test_the_supervisor_names_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(WORKER_VARIABLE, "worker-7")
    assert worker_id() == "worker-7"
    for value in (None, ""):
        if value is None:
            monkeypatch.delenv(WORKER_VARIABLE)
        else:
            monkeypatch.setenv(WORKER_VARIABLE, value)
        with pytest.raises(RuntimeError, match="start the worker with `tillwatch run`"):
            worker_id()
