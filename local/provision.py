"""Creates what a worker expects to find: stream, tables, bucket, topic, queue, index templates."""

from typing import Any

import msgspec

from local.aws import AwsEndpoint

_STREAM_SECONDS_MAX = 30


class Provisioned(msgspec.Struct, frozen=True):
    """The names of what was created."""

    application: str
    stream: str
    shards: tuple[str, ...]
    bucket: str
    topic_arn: str
    dead_letter_queue_url: str
    pages_queue_url: str
    """A subscriber of the topic: what a person's mailbox is in production."""
    ledger_table: str


def provision(aws: AwsEndpoint, *, name: str, shards: int) -> Provisioned:
    """Create everything that lies at the AWS endpoint, each thing named after `name`.

    Raises:
        botocore.exceptions.ClientError: something of that name exists already.
    """
    stream_shards = _create_stream(aws.client("kinesis"), name, shards)
    dynamodb = aws.client("dynamodb")
    _create_lease_table(dynamodb, name, stream_shards)
    ledger = f"{name}-ledger"
    _create_ledger_table(dynamodb, ledger)
    bucket = f"{name}-lake"
    aws.client("s3").create_bucket(
        Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region}
    )
    sqs = aws.client("sqs")
    pages_queue = sqs.create_queue(QueueName=f"{name}-pages")["QueueUrl"]
    rejections_queue = sqs.create_queue(QueueName=f"{name}-rejections")["QueueUrl"]
    return Provisioned(
        application=name,
        stream=name,
        shards=tuple(shard["ShardId"] for shard in stream_shards),
        bucket=bucket,
        topic_arn=_create_topic(aws.client("sns"), sqs, name, pages_queue),
        dead_letter_queue_url=rejections_queue,
        pages_queue_url=pages_queue,
        ledger_table=ledger,
    )


def provision_shadow(aws: AwsEndpoint, made: Provisioned, name: str) -> Provisioned:
    """The lease table of a shadow called `name`, whose worker then need not wait for KCL's own.

    Returns what the live worker has, under the shadow's application.
    """
    application = f"{made.application}-shadow-{name}"
    shards = _list_shards(aws.client("kinesis"), made.stream)
    _create_lease_table(aws.client("dynamodb"), application, shards)
    return msgspec.structs.replace(made, application=application)


def apply_templates(opensearch_url: str) -> None:
    """Put the index templates, without which documents are refused or mapped by guess."""
    from sinks.opensearch_client import connect
    from sinks.templates import apply

    client = connect(opensearch_url)
    try:
        apply(client)
    finally:
        client.close()


def _create_stream(kinesis: Any, name: str, shards: int) -> list[dict[str, Any]]:
    kinesis.create_stream(StreamName=name, ShardCount=shards)
    kinesis.get_waiter("stream_exists").wait(
        StreamName=name, WaiterConfig={"Delay": 1, "MaxAttempts": _STREAM_SECONDS_MAX}
    )
    return _list_shards(kinesis, name)


def _list_shards(kinesis: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    question: dict[str, Any] = {"StreamName": name}
    while question:
        answer = kinesis.list_shards(**question)
        found += answer["Shards"]
        token = answer.get("NextToken")
        question = {"NextToken": token} if token else {}
    return found


def _create_lease_table(dynamodb: Any, name: str, shards: list[dict[str, Any]]) -> None:
    """KCL's own table as KCL 3 makes it, with a lease per shard that nobody holds.

    KCL would make it itself, and then wait up to half a minute on the empty table for some other
    worker to fill it; with its rows there, records flow six seconds after the start. Attribute
    names are those of KCL's DynamoDBLeaseSerializer.
    """
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[
            {"AttributeName": "leaseKey", "AttributeType": "S"},
            {"AttributeName": "leaseOwner", "AttributeType": "S"},
        ],
        KeySchema=[{"AttributeName": "leaseKey", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "LeaseOwnerToLeaseKeyIndex",
                "KeySchema": [
                    {"AttributeName": "leaseOwner", "KeyType": "HASH"},
                    {"AttributeName": "leaseKey", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for shard in shards:
        dynamodb.put_item(
            TableName=name,
            Item={
                "leaseKey": {"S": shard["ShardId"]},
                "leaseCounter": {"N": "0"},
                "checkpoint": {"S": "TRIM_HORIZON"},
                "checkpointSubSequenceNumber": {"N": "0"},
                "ownerSwitchesSinceCheckpoint": {"N": "0"},
                "startingHashKey": {"S": shard["HashKeyRange"]["StartingHashKey"]},
                "endingHashKey": {"S": shard["HashKeyRange"]["EndingHashKey"]},
            },
        )


def _create_ledger_table(dynamodb: Any, name: str) -> None:
    dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "ledger_key", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "ledger_key", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )


def _create_topic(sns: Any, sqs: Any, name: str, queue_url: str) -> str:
    """The topic that pages go to, with `queue_url` subscribed to it."""
    topic: str = sns.create_topic(Name=f"{name}-pages")["TopicArn"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=["QueueArn"])
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=attributes["Attributes"]["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )
    return topic
