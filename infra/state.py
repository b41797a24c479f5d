"""The stack of what is kept: made once, changed seldom, and never deleted with its stack."""

from typing import Any

import msgspec
from aws_cdk import CfnOutput, Environment, Stack
from aws_cdk import aws_iam as iam

from infra import rights
from infra.kept import Kept, kept, key
from infra.lake import Lake, lake
from infra.network import Network, network
from infra.plan import Plan
from infra.search import domain


class State(msgspec.Struct, frozen=True):
    """What the stack that runs refers to."""

    stack: Any
    kept: Kept
    lake: Lake
    network: Network
    domain: Any
    worker: Any
    operator: Any
    tasks: Any
    """Who may take a role: tasks of this account."""


def state(app: Any, plan: Plan) -> State:
    """The stack `<application>-state`."""
    stack = Stack(
        app,
        f"{plan.application}-state",
        env=Environment(account=plan.account, region=plan.region),
        description="What Tillwatch keeps: records, history, state, rights. docs/infra.md",
        termination_protection=True,
    )
    everything = key(stack, plan)
    places = rights.Places(
        plan=plan, kept=kept(stack, plan, everything), lake=lake(stack, plan, everything)
    )
    net = network(stack, plan)
    tasks = iam.ServicePrincipal("ecs-tasks.amazonaws.com").with_conditions(
        {"StringEquals": {"aws:SourceAccount": plan.account}}
    )
    worker = iam.Role(stack, "worker", assumed_by=tasks, description="tillwatch run")
    operator = iam.Role(stack, "operator", assumed_by=tasks, description="tillwatch, by a person")
    for statement in rights.worker(places):
        worker.add_to_policy(statement)
    for statement in [*rights.worker(places), *rights.operator(places)]:
        operator.add_to_policy(statement)
    tills = iam.ManagedPolicy(
        stack,
        "tills",
        managed_policy_name=f"{plan.application}-tills",
        description="For who sends transactions to the stream.",
        statements=[*rights.tills(places)],
    )
    search = domain(stack, plan, net, everything, worker=worker, operator=operator)
    for name, value in {
        "Bucket": places.lake.bucket.bucket_name,
        "Database": places.lake.database,
        "DeadLetterQueueUrl": places.kept.dead_letters.queue_url,
        "OpenSearchUrl": f"https://{search.attr_domain_endpoint}",
        "PagesTopicArn": places.kept.pages.topic_arn,
        "Stream": places.kept.stream.stream_name,
        "TillsPolicyArn": tills.managed_policy_arn,
    }.items():
        CfnOutput(stack, name, value=value)
    # A shadow's rights are on these. Exported with it alone, they could not be taken back with it:
    # this stack is deployed first, while the other still refers to them.
    made = places.kept
    for arn in (made.stream.stream_arn, made.key.key_arn, made.ledger.table_arn):
        stack.export_value(arn)
    stack.export_value(places.lake.bucket.bucket_arn)
    return State(
        stack=stack,
        kept=places.kept,
        lake=places.lake,
        network=net,
        domain=search,
        worker=worker,
        operator=operator,
        tasks=tasks,
    )
