"""Who may do what: enough for what the product does, and no more."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

from events.instant import HOUR
from sinks.memory import MemoryObjectStore
from sinks.page_rows import PAGES, VERDICTS
from tests.consumer.world import World, day_of_trade, run_through
from tests.infra.conftest import ACCOUNT, Stacks

NOTHING_NARROWER = {
    # The namespace narrows it: see below.
    "cloudwatch:PutMetricData",
    # A token for the registry as a whole: the repository is narrowed in the statement beside it.
    "ecr:GetAuthorizationToken",
}


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(stacks: Stacks, role: str, *, runs: bool = False) -> Iterator[dict[str, Any]]:
    """What is allowed to the role whose logical id begins with `role`; "" is all roles."""
    for policy in stacks.of("IAM::Policy", runs=runs).values():
        if any(one["Ref"].startswith(role) for one in policy["Properties"]["Roles"]):
            yield from policy["Properties"]["PolicyDocument"]["Statement"]


def everybody(stacks: Stacks) -> list[dict[str, Any]]:
    found = [*statements(stacks, ""), *statements(stacks, "", runs=True)]
    for policy in stacks.of("IAM::ManagedPolicy").values():
        found += policy["Properties"]["PolicyDocument"]["Statement"]
    return found


def path(resource: Any) -> str:
    """What of an ARN is known while templates are made: of an object, its key."""
    text = resource if isinstance(resource, str) else json.dumps(resource)
    return text.split('"/', 1)[1].split('"', 1)[0] if '"/' in text else text


def may(stacks: Stacks, role: str, action: str, key: str, *, runs: bool = False) -> bool:
    """Whether a role may do `action` to the object `key` of the lake."""
    return any(
        action in listed(statement["Action"])
        and any(
            "lake" in json.dumps(resource) and fnmatchcase(key, path(resource))
            for resource in listed(statement["Resource"])
        )
        for statement in statements(stacks, role, runs=runs)
    )


def test_nothing_is_allowed_on_everything_where_something_narrower_exists(stacks: Stacks) -> None:
    found = everybody(stacks)
    assert len(found) > 20
    for statement in found:
        actions = listed(statement["Action"])
        assert statement["Effect"] == "Allow"
        assert not [action for action in actions if "*" in action], statement
        if "*" in listed(statement["Resource"]):
            assert set(actions) <= NOTHING_NARROWER, statement
    metrics = [one for one in found if one["Action"] == "cloudwatch:PutMetricData"]
    assert metrics
    for one in metrics:
        assert one["Condition"] == {"StringEquals": {"cloudwatch:namespace": "tillwatch"}}


def test_nobody_may_touch_what_is_kept_as_a_whole(stacks: Stacks) -> None:
    given = {action for one in everybody(stacks) for action in listed(one["Action"])}
    for service in ("iam:", "kms:Schedule", "kms:Put", "s3:DeleteBucket", "kinesis:Delete"):
        assert not [action for action in given if action.startswith(service)]
    assert "dynamodb:DeleteTable" not in given
    assert "secretsmanager:PutSecretValue" not in given


def test_the_worker_reads_no_letter_and_no_raw_record_and_deletes_nothing_that_is_published(
    stacks: Stacks,
) -> None:
    for prefix in ("processed", "compacted/days", "pages", "verdicts", "archive/tillwatch"):
        assert not may(stacks, "worker", "s3:DeleteObject", f"{prefix}/some"), prefix
    for prefix in ("archive/tillwatch", "dead-letters", "processed", "pages"):
        assert not may(stacks, "worker", "s3:GetObject", f"{prefix}/some"), prefix
    assert not may(stacks, "worker", "s3:PutObject", "compacted/some")
    assert not may(stacks, "worker", "s3:PutObject", "snapshots/another/some")
    given = {action for one in statements(stacks, "worker") for action in listed(one["Action"])}
    assert not {name for name in given if name.startswith("sqs:")} - {"sqs:SendMessage"}
    assert not {name for name in given if name.startswith("kinesis:Put")}


class Recorded(MemoryObjectStore):
    """Notes which right every call needs, on which key."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: set[tuple[str, str]] = set()

    def note(self, action: str, key: str) -> None:
        # A service stages under its application's name, tests without.
        self.asked.add((action, key.replace("staging/", "staging/tillwatch/", 1)))

    def put(self, key: str, body: bytes) -> None:
        self.note("s3:PutObject", key)
        super().put(key, body)

    def get(self, key: str) -> bytes:
        self.note("s3:GetObject", key)
        return super().get(key)

    def delete(self, key: str) -> None:
        self.note("s3:DeleteObject", key)
        super().delete(key)

    def tagged(self, key: str) -> tuple[bytes, str] | None:
        self.note("s3:GetObject", key)
        return super().tagged(key)


def test_the_worker_may_do_all_that_a_shard_does_in_the_bucket(stacks: Stacks) -> None:
    store = Recorded()
    world = World(store=store, history_period=HOUR, history_kept=HOUR)
    records = day_of_trade(400)
    run_through(world, records[:300])
    run_through(world, records)  # it begins with a checkpoint, and hours to publish
    kinds = {(action, key.split("/")[0]) for action, key in store.asked}
    assert {
        ("s3:PutObject", "processed"),
        ("s3:DeleteObject", "staging"),
        ("s3:DeleteObject", "snapshots"),
        ("s3:DeleteObject", "history"),
        ("s3:GetObject", "staging"),
        ("s3:GetObject", "snapshots"),
    } <= kinds
    for action, key in sorted(store.asked):
        assert may(stacks, "worker", action, key), (action, key)


def test_pages_and_verdicts_are_written_where_the_worker_may(stacks: Stacks) -> None:
    for prefix in (PAGES, VERDICTS, "archive/tillwatch/", "dead-letters/", "processed/"):
        assert may(stacks, "worker", "s3:PutObject", f"{prefix}some/file"), prefix


def test_kcl_may_make_its_tables_and_no_others(stacks: Stacks) -> None:
    (made,) = (
        one
        for one in statements(stacks, "worker")
        if "dynamodb:CreateTable" in listed(one["Action"])
    )
    tables = {resource.split("/")[1] for resource in made["Resource"]}
    assert tables == {"tillwatch", "tillwatch-CoordinatorState", "tillwatch-WorkerMetricStats"}
    assert all(f"eu-west-1:{ACCOUNT}:" in resource for resource in made["Resource"])


def test_who_sends_may_send_and_nothing_else(stacks: Stacks) -> None:
    (policy,) = stacks.of("IAM::ManagedPolicy").values()
    given = {
        action
        for one in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in listed(one["Action"])
    }
    assert given == {"kinesis:PutRecord", "kinesis:PutRecords", "kms:GenerateDataKey"}


def test_roles_are_taken_by_tasks_of_this_account_alone(stacks: Stacks) -> None:
    for role in stacks.of("IAM::Role").values():
        (statement,) = role["Properties"]["AssumeRolePolicyDocument"]["Statement"]
        assert statement["Principal"] == {"Service": "ecs-tasks.amazonaws.com"}
        assert statement["Condition"] == {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
