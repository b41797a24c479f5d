"""Who may do what: the worker what it does all day, the operator what a person does now and then.

A right that is not here was left out on purpose: the worker deletes no published file, reads no
dead letter and no raw record back. docs/operations.md lists what each command needs.
"""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from aws_cdk import aws_iam as iam

from infra.kept import Kept
from infra.lake import Lake
from infra.plan import Plan

KCL_TABLES: Final = ("-CoordinatorState", "-WorkerMetricStats")
"""What KCL makes besides the leases, whose table has the application's own name."""


class Places(msgspec.Struct, frozen=True):
    """What rights are given on."""

    plan: Plan
    kept: Kept
    lake: Lake

    def objects(self, *prefixes: str) -> list[str]:
        """The objects of the bucket below `prefixes`."""
        return [self.lake.bucket.arn_for_objects(f"{prefix}/*") for prefix in prefixes]

    def table(self, name: str) -> str:
        """The ARN of a table that KCL makes."""
        return f"arn:aws:dynamodb:{self.plan.region}:{self.plan.account}:table/{name}"


def worker(places: Places) -> Iterator[Any]:
    """The rights of `tillwatch run`."""
    kept, application = places.kept, places.plan.application
    own = [f"{name}/{application}" for name in ("staging", "snapshots", "history")]
    written = [*own, "processed", "pages", "verdicts", "dead-letters"]
    if places.plan.archive_key_secret is not None:
        written.append(f"archive/{application}")
    yield _allow("Write", ["s3:PutObject"], places.objects(*written))
    yield _allow("Read", ["s3:GetObject"], places.objects(*own[:2], "compacted"))
    yield _allow("Discard", ["s3:DeleteObject"], places.objects(*own))
    yield _allow("Ledger", ["dynamodb:GetItem", "dynamodb:UpdateItem"], [kept.ledger.table_arn])
    yield _allow("Pages", ["sns:Publish"], [kept.pages.topic_arn])
    yield _allow("DeadLetters", ["sqs:SendMessage"], [kept.dead_letters.queue_arn])
    yield from _consuming(places, application)


def shadow(places: Places, name: str) -> Iterator[Any]:
    """The rights of `tillwatch run` as the shadow `name`: it can page, index and publish nothing.

    It writes its own pages, notes, snapshots, fences and KCL's tables, and reads of the live
    worker's what it begins on.
    """
    application = places.plan.application
    own = f"{application}-shadow-{name}"
    told, snapshots = f"shadow/{application}/{name}", f"snapshots/{own}"
    yield _allow("Write", ["s3:PutObject"], places.objects(told, snapshots))
    yield _allow(
        "Read", ["s3:GetObject"], places.objects(told, snapshots, f"history/{application}")
    )
    yield _allow("Discard", ["s3:DeleteObject"], places.objects(snapshots))
    ledger = places.kept.ledger.table_arn
    yield _fences("Fences", ["dynamodb:GetItem", "dynamodb:UpdateItem"], ledger, own)
    yield _fences("LiveFences", ["dynamodb:GetItem"], ledger, application)
    yield from _consuming(places, own)


def _fences(sid: str, actions: list[str], table: str, application: str) -> Any:
    """Of the ledger's table those rows alone that are the fences of one KCL application."""
    return iam.PolicyStatement(
        sid=sid,
        actions=actions,
        resources=[table],
        conditions={
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": [f"fence#{application}#*"]},
            # A call that names no key would pass the line above.
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    )


def _consuming(places: Places, application: str) -> Iterator[Any]:
    """What reading the stream as the KCL application takes, whatever comes of it."""
    kept = places.kept
    # Without a prefix: S3 says "none there" of an object, and not "not allowed", only to who may
    # list the bucket as a whole.
    yield _allow("List", ["s3:ListBucket"], [places.lake.bucket.bucket_arn])
    yield from _leases(places, application)
    yield _allow(
        "Stream",
        [
            "kinesis:DescribeStream",
            "kinesis:DescribeStreamSummary",
            "kinesis:GetRecords",
            "kinesis:GetShardIterator",
            "kinesis:ListShards",
        ],
        [kept.stream.stream_arn],
    )
    yield _allow(
        "Pseudonyms", ["secretsmanager:GetSecretValue"], [kept.pseudonym_secret.secret_arn]
    )
    yield _allow("Key", ["kms:Decrypt", "kms:GenerateDataKey"], [kept.key.key_arn])
    yield iam.PolicyStatement(
        sid="DaemonMetrics",
        actions=["cloudwatch:PutMetricData"],
        resources=["*"],  # CloudWatch knows no narrower one; the namespace is what narrows it
        conditions={"StringEquals": {"cloudwatch:namespace": application}},
    )


def _leases(places: Places, application: str) -> Iterator[Any]:
    """What KCL does with the tables that it makes."""
    leases = places.table(application)
    others = [places.table(f"{application}{name}") for name in KCL_TABLES]
    yield _allow(
        "KclTables",
        [
            "dynamodb:CreateTable",
            "dynamodb:DescribeTable",
            "dynamodb:GetItem",
            "dynamodb:PutItem",
            "dynamodb:UpdateItem",
            "dynamodb:DeleteItem",
            "dynamodb:Scan",
        ],
        [leases, *others],
    )
    # The index is put beside a table that an older KCL made.
    yield _allow("KclLeaseTable", ["dynamodb:UpdateTable"], [leases])
    yield _allow("KclLeaseIndex", ["dynamodb:Query"], [f"{leases}/index/LeaseOwnerToLeaseKeyIndex"])


def operator(places: Places) -> Iterator[Any]:
    """What a person's commands need besides: `dlq`, `rebuild`, `erase`, `shadow report` …."""
    kept, application = places.kept, places.plan.application
    bucket = places.lake.bucket
    rewritten = [
        "processed",
        "compacted",
        "pages",
        "verdicts",
        f"shadow/{application}",
        "dead-letters",
        f"staging/{application}",
        f"snapshots/{application}",
    ]
    yield _allow("ReadAll", ["s3:GetObject", "s3:GetObjectVersion"], [bucket.arn_for_objects("*")])
    yield _allow(
        "Rewrite",
        ["s3:PutObject", "s3:DeleteObject", "s3:DeleteObjectVersion"],
        places.objects(*rewritten),
    )
    yield _allow(
        "Bucket",
        [
            "s3:ListBucketVersions",
            "s3:GetBucketVersioning",
            "s3:GetLifecycleConfiguration",
            "s3:PutLifecycleConfiguration",
        ],
        [bucket.bucket_arn],
    )
    yield _allow(
        "Letters",
        [
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:ChangeMessageVisibility",
            "sqs:GetQueueAttributes",
            "sqs:SetQueueAttributes",
        ],
        [kept.dead_letters.queue_arn],
    )
    yield _allow("Redrive", ["kinesis:PutRecord"], [kept.stream.stream_arn])
    # For `shadow report`; the ledger's fences it reads anyway.
    yield _allow(
        "ShadowLeases",
        ["dynamodb:GetItem", "dynamodb:Scan"],
        [places.table(f"{application}-shadow-*")],
    )
    yield _allow("RedriveLedger", ["dynamodb:DeleteItem"], [kept.ledger.table_arn])


def tills(places: Places) -> Iterator[Any]:
    """What who sends transactions needs."""
    kept = places.kept
    yield _allow("Send", ["kinesis:PutRecord", "kinesis:PutRecords"], [kept.stream.stream_arn])
    yield iam.PolicyStatement(
        sid="Seal",
        actions=["kms:GenerateDataKey"],
        resources=[kept.key.key_arn],
        conditions={
            "StringEquals": {"kms:ViaService": f"kinesis.{places.plan.region}.amazonaws.com"}
        },
    )


def _allow(sid: str, actions: list[str], resources: list[str]) -> Any:
    return iam.PolicyStatement(sid=sid, actions=actions, resources=resources)
