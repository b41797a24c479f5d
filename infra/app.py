"""The program that CDK runs: two stacks, of the values in its context. docs/infra.md lists them."""

import sys
from collections.abc import Mapping
from typing import Any, Final

from aws_cdk import App, CfnOutput, Environment, Stack, Tags

from infra.alarm import Names
from infra.alarms import alarms
from infra.plan import Plan, PlanError, read
from infra.shadow import shadow
from infra.state import State, state
from infra.worker import workers

_FLAGS: Final = {
    "@aws-cdk/core:validateAgainstDefaultRules": True,
    # What runs is deployed after what is kept, and nothing that it uses can go.
    "@aws-cdk/core:defaultCrossStackReferences": "strong",
}


def build(app: Any, context: Mapping[str, Any]) -> tuple[Any, Any]:
    """Both stacks in `app`: what is kept, and what runs.

    Raises:
        PlanError: the context cannot be used.
    """
    plan = read(context)
    # CDK would ask the account for its zones: the plan says them, and nobody has to be asked.
    zones = f"availability-zones:account={plan.account}:region={plan.region}"
    app.node.set_context(zones, [*plan.zones])
    held = state(app, plan)
    runs = _run(app, plan, held)
    Tags.of(app).add("application", plan.application)
    return held.stack, runs


def _run(app: Any, plan: Plan, held: State) -> Any:
    """The stack `<application>-run`: it may be deleted and made again at any time."""
    stack = Stack(
        app,
        f"{plan.application}-run",
        env=Environment(account=plan.account, region=plan.region),
        description="Tillwatch's workers and their alarms. docs/infra.md",
    )
    made = workers(stack, plan, held)
    shadow(stack, plan, held, made.cluster)
    names = Names(
        application=plan.application,
        account=plan.account,
        cluster=made.cluster.cluster_name,
        service=made.service.service_name,
        stream=held.kept.stream.stream_name,
        shards_min=plan.shards_min,
        workers=plan.workers,
        search_gib=plan.search_gib,
        dead_letters_usual=plan.dead_letters_usual,
    )
    alarms(stack, names, held.kept)
    subnets = held.network.vpc.select_subnets(availability_zones=[*plan.zones]).subnet_ids
    CfnOutput(stack, "Subnets", value=",".join(subnets))
    CfnOutput(stack, "SecurityGroup", value=held.network.workers.security_group_id)
    return stack


def main() -> None:
    """Synthesize what the context asks for; what CDK itself knows to be wrong is an error."""
    app = App(analytics_reporting=False, context=_FLAGS)
    try:
        build(app, app.node.get_all_context())
    except PlanError as error:
        sys.exit(f"the context cannot be used (docs/infra.md):\n{error}")
    app.synth()


if __name__ == "__main__":
    main()
