"""A worker that holds its leases, at the real endpoint, without a daemon."""

import uuid

import msgspec
import pytest

from consumer.lease import WORKER_VARIABLE
from local.aws import AwsEndpoint
from local.provision import Provisioned, provision

WORKER = "worker-of-the-test"


class Holding(msgspec.Struct, frozen=True):
    """What was made for an application whose leases `WORKER` holds, and how a child is told."""

    made: Provisioned
    environment: dict[str, str]


@pytest.fixture
def holding(aws: AwsEndpoint) -> Holding:
    """Fresh stream, tables, bucket, topic and queues; `WORKER` holds every shard."""
    made = provision(aws, name=f"held-{uuid.uuid4()}", shards=4)
    for shard in ("shardId-0", *made.shards):
        aws.client("dynamodb").put_item(
            TableName=made.application,
            Item={"leaseKey": {"S": shard}, "leaseOwner": {"S": WORKER}},
        )
    return Holding(
        made,
        {
            "TILLWATCH_AWS_ENDPOINT": aws.url,
            "TILLWATCH_APPLICATION": made.application,
            "TILLWATCH_STREAM": made.stream,
            "TILLWATCH_LEDGER_TABLE": made.ledger_table,
            WORKER_VARIABLE: WORKER,
        },
    )
