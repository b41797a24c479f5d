"""The workers: a Fargate service of `tillwatch run`, and a task for what a person does.

Fargate and not machines of our own: docs/decisions/0017-infrastructure.md.
"""

from pathlib import Path
from typing import Any

import msgspec
from aws_cdk import aws_ecs as ecs

from infra import metrics_lines, search_rights
from infra.plan import Plan
from infra.state import State
from infra.task import (
    AMBIENT,
    STOP_MARGIN_SECONDS,
    STOP_SECONDS,
    confined,
    definition,
    image_of,
    logging,
    runner,
    secret_variables,
    service,
    temporary,
    variables,
)
from infra.worker_settings import METRICS_PORT


class Workers(msgspec.Struct, frozen=True):
    """The constructs that others refer to."""

    cluster: Any
    service: Any


def workers(stack: Any, plan: Plan, state: State) -> Workers:
    """Cluster, service and the operator's task.

    Raises:
        ValueError: the worker would be killed before its own wait for the last checkpoints ends.
    """
    wait = plan.settings.shutdown_seconds_max
    if wait + STOP_MARGIN_SECONDS > STOP_SECONDS:
        raise ValueError(
            f"shutdown_seconds_max is {wait:g}, and Fargate kills after {STOP_SECONDS} s: "
            f"{STOP_SECONDS - STOP_MARGIN_SECONDS} at most"
        )
    cluster = ecs.Cluster(
        stack,
        "cluster",
        cluster_name=plan.application,
        vpc=state.network.vpc,
        container_insights_v2=ecs.ContainerInsights.DISABLED,
    )
    running = service(
        stack,
        "service",
        plan.application,
        cluster=cluster,
        task=_task(stack, plan, state),
        state=state,
        tasks=plan.workers,
    )
    _operator(stack, plan, state)
    return Workers(cluster=cluster, service=running)


def _task(stack: Any, plan: Plan, state: State) -> Any:
    task = definition(stack, "task", plan, state.worker)
    image = image_of(stack, plan)
    runner(
        task,
        "worker",
        image=image,
        command=["tillwatch", "run"],
        environment=variables(plan, state),
        secrets=secret_variables(stack, plan),
        logging=logging(state.kept.log, "worker"),
    )
    task.add_container(
        "metrics",
        image=image,
        # It may fail and start again: the worker goes on.
        essential=False,
        enable_restart_policy=True,
        command=["python", "-c", Path(metrics_lines.__file__).read_text()],
        environment={
            "TILLWATCH_APPLICATION": plan.application,
            "TILLWATCH_METRICS_PORT": str(METRICS_PORT),
        },
        memory_limit_mib=256,
        logging=logging(state.kept.log, "metrics"),
        **confined(stack, "metrics"),
    )
    return task


def _operator(stack: Any, plan: Plan, state: State) -> None:
    """A task that waits for a command; its own gives the worker its rights in OpenSearch."""
    task = definition(stack, "operator-task", plan, state.operator, family="operator")
    container = task.add_container(
        "tillwatch",
        image=image_of(stack, plan),
        command=["python", "-c", Path(search_rights.__file__).read_text()],
        environment={
            **AMBIENT,
            **variables(plan, state),
            "WORKER_ROLE_ARN": state.worker.role_arn,
        },
        secrets=secret_variables(stack, plan),
        logging=logging(state.kept.log, "operator"),
        **confined(stack, "operator"),
    )
    temporary(container)
