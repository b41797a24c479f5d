"""A shadow beside the workers: enough for what it does, and nothing that anybody is told by."""

import json
from fnmatch import fnmatchcase
from typing import Any

import pytest

from consumer.settings import Settings
from events.instant import HOUR
from infra.plan import PlanError, read
from sinks.shadow_notes import folder_of
from tests.consumer.shadow_world import DATA, NAME, ShadowWorld
from tests.consumer.world import APPLICATION, World, as_records, deliver, run_through
from tests.infra.conftest import CONTEXT, SHADOW, Stacks
from tests.infra.test_rights import Recorded, listed, may, path, statements
from tests.infra.test_runs import containers, variables

OWN = f"{APPLICATION}-shadow-{NAME}"


def of_role(stacks: Stacks, action: str, key: str) -> bool:
    return may(stacks, role(stacks), action, key, runs=True)


def role(stacks: Stacks) -> str:
    """Logical id of the role that the shadow itself has, and not what starts its task."""
    (task,) = (
        made["Properties"]
        for made in stacks.of("ECS::TaskDefinition", runs=True).values()
        if made["Properties"]["Family"] == "tillwatch-shadow"
    )
    found: str = task["TaskRoleArn"]["Fn::GetAtt"][0]
    return found


def rights(stacks: Stacks) -> list[dict[str, Any]]:
    return list(statements(stacks, role(stacks), runs=True))


def test_it_may_do_all_that_a_shadow_does_in_the_bucket(beside: Stacks) -> None:
    live = World(store=Recorded(), history_period=HOUR, history_kept=HOUR)
    deliver(live, as_records(DATA[:200]))
    store = live.store
    assert isinstance(store, Recorded)
    store.asked.clear()
    shadow = ShadowWorld(live=live)
    deliver(shadow, as_records(DATA[:300]))
    run_through(shadow, DATA)
    folders = {(action, "/".join(key.split("/")[:2])) for action, key in store.asked}
    assert {
        ("s3:PutObject", f"shadow/{APPLICATION}"),
        ("s3:PutObject", f"snapshots/{OWN}"),
        ("s3:DeleteObject", f"snapshots/{OWN}"),
        ("s3:GetObject", f"history/{APPLICATION}"),
    } <= folders
    for action, key in sorted(store.asked):
        assert of_role(beside, action, key), (action, key)


def test_it_writes_where_nobody_else_does_and_tells_nobody(beside: Stacks) -> None:
    mine = (folder_of(APPLICATION, NAME), f"snapshots/{OWN}/")
    for key in (
        *(f"{name}/some/file" for name in ("processed", "pages", "verdicts", "dead-letters")),
        *(f"{name}/{APPLICATION}/some" for name in ("snapshots", "history", "staging", "archive")),
        folder_of(APPLICATION, "another") + "some",
        folder_of("another", NAME) + "some",
        f"snapshots/{OWN}er/some",
    ):
        for action in ("s3:PutObject", "s3:DeleteObject"):
            assert not of_role(beside, action, key), (action, key)
    for statement in rights(beside):
        if set(listed(statement["Action"])) & {"s3:PutObject", "s3:DeleteObject"}:
            keys = [path(resource) for resource in listed(statement["Resource"])]
            assert all(key.startswith(mine) for key in keys)
    services = {action.split(":")[0] for one in rights(beside) for action in listed(one["Action"])}
    assert services == {"s3", "dynamodb", "kinesis", "kms", "secretsmanager", "cloudwatch"}


def test_it_makes_tables_of_its_own_and_takes_no_fence_of_the_workers(beside: Stacks) -> None:
    tables = {
        resource.split("/")[1]
        for one in rights(beside)
        if "dynamodb:CreateTable" in listed(one["Action"])
        for resource in one["Resource"]
    }
    assert tables == {OWN, f"{OWN}-CoordinatorState", f"{OWN}-WorkerMetricStats"}
    fences = [one for one in rights(beside) if "LeadingKeys" in json.dumps(one)]
    assert len(fences) == 2

    def reach(action: str, key: str) -> bool:
        return any(
            action in listed(one["Action"])
            and any(
                fnmatchcase(key, pattern)
                for pattern in listed(
                    one["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"]
                )
            )
            for one in fences
        )

    for action in ("dynamodb:GetItem", "dynamodb:UpdateItem"):
        assert reach(action, f"fence#{OWN}#shardId-0")
    assert reach("dynamodb:GetItem", f"fence#{APPLICATION}#shardId-0")
    assert not reach("dynamodb:UpdateItem", f"fence#{APPLICATION}#shardId-0")
    ledgers = [
        one
        for one in rights(beside)
        if "Ledger" in json.dumps(one["Resource"]) or "ledger" in json.dumps(one["Resource"])
    ]
    assert ledgers == fences


def test_its_task_is_a_shadow_with_the_candidates_file(
    beside: Stacks, monkeypatch: pytest.MonkeyPatch
) -> None:
    ((_, container),) = containers(beside, "shadow").items()
    environment = variables(container)
    assert environment["TILLWATCH_SHADOW"] == NAME
    assert "Secrets" not in container
    for name, value in environment.items():
        if name in {f"TILLWATCH_{one.upper()}" for one in Settings.model_fields}:
            text = value if isinstance(value, str) else "https://made.invalid/when-deployed"
            monkeypatch.setenv(name, text)
    monkeypatch.delenv("TILLWATCH_DETECTOR_FILE")  # it is there when the task has begun
    assert Settings().own_application == OWN
    python, minus_c, program = container["Command"]
    assert (python, minus_c) == ("python", "-c")
    said: list[list[str]] = []
    wrote: dict[str, str] = {}
    monkeypatch.setenv("TILLWATCH_SHADOW_DETECTOR", environment["TILLWATCH_SHADOW_DETECTOR"])
    monkeypatch.setattr("os.execvp", lambda _, command: said.append(command))
    monkeypatch.setattr(
        "pathlib.Path.write_text", lambda self, text: wrote.update({str(self): text})
    )
    exec(program, {})  # noqa: S102 -- our own, as the container runs it
    assert said == [["tillwatch", "run"]]
    assert wrote == {environment["TILLWATCH_DETECTOR_FILE"]: SHADOW["tillwatch:shadow_detector"]}


def test_there_is_one_of_it_and_its_log_wakes_nobody(beside: Stacks, stacks: Stacks) -> None:
    services = {
        made["Properties"]["ServiceName"]: made["Properties"]
        for made in beside.of("ECS::Service", runs=True).values()
    }
    assert services.keys() == {"tillwatch", "tillwatch-shadow"}
    shadow = services["tillwatch-shadow"]
    assert shadow["DesiredCount"] == 1
    assert shadow["DeploymentConfiguration"]["MaximumPercent"] == 100
    group = beside.only("Logs::LogGroup", runs=True)
    assert group["LogGroupName"] == "/tillwatch/tillwatch/shadow"
    assert "KmsKeyId" in group
    for filtered in beside.of("Logs::MetricFilter", runs=True).values():
        assert "shadow" not in json.dumps(filtered["Properties"]["LogGroupName"])
    without = set(stacks.runs["Resources"])
    assert without < beside.runs["Resources"].keys()
    assert not [name for name in without if "shadow" in name]


def test_it_comes_and_goes_without_a_change_of_what_is_kept(beside: Stacks, stacks: Stacks) -> None:
    assert beside.kept == stacks.kept


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"tillwatch:shadow": "bold"}, "go together"),
        ({"tillwatch:shadow_detector": "{}"}, "go together"),
        (SHADOW | {"tillwatch:shadow": "../pages"}, "small letters"),
        (SHADOW | {"tillwatch:shadow_detector": "[]"}, "a JSON object"),
    ],
)
def test_a_shadow_that_cannot_run_is_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(PlanError, match=said):
        read(CONTEXT | values)
