"""Snoozes over the console's real server; what the command line reads of them and of verdicts."""

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from consumer.cli import main
from events.instant import DAY, HOUR, WEEK, to_iso
from events.page import Entity
from events.suppression import Lift, Suppression, suppression, suppression_of
from events.verdict import Verdict
from local.stack import Stack
from tests.console import scene
from tests.console.server import Console, console

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}
HOLDS = suppression("shop-001", scene.NOW + DAY, given_at=scene.NOW - HOUR, reason="cashier")
OTHERS = suppression(
    "shop-001", scene.NOW + WEEK, given_at=scene.NOW - HOUR, entity=Entity("card", "k-1"), by="ann"
)
OVER = suppression("shop-001", scene.NOW - 1_000, given_at=scene.NOW - 2 * HOUR)
LIFTED = suppression("shop-002", scene.NOW + DAY, given_at=scene.NOW - 2 * HOUR)


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Stack:
    stack.renew(shards=1)
    client = stack.search_client()
    other = scene.page("p-2", ["refund-1"], shop_id="shop-002", entity=("shop", "shop-002"))
    scene.put(
        client,
        scored=[scene.transaction("refund-1", type_="REFUND")],
        pages=[
            msgspec.structs.replace(
                scene.page("p-1", ["refund-1"]), suppressed_by=HOLDS.rule_id, reason="cashier"
            ),
            other,
            msgspec.structs.replace(other, page_id="p-3", reason="volume", status="closed"),
        ],
        verdicts=[
            Verdict("p-1", "shop-001", "cashier", "fraud", scene.NOW),
            Verdict("p-3", "shop-002", "volume", "ok", scene.NOW),
        ],
        suppressions=[
            HOLDS,
            OTHERS,
            OVER,
            LIFTED,
            Lift(LIFTED.rule_id, LIFTED.shop_id, scene.NOW - HOUR),
        ],
    )
    client.close()
    return stack


@pytest.fixture(scope="module")
def running(filled: Stack) -> Iterator[Console]:
    assert filled.node is not None
    with console(filled.node.url, settings=filled.environment()) as started:
        yield started


def snooze(running: Console, said: Any, **headers: str) -> tuple[int, Any]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, answer = running.ask("api/suppress", JSON | named, json.dumps(said).encode())
    return status, json.loads(answer)


def on_the_stream(stack: Stack) -> list[Suppression | Lift | None]:
    client = stack.aws.client("kinesis")
    stream = stack.environment()["TILLWATCH_STREAM"]
    (shard,) = client.list_shards(StreamName=stream)["Shards"]
    start = client.get_shard_iterator(
        StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = client.get_records(ShardIterator=start)["Records"]
    return [suppression_of(record["Data"]) for record in records]


@pytest.fixture
def command(filled: Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    for name, value in filled.environment().items():
        monkeypatch.setenv(name, value)

    def run(*arguments: str) -> Result:
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == 0, result.output
        return result

    return run


def test_pages_say_which_rule_holds_now_and_which_kept_them_back(running: Console) -> None:
    live = json.loads(running.ask("api/live")[2])
    pages = {page["page_id"]: page for page in (*live["open_pages"], *live["closed_pages"])}
    assert pages["p-1"]["suppressed_by"] == HOLDS.rule_id
    assert pages["p-1"]["snoozed"] == {
        "rule_id": HOLDS.rule_id,
        "until": to_iso(HOLDS.until),
        "by": None,
        "note": None,
    }
    assert pages["p-2"]["snoozed"] is None, "its rule was lifted"


def test_a_snooze_stands_on_the_stream_when_it_is_acknowledged(
    filled: Stack, running: Console
) -> None:
    status, answer = snooze(running, {"page_id": "p-2", "span": "day", "note": "stocktaking"})
    assert status == 202
    *_, rule = on_the_stream(filled)
    assert isinstance(rule, Suppression)
    assert answer == {
        "page_id": "p-2",
        "rule_id": rule.rule_id,
        "until": to_iso(scene.NOW + DAY),
    }
    assert (rule.shop_id, rule.entity, rule.reason) == (
        "shop-002",
        Entity("shop", "shop-002"),
        "cashier",
    )
    assert (rule.until, rule.by, rule.note) == (scene.NOW + DAY, "console", "stocktaking")
    status, answer = snooze(running, {"page_id": "p-2", "lift": rule.rule_id})
    assert (status, answer) == (202, {"page_id": "p-2", "lifted": rule.rule_id})
    *_, lift = on_the_stream(filled)
    assert isinstance(lift, Lift)
    assert (lift.rule_id, lift.shop_id) == (rule.rule_id, "shop-002")


@pytest.mark.parametrize(
    ("said", "headers", "status"),
    [
        ({"page_id": "p-1", "span": "day"}, {"Sec_Fetch_Site": "cross-site"}, 403),
        ({"page_id": "p-1", "span": "day"}, {"Content_Type": "text/plain"}, 415),
        ({"page_id": "p-1", "span": "year"}, {}, 400),
        ({"page_id": "p-1"}, {}, 400),
        ({"page_id": "p-1", "span": "day", "lift": "s-1"}, {}, 400),
        ({"page_id": "p-1", "lift": ""}, {}, 503),
        ({"page_id": "p-1", "span": "day", "note": "x" * 5_000}, {}, 413),
        ({"page_id": "p-none", "span": "day"}, {}, 404),
    ],
)
def test_what_is_no_snooze_of_the_page_is_refused(
    filled: Stack, running: Console, said: Any, headers: dict[str, str], status: int
) -> None:
    before = len(on_the_stream(filled))
    assert snooze(running, said, **headers)[0] == status
    assert len(on_the_stream(filled)) == before


def test_a_page_is_found_by_its_id_open_or_not(running: Console) -> None:
    page = json.loads(running.ask("api/page?page_id=p-3")[2])
    assert (page["status"], page["verdict"], page["snoozed"]) == ("closed", "ok", None)
    assert json.loads(running.ask("api/page?page_id=p-1")[2])["snoozed"] is not None
    assert running.ask("api/page?page_id=p-none")[0] == 404
    assert running.ask("api/page")[0] == 400


def test_the_command_lists_the_rules_that_hold(command: Any) -> None:
    lines = command("suppress", "list").stdout.splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted([HOLDS.rule_id, OTHERS.rule_id])
    (about_card,) = (line for line in lines if line.startswith(OTHERS.rule_id))
    assert "shop-001  card k-1  any reason" in about_card
    assert about_card.endswith("2026-03-09T16:40:30.000Z  by ann")
    every = command("suppress", "list", "--all").stdout
    assert len(every.splitlines()) == 4
    assert ", lifted" in every
    assert command("suppress", "list", "--shop", "shop-002").stdout == ""


def test_the_command_snoozes_a_page_and_finds_a_rule_s_shop(filled: Stack, command: Any) -> None:
    command("suppress", "--page", "p-1", "--for", "12h", "--by", "ann")
    *_, rule = on_the_stream(filled)
    assert isinstance(rule, Suppression)
    assert (rule.shop_id, rule.entity, rule.reason) == (
        "shop-001",
        Entity("cashier", "c-1"),
        "cashier",
    )
    command("suppress", "--lift", OTHERS.rule_id)
    *_, lift = on_the_stream(filled)
    assert isinstance(lift, Lift)
    assert (lift.rule_id, lift.shop_id) == (OTHERS.rule_id, "shop-001")


def test_the_command_tells_precision_by_reason(command: Any) -> None:
    lines = command("verdicts", "--json").stdout.splitlines()
    told = {one["reason"]: one for one in map(json.loads, lines)}
    assert (told["cashier"]["pages"], told["cashier"]["precision"]) == (2, 1.0)
    assert (told["volume"]["pages"], told["volume"]["precision"]) == (1, 0.0)
    table = command("verdicts", "--since", "2026-03-02").stdout.splitlines()
    assert table[0].split()[:3] == ["reason", "pages", "judged"]
    assert table[-1].split() == ["all", "3", "2", "1", "1", "0", "50%", "12%", "to", "88%"]
    assert command("verdicts", "--shop", "shop-009").stdout.splitlines()[1:] == [
        command("verdicts", "--since", "2027-01-01").stdout.splitlines()[-1]
    ]
