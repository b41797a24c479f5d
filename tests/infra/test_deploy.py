"""Both stacks deployed to an AWS endpoint, and what they made used by the worker's own code.

The endpoint grants every right and encrypts nothing: tests of the templates hold these.
"""

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from consumer.lease import WORKER_VARIABLE
from consumer.pseudonym_keys import pseudonym_keys
from consumer.services import Services
from consumer.settings import Settings
from events.pseudonym import Pseudonymizer
from infra.metrics_lines import figures, line
from local.aws import AwsEndpoint
from sinks import glue
from sinks.dynamodb import Claim, Ledger
from sinks.fence import FencedOff
from tests.infra.conftest import Stacks
from tests.infra.test_runs import containers, variables
from tests.sinks.made import page, rejection

pytestmark = pytest.mark.integration
NOT_THERE = {"AWS::EC2::SecurityGroupIngress"}
"""What the endpoint does not know; nor does it know alarms of a formula over several figures."""
ALARM_SECONDS_MAX = 60


class Deployed:
    """The stacks as they stand at the endpoint, and the environment that the worker would have."""

    def __init__(self, aws: AwsEndpoint, stacks: Stacks) -> None:
        self.aws = aws
        self._cloud = aws.client("cloudformation")
        self._deploy("tillwatch-state", stacks.kept)
        self._deploy("tillwatch-run", stacks.runs)
        pages = self._cloud.get_paginator("list_exports").paginate()
        self.exports = {one["Name"]: one["Value"] for page in pages for one in page["Exports"]}
        worker = containers(stacks, "worker")["worker"]
        self.environment = {
            name: self._known(value)
            for name, value in variables(worker).items()
            if name.startswith("TILLWATCH_")
        } | {"TILLWATCH_AWS_ENDPOINT": aws.url}

    def _deploy(self, name: str, made: dict[str, Any]) -> None:
        # Rules and parameters ask whether the account was bootstrapped for CDK.
        template = {key: value for key, value in made.items() if key in {"Resources", "Outputs"}}
        template["Resources"] = {
            key: value
            for key, value in made["Resources"].items()
            if value["Type"] not in NOT_THERE and "Metrics" not in value["Properties"]
        }
        self._cloud.create_stack(
            StackName=name,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        waiter = self._cloud.get_waiter("stack_create_complete")
        waiter.wait(StackName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})

    def _known(self, value: Any) -> str:
        """A value of the template, now that it is deployed."""
        if isinstance(value, str):
            return value
        ((function, of),) = value.items()
        if function == "Fn::ImportValue":
            return str(self.exports[of])
        assert function == "Fn::Join"
        between, parts = of
        return str(between).join(self._known(part) for part in parts)


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory, stacks: Stacks) -> Iterator[Deployed]:
    # An endpoint of its own: the stacks make the tables of the catalogue, which have one name.
    with AwsEndpoint(tmp_path_factory.mktemp("deployed")) as aws:
        yield Deployed(aws, stacks)


@pytest.fixture
def settings(deployed: Deployed, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The worker's settings, out of its environment."""
    monkeypatch.setenv(WORKER_VARIABLE, "worker-1")
    for name, value in (deployed.environment | deployed.aws.environment()).items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.fixture
def services(settings: Settings) -> Iterator[Services]:
    stop = threading.Event()
    yield Services(settings, stop)
    stop.set()


def test_stream_and_queue_are_as_declared(deployed: Deployed, settings: Settings) -> None:
    stream = deployed.aws.client("kinesis").describe_stream_summary(StreamName=settings.stream)
    assert stream["StreamDescriptionSummary"]["RetentionPeriodHours"] == 7 * 24
    assert stream["StreamDescriptionSummary"]["OpenShardCount"] == 2
    queue = deployed.aws.client("sqs").get_queue_attributes(
        QueueUrl=settings.dead_letter_queue_url, AttributeNames=["All"]
    )
    assert queue["Attributes"]["MessageRetentionPeriod"] == str(14 * 86_400)


def test_a_record_goes_through_the_stream(
    deployed: Deployed, settings: Settings, services: Services
) -> None:
    kinesis = deployed.aws.client("kinesis")
    put = kinesis.put_record(
        StreamName=settings.stream, Data=b"a transaction", PartitionKey="shop-017"
    )
    assert services.lineage.of(put["ShardId"]).parents == {}
    start = kinesis.get_shard_iterator(
        StreamName=settings.stream, ShardId=put["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )
    (record,) = kinesis.get_records(ShardIterator=start["ShardIterator"])["Records"]
    assert record["Data"] == b"a transaction"


def test_the_fence_keeps_a_worker_out_that_lost_its_shard(services: Services) -> None:
    held = services.fence.advance("shardId-0")
    assert services.fence.advance("shardId-0").epoch == held.epoch + 1
    with pytest.raises(FencedOff):
        services.fence.note("shardId-0", held)


def test_a_page_is_claimed_once_and_goes_to_the_topic(
    deployed: Deployed, settings: Settings, services: Services
) -> None:
    table = deployed.aws.client("dynamodb")
    assert Ledger(table, settings.ledger_table, "one").claim("p-1", 1) is Claim.MINE
    assert Ledger(table, settings.ledger_table, "other").claim("p-1", 1) is Claim.HELD
    assert services.pager.send(page(1))
    again = Ledger(table, settings.ledger_table, "other")
    assert again.was_sent(page(1).page_id, page(1).revision)


def test_a_rejection_becomes_a_letter(
    deployed: Deployed, settings: Settings, services: Services
) -> None:
    services.dead_letters.write_rejections([rejection(1)])
    answer = deployed.aws.client("sqs").receive_message(QueueUrl=settings.dead_letter_queue_url)
    assert len(answer["Messages"]) == 1


def test_the_bucket_keeps_versions_of_a_snapshot(
    deployed: Deployed, settings: Settings, services: Services
) -> None:
    services.snapshot_store.put("snapshots/tillwatch/some", b"one")
    services.snapshot_store.put("snapshots/tillwatch/some", b"two")
    versions = deployed.aws.client("s3").list_object_versions(
        Bucket=settings.bucket, Prefix="snapshots/"
    )
    assert len(versions["Versions"]) == 2
    assert services.snapshot_store.get("snapshots/tillwatch/some") == b"two"


def test_the_pseudonym_key_can_be_read(settings: Settings) -> None:
    keys = pseudonym_keys(settings)
    assert keys.old == ()
    assert Pseudonymizer(keys.current).card_token("k-1") != "k-1"


def test_the_catalogue_is_put_into_the_database(deployed: Deployed, settings: Settings) -> None:
    client = deployed.aws.client("glue")
    wanted = glue.definitions("tillwatch", settings.bucket, settings.application, "shop")
    glue.apply(client, "tillwatch", glue.changes(client, "tillwatch", wanted))
    assert glue.changes(client, "tillwatch", wanted) == []


def test_as_many_workers_are_asked_for_as_are_wanted(deployed: Deployed) -> None:
    ecs = deployed.aws.client("ecs")
    (service,) = ecs.describe_services(cluster="tillwatch", services=["tillwatch"])["services"]
    assert service["desiredCount"] == 2


def test_a_line_of_the_worker_becomes_an_alarm_and_a_message(deployed: Deployed) -> None:
    """CloudWatch Logs would put the figures of the line; here the test does."""
    sns, sqs = deployed.aws.client("sns"), deployed.aws.client("sqs")
    topics = [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    (topic,) = (arn for arn in topics if arn.endswith("tillwatch-alarms"))
    mailbox = sqs.create_queue(QueueName="oncall")["QueueUrl"]
    held = sqs.get_queue_attributes(QueueUrl=mailbox, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=held["Attributes"]["QueueArn"])
    text = '# TYPE tillwatch_halted gauge\ntillwatch_halted{shard="shardId-0"} 1.0\n'
    gauges, _ = figures(text)
    said = json.loads(line("tillwatch", gauges, time.time_ns() // 1_000_000))
    (directive,) = said["_aws"]["CloudWatchMetrics"]
    (dimensions,) = directive["Dimensions"]
    deployed.aws.client("cloudwatch").put_metric_data(
        Namespace=directive["Namespace"],
        MetricData=[
            {
                "MetricName": metric["Name"],
                "Dimensions": [{"Name": name, "Value": said[name]} for name in dimensions],
                "Value": said[metric["Name"]],
            }
            for metric in directive["Metrics"]
        ],
    )
    told = ""
    deadline = time.monotonic() + ALARM_SECONDS_MAX
    while "shard halted" not in told and time.monotonic() < deadline:
        answer = sqs.receive_message(QueueUrl=mailbox, WaitTimeSeconds=2)
        told += "".join(one["Body"] for one in answer.get("Messages", ()))
    assert "tillwatch: shard halted" in told
    assert "docs/operations.md" in told
