"""What runs: the worker as docs/operations.md wants it, and nothing that the world can reach."""

import json
import re
from typing import Any

import pytest
from pydantic import ValidationError

from consumer.settings import Settings
from infra.worker_settings import declared, environment
from tests.infra.conftest import CONTEXT, Stacks

TEMPORARY = "/tmp"  # noqa: S108 -- the containers' own


def containers(stacks: Stacks, family: str) -> dict[str, Any]:
    (task,) = (
        made["Properties"]
        for made in stacks.of("ECS::TaskDefinition", runs=True).values()
        if made["Properties"]["Family"] == f"tillwatch-{family}"
    )
    return {one["Name"]: one for one in task["ContainerDefinitions"]}


def variables(container: Any) -> dict[str, Any]:
    return {one["Name"]: one["Value"] for one in container["Environment"]}


def test_the_worker_gets_settings_and_each_that_is_required(
    stacks: Stacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = containers(stacks, "worker")["worker"]
    given = {name: value for name, value in variables(worker).items() if name[:4] == "TILL"}
    known = {f"TILLWATCH_{name.upper()}" for name in Settings.model_fields}
    assert given.keys() <= known
    assert {secret["Name"] for secret in worker["Secrets"]} <= known
    for name, value in given.items():
        # What is known only when it is deployed stands as JSON here.
        text = value if isinstance(value, str) else "https://made.invalid/when-deployed"
        monkeypatch.setenv(name, text)
    settings = Settings()
    assert settings.lateness_seconds == 1_200
    assert settings.required_fields == ("contact", "lines")
    assert settings.opensearch_signing == "es"
    assert settings.metrics_host == "127.0.0.1"


def test_no_secret_stands_in_a_template(stacks: Stacks) -> None:
    for family in ("worker", "operator"):
        for container in containers(stacks, family).values():
            assert not {
                name for name in variables(container) if re.search("KEYS?_|KEY$|PASS", name)
            } - {"TILLWATCH_PSEUDONYM_KEY_SECRET"}
    secret = containers(stacks, "worker")["worker"]["Secrets"]
    assert secret == [
        {
            "Name": "TILLWATCH_ARCHIVE_KEY",
            "ValueFrom": CONTEXT["tillwatch:archive_key_secret"],
        }
    ]


@pytest.mark.parametrize(
    "name", ["archive_key", "pseudonym_key", "bucket", "shadow", "no_such_setting"]
)
def test_what_is_secret_or_made_by_the_stacks_is_not_chosen(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        declared({name: "some text"})


def test_a_setting_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="not as declared"):
        environment({"steam": "tillwatch"}, {})


def test_the_shell_of_who_deploys_has_no_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TILLWATCH_RETENTION_DAYS", "3")
    assert declared({}).retention_days == Settings.model_fields["retention_days"].default


def test_the_worker_is_stopped_late_enough_and_asked_whether_it_lives(stacks: Stacks) -> None:
    worker = containers(stacks, "worker")["worker"]
    assert worker["StopTimeout"] == 120
    assert worker["StopTimeout"] >= Settings.model_fields["shutdown_seconds_max"].default + 15
    assert "/healthz" in worker["HealthCheck"]["Command"][-1]
    port = variables(worker)["TILLWATCH_METRICS_PORT"]
    assert f"127.0.0.1:{port}/" in worker["HealthCheck"]["Command"][-1]
    assert worker["Command"] == ["tillwatch", "run"]


def test_containers_can_write_nowhere_but_in_tmp(stacks: Stacks) -> None:
    for family in ("worker", "operator"):
        for container in containers(stacks, family).values():
            assert container["ReadonlyRootFilesystem"] is True
            assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
            assert not container.get("Privileged")
            assert not container.get("PortMappings")
            mounts = {mount["ContainerPath"] for mount in container.get("MountPoints", ())}
            assert mounts <= {TEMPORARY}
    assert variables(containers(stacks, "worker")["worker"])["TMPDIR"] == TEMPORARY


def test_one_worker_after_the_other_is_replaced_and_none_has_a_public_address(
    stacks: Stacks,
) -> None:
    service = stacks.only("ECS::Service", runs=True)
    rolling = service["DeploymentConfiguration"]
    assert (service["DesiredCount"], rolling["MinimumHealthyPercent"]) == (2, 50)
    assert rolling["MaximumPercent"] == 100
    assert rolling["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED"
    assert not stacks.of("ElasticLoadBalancingV2::LoadBalancer", runs=True)


def test_logs_go_where_they_are_kept(stacks: Stacks) -> None:
    groups = stacks.of("Logs::LogGroup").values()
    assert {group["Properties"]["RetentionInDays"] for group in groups} == {90, 30}
    for family in ("worker", "operator"):
        for container in containers(stacks, family).values():
            options = container["LogConfiguration"]["Options"]
            assert "log" in json.dumps(options["awslogs-group"])
            # A log that nobody takes holds no worker up.
            assert options["mode"] == "non-blocking"
