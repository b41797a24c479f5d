"""A shadow beside the workers, where the plan names one: a task of its own that pages nobody.

All of it goes with the stack that runs; what the shadow itself leaves is taken away by
`tillwatch shadow end`. docs/operations.md, "Changing the detector".
"""

from typing import Any, Final

from aws_cdk import RemovalPolicy
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs

from infra import rights
from infra.plan import Plan
from infra.state import State
from infra.task import definition, image_of, logging, runner, service, variables

CANDIDATE: Final = "TILLWATCH_SHADOW_DETECTOR"
_FILE: Final = "/tmp/candidate.json"  # noqa: S108 -- a volume of the task's own
_COMMAND: Final = (
    "import os, pathlib; "
    f"pathlib.Path({_FILE!r}).write_text(os.environ.pop({CANDIDATE!r})); "
    "os.execvp('tillwatch', ['tillwatch', 'run'])"
)


def shadow(stack: Any, plan: Plan, state: State, cluster: Any) -> None:
    """The shadow's role, log and service of one task; nothing where the plan has none."""
    if plan.shadow is None or plan.shadow_detector is None:
        return
    role = iam.Role(
        stack,
        "shadow",
        assumed_by=state.tasks,
        description=f"tillwatch run, as the shadow {plan.shadow}",
    )
    places = rights.Places(plan=plan, kept=state.kept, lake=state.lake)
    for statement in rights.shadow(places, plan.shadow):
        role.add_to_policy(statement)
    # The lines of the workers' group wake people.
    log = logs.LogGroup(
        stack,
        "shadow-log",
        log_group_name=f"/tillwatch/{plan.application}/shadow",
        retention=logs.RetentionDays.ONE_MONTH,
        encryption_key=state.kept.key,
        removal_policy=RemovalPolicy.DESTROY,
    )
    task = definition(stack, "shadow-task", plan, role, family="shadow")
    runner(
        task,
        "shadow",
        image=image_of(stack, plan),
        command=["python", "-c", _COMMAND],
        environment={
            **variables(plan, state),
            "TILLWATCH_SHADOW": plan.shadow,
            "TILLWATCH_DETECTOR_FILE": _FILE,
            CANDIDATE: plan.shadow_detector,
        },
        secrets={},
        logging=logging(log, "shadow"),
    )
    # One at a time: two of different candidates would make the pages a mixture.
    service(
        stack,
        "shadow-service",
        f"{plan.application}-shadow",
        cluster=cluster,
        task=task,
        state=state,
        tasks=1,
    )
