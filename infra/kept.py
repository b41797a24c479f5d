"""Where what Tillwatch keeps lies: stream, ledger, bucket, topics, queues, secret, logs, one key.

All of it outlives a deployment and a stack: nothing here is deleted by CloudFormation.
"""

from typing import Any, Final

import msgspec
from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kinesis as kinesis
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs

from infra.plan import Plan

STREAM_DAYS: Final = 7
"""A long weekend and the days to mend what broke in it; docs/operations.md, "Lag"."""
QUEUE_DAYS_MAX: Final = 14
"""SQS keeps nothing longer."""
KEY_CHARACTERS: Final = 48
_KEPT = RemovalPolicy.RETAIN


class Kept(msgspec.Struct, frozen=True):
    """The constructs that others refer to."""

    key: Any
    stream: Any
    ledger: Any
    pages: Any
    alarms: Any
    dead_letters: Any
    undelivered: Any
    pseudonym_secret: Any
    log: Any


def key(stack: Any, plan: Plan) -> Any:
    """The one key that everything is encrypted under at rest."""
    made = kms.Key(
        stack,
        "key",
        alias=f"alias/{plan.application}",
        description="Everything that Tillwatch keeps is encrypted under it.",
        enable_key_rotation=True,
        pending_window=Duration.days(30),
        removal_policy=_KEPT,
    )
    made.add_to_resource_policy(
        # Pages that could not be delivered go into an encrypted queue.
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("sns.amazonaws.com")],
            actions=["kms:Decrypt", "kms:GenerateDataKey"],
            resources=["*"],
            conditions={"StringEquals": {"aws:SourceAccount": plan.account}},
        )
    )
    made.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal(f"logs.{plan.region}.amazonaws.com")],
            actions=["kms:Encrypt", "kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"],
            resources=["*"],
            conditions={
                "ArnLike": {
                    "kms:EncryptionContext:aws:logs:arn": (
                        f"arn:aws:logs:{plan.region}:{plan.account}:log-group:"
                        f"/tillwatch/{plan.application}/*"
                    )
                }
            },
        )
    )
    return made


def kept(stack: Any, plan: Plan, key: Any) -> Kept:
    """All of it, in `stack`; topics have their subscribers."""
    undelivered = _queue(stack, "undelivered", f"{plan.application}-undelivered", key)
    pages = _topic(stack, "pages", f"{plan.application}-pages", key)
    for address in plan.page_emails:
        # What cannot be delivered waits where an alarm sees it.
        pages.add_subscription(
            subscriptions.EmailSubscription(address, json=False, dead_letter_queue=undelivered)
        )
    # No data of customers; what tells of trouble must not need the key, which may be it.
    alarms = _topic(stack, "alarms", f"{plan.application}-alarms", None)
    alarms.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
            actions=["sns:Publish"],
            resources=[alarms.topic_arn],
            conditions={"StringEquals": {"aws:SourceAccount": plan.account}},
        )
    )
    for address in plan.alarm_emails:
        alarms.add_subscription(subscriptions.EmailSubscription(address))
    return Kept(
        key=key,
        stream=_stream(stack, plan, key),
        ledger=_ledger(stack, plan, key),
        pages=pages,
        alarms=alarms,
        dead_letters=_queue(
            stack,
            "dead-letters",
            f"{plan.application}-dead-letters",
            key,
            min(plan.settings.retention_days, QUEUE_DAYS_MAX),
        ),
        undelivered=undelivered,
        pseudonym_secret=_pseudonym_secret(stack, plan, key),
        log=logs.LogGroup(
            stack,
            "log",
            log_group_name=f"/tillwatch/{plan.application}/worker",
            retention=logs.RetentionDays.THREE_MONTHS,
            encryption_key=key,
            removal_policy=_KEPT,
        ),
    )


def _stream(stack: Any, plan: Plan, key: Any) -> Any:
    on_demand = plan.shards is None
    made = kinesis.Stream(
        stack,
        "stream",
        stream_name=plan.application,
        stream_mode=kinesis.StreamMode.ON_DEMAND if on_demand else kinesis.StreamMode.PROVISIONED,
        shard_count=plan.shards,
        retention_period=Duration.days(STREAM_DAYS),
        encryption=kinesis.StreamEncryption.KMS,
        encryption_key=key,
    )
    made.apply_removal_policy(_KEPT)
    return made


def _ledger(stack: Any, plan: Plan, key: Any) -> Any:
    """Pages that went out, records that were redriven, and the fences of the shards."""
    return dynamodb.Table(
        stack,
        "ledger",
        table_name=f"{plan.application}-ledger",
        partition_key=dynamodb.Attribute(name="ledger_key", type=dynamodb.AttributeType.STRING),
        time_to_live_attribute="expires_at",
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED,
        encryption_key=key,
        deletion_protection=True,
        removal_policy=_KEPT,
    )


def _topic(stack: Any, name: str, topic_name: str, key: Any | None) -> Any:
    made = sns.Topic(stack, name, topic_name=topic_name, master_key=key, enforce_ssl=True)
    made.apply_removal_policy(_KEPT)
    return made


def _queue(stack: Any, name: str, queue_name: str, key: Any, days: int = QUEUE_DAYS_MAX) -> Any:
    """A queue without a redrive policy: looking at letters is a reading, and would move them."""
    return sqs.Queue(
        stack,
        name,
        queue_name=queue_name,
        retention_period=Duration.days(days),
        encryption=sqs.QueueEncryption.KMS,
        encryption_master_key=key,
        enforce_ssl=True,
        removal_policy=_KEPT,
    )


def _pseudonym_secret(stack: Any, plan: Plan, key: Any) -> Any:
    """The key that cards and contacts are hashed with, made by chance when the stack is made.

    Not a letter of `generate_secret_string` may change: CloudFormation would make another key, and
    no shop would know its cards again. A test holds it.
    """
    return secrets.Secret(
        stack,
        "pseudonym-key",
        secret_name=f"{plan.application}/pseudonym-key",
        description="docs/privacy.md, 'The key'. Keep a copy elsewhere: it cannot be worked out.",
        encryption_key=key,
        generate_secret_string=secrets.SecretStringGenerator(
            secret_string_template='{"old": []}',  # noqa: S106 -- it is made up by AWS
            generate_string_key="key",
            password_length=KEY_CHARACTERS,
            exclude_punctuation=True,
        ),
        removal_policy=_KEPT,
    )
