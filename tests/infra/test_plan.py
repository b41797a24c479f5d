"""What a deployment is made after is read and checked at once, and told in docs/infra.md."""

import re
from pathlib import Path

import pytest

from infra.plan import KNOWN, ON_DEMAND, PREFIX, PlanError, read
from tests.infra.conftest import CONTEXT, synthesize

DOCS = Path(__file__).parent.parent.parent / "docs"


def test_the_values_are_those_of_the_document() -> None:
    text = (DOCS / "infra.md").read_text()
    rows = dict(re.findall(r"^\| `tillwatch:(\w+)` \| (.+) \|$", text, re.MULTILINE))
    assert rows.keys() == KNOWN.keys()
    for name, (_, default, meaning) in KNOWN.items():
        said = {None: "required", "": "none"}.get(default, f"`{default}`")
        assert rows[name].startswith(meaning), name
        if name != "zones":
            assert rows[name].endswith(f"| {said}"), name


def test_a_plan_has_what_nobody_chose_too() -> None:
    plan = read(CONTEXT)
    assert (plan.application, plan.region, plan.shards, plan.workers) == (
        "tillwatch",
        "eu-west-1",
        2,
        2,
    )
    assert plan.zones == ("eu-west-1a", "eu-west-1b", "eu-west-1c")
    assert plan.page_emails == ("loss@example.com", "area@example.com")
    assert plan.image.repository == "tillwatch"
    on_demand = read(CONTEXT | {f"{PREFIX}shards": ON_DEMAND})
    assert (on_demand.shards, on_demand.shards_min) == (None, 4)


def test_other_programs_context_is_passed_over() -> None:
    assert read(CONTEXT | {"@aws-cdk/core:something": True}) == read(CONTEXT)


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(PlanError) as told:
        read(
            {
                "tillwatch:account": "12",
                "tillwatch:image": "docker.io/tillwatch",
                "tillwatch:shardz": "2",
                "tillwatch:search_nodes": "2",
                "tillwatch:setting.retention_days": "0",
                "tillwatch:setting.no_such": "1",
            }
        )
    faults = str(told.value).splitlines()
    assert [line.split(": ")[0] for line in faults] == [
        "tillwatch:account",
        "tillwatch:image",
        "tillwatch:search_nodes",
        "tillwatch:setting.no_such",
        "tillwatch:setting.retention_days",
        "tillwatch:shardz",
    ]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("shards", "many"),
        ("workers", "0"),
        ("worker_mib", "4000"),
        ("zones", "eu-west-1a"),
        ("search_nodes", "4"),
        ("archive_key_secret", "the key itself, by mistake"),
    ],
)
def test_a_wrong_value_is_refused_by_name(name: str, text: str) -> None:
    with pytest.raises(PlanError, match=name) as told:
        read(CONTEXT | {f"{PREFIX}{name}": text})
    assert "by mistake" not in str(told.value)


def test_a_secret_in_the_context_is_refused_and_not_repeated() -> None:
    with pytest.raises(PlanError, match="archive_key") as told:
        read(CONTEXT | {"tillwatch:setting.archive_key": "c2VjcmV0"})
    assert "c2VjcmV0" not in str(told.value)


def test_who_deploys_is_told_in_words(tmp_path: Path) -> None:
    done = synthesize(CONTEXT | {"tillwatch:workers": "none"}, tmp_path)
    assert done.returncode == 1
    assert "tillwatch:workers: it must be a number" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
