"""The stack of what is kept, deployed to an AWS endpoint, and used by the product's own code."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from consumer.lineage import KinesisLineage
from events.instant import SECOND
from local.aws import AwsEndpoint
from sinks import glue
from sinks.dynamodb import Claim, Ledger
from sinks.dynamodb_fence import DynamoFence
from sinks.fence import FencedOff, Held
from sinks.s3 import S3ObjectStore
from tests.infra.conftest import ACCOUNT, CONTEXT, Stacks

pytestmark = pytest.mark.integration
STACK = "tillwatch-state"
# The endpoint has no such service, or knows the property under no name.
NOT_THERE: set[str] = set()


class Deployed:
    """The stack as it stands at the endpoint."""

    def __init__(self, aws: AwsEndpoint, template: dict[str, Any]) -> None:
        self.aws = aws
        cloud = aws.client("cloudformation")
        cloud.create_stack(
            StackName=STACK,
            TemplateBody=json.dumps(template),
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
        waiter = cloud.get_waiter("stack_create_complete")
        waiter.wait(StackName=STACK, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        (stack,) = cloud.describe_stacks(StackName=STACK)["Stacks"]
        self.outputs = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


@pytest.fixture(scope="module")
def deployed(aws: AwsEndpoint, stacks: Stacks) -> Iterator[Deployed]:
    template = json.loads(json.dumps(stacks.kept))
    # It wants to know whether the account was bootstrapped for CDK.
    template.pop("Rules", None)
    template.pop("Parameters", None)
    template["Resources"] = {
        name: made for name, made in template["Resources"].items() if made["Type"] not in NOT_THERE
    }
    yield Deployed(aws, template)


def test_the_stack_stands(deployed: Deployed) -> None:
    assert deployed.outputs["Stream"] == "tillwatch"
