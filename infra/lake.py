"""The bucket, how long it keeps what, and what asks it: Glue's database and Athena's workgroup."""

from typing import Any, Final

import msgspec
from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_athena as athena
from aws_cdk import aws_glue as glue
from aws_cdk import aws_s3 as s3

from infra.plan import Plan

UNDONE_DAYS: Final = 7
STREAM_DAYS_MAX: Final = 365
RESULT_DAYS: Final = 7
"""Answers of Athena's hold rows of customers: they go soon, as an erasure does not reach them."""
_GIB: Final = 2**30


class Lake(msgspec.Struct, frozen=True):
    """The constructs that others refer to."""

    bucket: Any
    results: Any
    database: str
    workgroup: str


def lake(stack: Any, plan: Plan, key: Any) -> Lake:
    """The bucket with its rules, and Athena in front of it."""
    bucket = _bucket(stack, "lake", key, versioned=True, rules=lifecycle_rules(plan))
    results = _bucket(
        stack,
        "results",
        key,
        versioned=False,
        rules=[
            s3.LifecycleRule(
                id="results",
                expiration=Duration.days(RESULT_DAYS),
                abort_incomplete_multipart_upload_after=Duration.days(UNDONE_DAYS),
            )
        ],
    )
    database = plan.application.replace("-", "_")
    made = glue.CfnDatabase(
        stack,
        "database",
        catalog_id=plan.account,
        database_input=glue.CfnDatabase.DatabaseInputProperty(
            name=database, description="What Tillwatch saw at the tills: docs/data-catalogue.md."
        ),
    )
    # Its tables come from `tillwatch catalogue apply`, which knows the schema.
    made.apply_removal_policy(RemovalPolicy.RETAIN)
    workgroup = athena.CfnWorkGroup(
        stack,
        "workgroup",
        name=plan.application,
        description="Questions to the lake; one that reads too much is ended.",
        work_group_configuration=athena.CfnWorkGroup.WorkGroupConfigurationProperty(
            enforce_work_group_configuration=True,
            publish_cloud_watch_metrics_enabled=True,
            bytes_scanned_cutoff_per_query=plan.athena_scan_gib * _GIB,
            result_configuration=athena.CfnWorkGroup.ResultConfigurationProperty(
                output_location=f"s3://{results.bucket_name}/",
                expected_bucket_owner=plan.account,
                encryption_configuration=athena.CfnWorkGroup.EncryptionConfigurationProperty(
                    encryption_option="SSE_KMS", kms_key=key.key_arn
                ),
            ),
        ),
    )
    workgroup.apply_removal_policy(RemovalPolicy.RETAIN)
    return Lake(bucket=bucket, results=results, database=database, workgroup=plan.application)


def lifecycle_rules(plan: Plan) -> list[Any]:
    """The rules that `tillwatch lifecycle apply` sets, which then finds nothing to change.

    They are said twice, since nothing but settings is imported here; a test holds the two together.
    """
    days, processed = plan.settings.retention_days, plan.settings.processed_days
    tiering = plan.settings.processed_intelligent_tiering
    ends = {
        "archive": days,
        "history": days,
        "dead-letters": days,
        "shadow": days,
        "staging": max(days, STREAM_DAYS_MAX),
        "processed": processed,
        "compacted": processed,
        "pages": processed,
        "verdicts": processed,
        # The current snapshot of a quiet shard is old and needed: only versions go.
        "snapshots": None,
    }
    to_tiers = [
        s3.Transition(
            storage_class=s3.StorageClass.INTELLIGENT_TIERING, transition_after=Duration.days(0)
        )
    ]
    rules = [
        s3.LifecycleRule(
            id=f"tillwatch-{name}",
            prefix=f"{name}/",
            noncurrent_version_expiration=Duration.days(UNDONE_DAYS),
            expiration=None if end is None else Duration.days(end),
            transitions=to_tiers if tiering and name in _PARQUET else None,
        )
        for name, end in ends.items()
    ]
    rest = s3.LifecycleRule(
        id="tillwatch-rest",
        prefix="",
        expired_object_delete_marker=True,
        abort_incomplete_multipart_upload_after=Duration.days(UNDONE_DAYS),
    )
    return [*rules, rest]


_PARQUET: Final = frozenset({"processed", "compacted", "pages", "verdicts"})


def _bucket(stack: Any, name: str, key: Any, *, versioned: bool, rules: list[Any]) -> Any:
    return s3.Bucket(
        stack,
        name,
        versioned=versioned,
        encryption=s3.BucketEncryption.KMS,
        encryption_key=key,
        bucket_key_enabled=True,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        enforce_ssl=True,
        minimum_tls_version=1.2,
        lifecycle_rules=rules,
        removal_policy=RemovalPolicy.RETAIN,
    )
