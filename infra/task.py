"""What every task of the worker's image has: its size, settings, image, confinement and log."""

from typing import Any, Final

from aws_cdk import Duration, Size
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secrets

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
HEALTH = (
    "import urllib.request as u; "
    f"u.urlopen('http://127.0.0.1:{METRICS_PORT}/healthz', timeout=5).read()"
)
AMBIENT: Final = {
    # Addresses by account lie behind no gateway endpoint for certain; the ordinary ones do.
    "AWS_ACCOUNT_ID_ENDPOINT_MODE": "disabled",
    "PYTHONDONTWRITEBYTECODE": "1",
    # A socket's path lies in it: docs/operations.md, "Start, stop, upgrade".
    "TMPDIR": "/tmp",  # noqa: S108 -- a volume of the task's own
}


def definition(stack: Any, name: str, plan: Plan, role: Any, *, family: str = "worker") -> Any:
    """A task of the worker's size, with the rights of `role`."""
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


def runner(
    task: Any,
    name: str,
    *,
    image: Any,
    command: list[str],
    environment: dict[str, str],
    secrets: dict[str, Any],
    logging: Any,
) -> None:
    """A container of `tillwatch run` in `task`: asked whether it lives, and stopped late enough."""
    made = task.add_container(
        name,
        image=image,
        essential=True,
        command=command,
        environment={**AMBIENT, **environment},
        secrets=secrets,
        health_check=ecs.HealthCheck(
            command=["CMD", "python", "-c", HEALTH],
            interval=Duration.seconds(30),
            timeout=Duration.seconds(10),
            retries=3,
            start_period=Duration.seconds(HEALTH_START_SECONDS),
        ),
        stop_timeout=Duration.seconds(STOP_SECONDS),
        logging=logging,
        **confined(task, name),
    )
    temporary(made)


def variables(plan: Plan, state: State) -> dict[str, str]:
    """The worker's settings, as what was made and what somebody chose give them."""
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


def secret_variables(stack: Any, plan: Plan) -> dict[str, Any]:
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


def image_of(stack: Any, plan: Plan) -> Any:
    """The worker's image."""
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


def confined(stack: Any, name: str) -> dict[str, Any]:
    """What a container may not: write outside /tmp, gain rights, keep a capability."""
    linux = ecs.LinuxParameters(stack, f"{name}-linux", init_process_enabled=True)
    linux.drop_capabilities(ecs.Capability.ALL)
    return {"readonly_root_filesystem": True, "linux_parameters": linux}


def temporary(container: Any) -> None:
    """Let `container` write below /tmp."""
    container.add_mount_points(
        ecs.MountPoint(
            container_path="/tmp",  # noqa: S108 -- a volume of the task's own
            source_volume="temporary",
            read_only=False,
        )
    )


def logging(group: Any, name: str) -> Any:
    """Lines into the log group `group`; a log that nobody takes holds nobody up."""
    return ecs.LogDrivers.aws_logs(
        log_group=group,
        stream_prefix=name,
        mode=ecs.AwsLogDriverMode.NON_BLOCKING,
        max_buffer_size=Size.mebibytes(LOG_BUFFER_MIB),
    )


def service(
    stack: Any,
    construct_id: str,
    name: str,
    *,
    cluster: Any,
    task: Any,
    state: State,
    tasks: int,
) -> Any:
    """A service of so many `tasks`, inside the network.

    A new version takes their places one after the other, and never one more runs: the others hold
    its shards meanwhile.
    """
    return ecs.FargateService(
        stack,
        construct_id,
        service_name=name,
        cluster=cluster,
        task_definition=task,
        desired_count=tasks,
        min_healthy_percent=100 * (tasks - 1) // tasks,
        max_healthy_percent=100,
        circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=True),
        assign_public_ip=False,
        vpc_subnets=state.network.inside,
        security_groups=[state.network.workers],
        propagate_tags=ecs.PropagatedTagSource.SERVICE,
    )
