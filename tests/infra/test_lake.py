"""The bucket keeps what the product's own rules keep: one truth, said in two places."""

from typing import Any

from infra.plan import Plan, read
from sinks import bucket_rules
from sinks.catalogue import tables
from sinks.glue import definitions
from tests.infra.conftest import CONTEXT, Stacks

SETTINGS: list[dict[str, str]] = [
    {},
    {"retention_days": "400"},
    {"retention_days": "7", "processed_retention_days": "3650"},
    {"processed_retention_days": "730", "processed_intelligent_tiering": "true"},
]


def rules_of(bucket: Any) -> list[dict[str, Any]]:
    """CloudFormation's rules in the words of S3's own API."""
    return [_rule(rule) for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]]


def _rule(said: dict[str, Any]) -> dict[str, Any]:
    rule: dict[str, Any] = {"ID": said.pop("Id"), "Status": said.pop("Status")}
    rule["Filter"] = {"Prefix": said.pop("Prefix", "")}
    if "ExpirationInDays" in said:
        rule["Expiration"] = {"Days": said.pop("ExpirationInDays")}
    if "ExpiredObjectDeleteMarker" in said:
        rule["Expiration"] = {"ExpiredObjectDeleteMarker": said.pop("ExpiredObjectDeleteMarker")}
    if "NoncurrentVersionExpiration" in said:
        days = said.pop("NoncurrentVersionExpiration")["NoncurrentDays"]
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": days}
    if "Transitions" in said:
        rule["Transitions"] = [
            {"Days": step.pop("TransitionInDays"), "StorageClass": step.pop("StorageClass")}
            for step in said.pop("Transitions")
        ]
    if "AbortIncompleteMultipartUpload" in said:
        rule["AbortIncompleteMultipartUpload"] = said.pop("AbortIncompleteMultipartUpload")
    assert not said, "something that is not compared"
    return rule


def test_the_rules_are_those_of_lifecycle_apply(stacks: Stacks) -> None:
    from aws_cdk import App, Stack
    from aws_cdk import aws_s3 as s3
    from aws_cdk.assertions import Template

    from infra.lake import lifecycle_rules

    stack = Stack(App(analytics_reporting=False), "rules")
    plans = {}
    for number, chosen in enumerate(SETTINGS):
        said = {f"tillwatch:setting.{name}": text for name, text in chosen.items()}
        plans[f"lake{number}"] = plan = read(CONTEXT | said)
        s3.Bucket(stack, f"lake{number}", versioned=True, lifecycle_rules=lifecycle_rules(plan))
    buckets = Template.from_stack(stack).find_resources("AWS::S3::Bucket")
    assert len(buckets) == len(SETTINGS)
    for name, bucket in buckets.items():
        made = sorted(rules_of(bucket), key=lambda rule: str(rule["ID"]))
        assert made == wanted(plans[name[:5]])


def wanted(plan: Plan) -> list[dict[str, Any]]:
    settings = plan.settings
    return bucket_rules.rules(
        settings.retention_days,
        settings.processed_days,
        tiering=settings.processed_intelligent_tiering,
    )


def test_the_lake_is_versioned_private_and_encrypted(stacks: Stacks) -> None:
    buckets = stacks.of("S3::Bucket")
    assert len(buckets) == 2
    (lake,) = (made for name, made in buckets.items() if name.startswith("lake"))
    assert lake["Properties"]["VersioningConfiguration"] == {"Status": "Enabled"}
    ids = {rule["Id"] for rule in lake["Properties"]["LifecycleConfiguration"]["Rules"]}
    assert ids == {str(rule["ID"]) for rule in bucket_rules.rules(30, 30, tiering=False)}
    for bucket in buckets.values():
        said = bucket["Properties"]
        assert said["PublicAccessBlockConfiguration"] == {
            "BlockPublicAcls": True,
            "BlockPublicPolicy": True,
            "IgnorePublicAcls": True,
            "RestrictPublicBuckets": True,
        }
        (encryption,) = said["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert encryption["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "aws:kms"
        assert encryption["BucketKeyEnabled"] is True
        (owner,) = said["OwnershipControls"]["Rules"]
        assert owner == {"ObjectOwnership": "BucketOwnerEnforced"}


def test_answers_of_athena_go_within_a_week(stacks: Stacks) -> None:
    """An erasure does not reach them: docs/privacy.md."""
    (results,) = (
        made for name, made in stacks.of("S3::Bucket").items() if name.startswith("results")
    )
    (rule,) = results["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["ExpirationInDays"] == 7


def test_the_database_is_the_one_that_catalogue_apply_fills(stacks: Stacks) -> None:
    from consumer.catalogue import DATABASE

    assert stacks.only("Glue::Database")["DatabaseInput"]["Name"] == DATABASE
    # Every table lies in the lake's own bucket, under a prefix that is kept by a rule.
    folders = {table.folder.split("/")[0] for table in tables("tillwatch")}
    prefixes = {str(rule["Filter"]["Prefix"]).strip("/") for rule in wanted(read(CONTEXT))}
    assert folders <= prefixes
    assert definitions(DATABASE, "a-bucket", "tillwatch", "shop")
