"""The workers: a Fargate service of `tillwatch run`, and a task for what a person does.

Fargate and not machines of our own: docs/decisions/0017-infrastructure.md.
"""

from pathlib import Path
from typing import Any, Final

import msgspec
from aws_cdk import Duration, Size
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secrets

from infra import metrics_lines, search_rights
from infra.plan import Plan
from infra.state import State
from infra.worker_settings import METRICS_PORT, environment

STOP_SECONDS: Final = 120
"""What Fargate gives at most between SIGTERM and SIGKILL."""
STOP_MARGIN_SECONDS: Final = 15
"""So much longer than the worker's own wait; docs/operations.md, "Start, stop, upgrade"."""
HEALTH_START_SECONDS: Final = 120
LOG_BUFFER_MIB: Final = 16
"""Lines that wait while CloudWatch Logs is away; beyond it they are lost."""
_HEALTH = (
    "import urllib.request as u; "
    f"u.urlopen('http://127.0.0.1:{METRICS_PORT}/healthz', timeout=5).read()"
)
_AMBIENT: Final = {
    # Addresses by account lie behind no gateway endpoint for certain; the ordinary ones do.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    "PYTHONDONTWRITEBYTECODE": "1",
    # A socket's path lies in it: docs/operations.md, "Start, stop, upgrade".
    "TMPDIR": "/tmp",  # noqa: S108 -- a volume of the task's own
}


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
    service = ecs.FargateService(
        stack,
        "service",
        service_name=plan.application,
        cluster=cluster,
        task_definition=_task(stack, plan, state),
        desired_count=plan.workers,
        # One after the other, and never one more: the others hold its shards meanwhile.
        min_healthy_percent=100 * (plan.workers - 1) // plan.workers,
        max_healthy_percent=100,
        circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
        assign_public_ip=False,
        vpc_subnets=state.network.inside,
        security_groups=[state.network.workers],
        propagate_tags=ecs.PropagatedTagSource.SERVICE,
    )
    _operator(stack, plan, state)
    return Workers(cluster=cluster, service=service)


def _task(stack: Any, plan: Plan, state: State) -> Any:
    task = _definition(stack, "task", plan, state.worker)
    image = _image(stack, plan)
    worker = task.add_container(
        "worker",
        image=image,
        essential=True,
        command=["tillwatch", "run"],
        environment={**_AMBIENT, **_environment(plan, state)},
        secrets=_secrets(stack, plan),
        health_check=ecs.HealthCheck(
            command=["CMD", "python", "-c", _HEALTH],
            interval=Duration.seconds(30),
            timeout=Duration.seconds(10),
            retries=3,
            start_period=Duration.seconds(HEALTH_START_SECONDS),
        ),
        stop_timeout=Duration.seconds(STOP_SECONDS),
        logging=_logging(state, "worker"),
        **_confined(stack, "worker"),
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
        logging=_logging(state, "metrics"),
        **_confined(stack, "metrics"),
    )
    _temporary(worker)
    return task


def _operator(stack: Any, plan: Plan, state: State) -> None:
    """A task that waits for a command; its own gives the worker its rights in OpenSearch."""
    task = _definition(stack, "operator-task", plan, state.operator, family="operator")
    container = task.add_container(
        "tillwatch",
        image=_image(stack, plan),
        command=["python", "-c", Path(search_rights.__file__).read_text()],
        environment={
            **_AMBIENT,
            **_environment(plan, state),
            "WORKER_ROLE_ARN": state.worker.role_arn,
        },
        secrets=_secrets(stack, plan),
        logging=_logging(state, "operator"),
        **_confined(stack, "operator"),
    )
    _temporary(container)


def _definition(stack: Any, name: str, plan: Plan, role: Any, *, family: str = "worker") -> Any:
    return ecs.FargateTaskDefinition(
        stack,
        name,
        family=f"{plan.application}-{family}",
        cpu=plan.worker_cpu,
        memory_limit_mib=plan.worker_mib,
        task_role=role,
        runtime_platform=ecs.RuntimePlatform(
            cpu_architecture=ecs.CpuArchitecture.X86_64,
            operating_system_family=ecs.OperatingSystemFamily.LINUX,
        ),
        volumes=[ecs.Volume(name="temporary")],
    )


def _environment(plan: Plan, state: State) -> dict[str, str]:
    kept = state.kept
    chosen = {name: _text(getattr(plan.settings, name)) for name in sorted(plan.chosen)}
    return environment(
        {
            "stream": kept.stream.stream_name,
            "opensearch_url": f"https://{state.domain.attr_domain_endpoint}",
            "opensearch_signing": "es",
            "bucket": state.lake.bucket.bucket_name,
            "topic_arn": kept.pages.topic_arn,
            "dead_letter_queue_url": kept.dead_letters.queue_url,
            "ledger_table": kept.ledger.table_name,
            "pseudonym_key_secret": kept.pseudonym_secret.secret_arn,
            "metrics_port": str(METRICS_PORT),
        },
        {"application": plan.application, "region": plan.region} | chosen,
    )


def _text(value: object) -> str:
    """A setting as an environment variable says it; a list with commas."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _secrets(stack: Any, plan: Plan) -> dict[str, Any]:
    """The archive's keys, which ECS puts into the environment as it starts a task."""
    named = {
        "TILLWATCH_ARCHIVE_KEY": plan.archive_key_secret,
        "TILLWATCH_ARCHIVE_KEYS_OLD": plan.archive_keys_old_secret,
    }
    found = {}
    for variable, arn in named.items():
        if arn is not None:
            name = variable.lower().replace("_", "-")
            secret = stack.node.try_find_child(name) or (
                secrets.Secret.from_secret_complete_arn(stack, name, arn)
            )
            found[variable] = ecs.Secret.from_secrets_manager(secret)
    return found


def _image(stack: Any, plan: Plan) -> Any:
    image = plan.image
    repository = stack.node.try_find_child("image") or (
        ecr.Repository.from_repository_attributes(
            stack,
            "image",
            repository_name=image.repository,
            repository_arn=(
                f"arn:aws:ecr:{image.region}:{image.account}:repository/{image.repository}"
            ),
        )
    )
    return ecs.ContainerImage.from_ecr_repository(repository, image.version.lstrip(":@"))


def _confined(stack: Any, name: str) -> dict[str, Any]:
    """What a container may not: write outside /tmp, gain rights, keep a capability."""
    linux = ecs.LinuxParameters(stack, f"{name}-linux", init_process_enabled=True)
    linux.drop_capabilities(ecs.Capability.ALL)
    return {"readonly_root_filesystem": True, "linux_parameters": linux}


def _temporary(container: Any) -> None:
    container.add_mount_points(
        ecs.MountPoint(
            container_path="/tmp",  # noqa: S108 -- a volume of the task's own
            source_volume="temporary",
            read_only=False,
        )
    )


def _logging(state: State, name: str) -> Any:
    return ecs.LogDrivers.aws_logs(
        log_group=state.kept.log,
        stream_prefix=name,
        mode=ecs.AwsLogDriverMode.NON_BLOCKING,
        max_buffer_size=Size.mebibytes(LOG_BUFFER_MIB),
    )
