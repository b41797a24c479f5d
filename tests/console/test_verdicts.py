"""Verdicts over the console's real server: from the page onto the stream, and from nowhere else."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from events.verdict import Verdict, verdict_of
from local.stack import Stack
from tests.console import scene
from tests.console.server import Console, console

pytestmark = pytest.mark.integration

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Stack:
    stack.renew(shards=1)
    client = stack.search_client()
    scene.put(
        client,
        scored=[scene.transaction("refund-1", type_="REFUND")],
        pages=[scene.page("p-1", ["refund-1"]), scene.page("p-2", ["refund-1"])],
        verdicts=[Verdict("p-2", "shop-001", "cashier", "ok", scene.NOW)],
    )
    client.close()
    return stack


@pytest.fixture(scope="module")
def running(filled: Stack) -> Iterator[Console]:
    assert filled.node is not None
    with console(filled.node.url, settings=filled.environment()) as started:
        yield started


def give(running: Console, said: Any, **headers: str) -> tuple[int, Any]:
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    status, _, answer = running.ask("api/verdict", JSON | named, body)
    return status, json.loads(answer)


def on_the_stream(stack: Stack) -> list[Verdict | None]:
    client = stack.aws.client("kinesis")
    stream = stack.environment()["TILLWATCH_STREAM"]
    found = []
    for shard in client.list_shards(StreamName=stream)["Shards"]:
        start = client.get_shard_iterator(
            StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )["ShardIterator"]
        found += client.get_records(ShardIterator=start)["Records"]
    return [verdict_of(record["Data"]) for record in found]


def test_a_verdict_stands_on_the_stream_when_it_is_acknowledged(
    filled: Stack, running: Console
) -> None:
    before = len(on_the_stream(filled))
    status, answer = give(running, {"page_id": "p-1", "verdict": "fraud", "note": "on camera"})
    assert (status, answer) == (202, {"page_id": "p-1", "verdict": "fraud"})
    *_, said = on_the_stream(filled)
    assert len(on_the_stream(filled)) == before + 1
    assert said is not None
    assert (said.page_id, said.shop_id, said.reason) == ("p-1", "shop-001", "cashier")
    assert (said.finding, said.by, said.note) == ("fraud", "console", "on camera")


@pytest.mark.parametrize(
    ("said", "headers", "status"),
    [
        ({"page_id": "p-1", "verdict": "fraud"}, {"Sec_Fetch_Site": "cross-site"}, 403),
        ({"page_id": "p-1", "verdict": "fraud"}, {"Content_Type": "text/plain"}, 415),
        ({"page_id": "p-1", "verdict": "fraud"}, {"Host": "evil.example"}, 400),
        ({"page_id": "p-1", "verdict": "maybe"}, {}, 400),
        ({"page_id": "p-1"}, {}, 400),
        (b"not json", {}, 400),
        ({"page_id": "p-1", "verdict": "ok", "note": "x" * 5_000}, {}, 413),
        ({"page_id": "p-1", "verdict": "ok", "note": "x" * 501}, {}, 503),
        ({"page_id": "p-none", "verdict": "ok"}, {}, 404),
    ],
)
def test_what_is_no_verdict_of_the_page_is_refused(
    filled: Stack, running: Console, said: Any, headers: dict[str, str], status: int
) -> None:
    before = len(on_the_stream(filled))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = said if isinstance(said, bytes) else json.dumps(said).encode()
    assert running.ask("api/verdict", JSON | named, body)[0] == status
    assert len(on_the_stream(filled)) == before


def test_a_get_gives_no_verdict(running: Console) -> None:
    assert running.ask("api/verdict")[0] == 405


def test_pages_carry_what_was_said_and_the_view_counts_it(running: Console) -> None:
    live = json.loads(running.ask("api/live")[2])
    assert {page["page_id"]: page["verdict"] for page in live["open_pages"]} == {
        "p-1": None,
        "p-2": "ok",
    }
    (cashier,) = live["verdicts"].pop("by_reason")
    assert live["verdicts"] == {"fraud": 0, "ok": 1, "policy": 0, "open": True}
    assert (cashier["reason"], cashier["ok"], cashier["precision"]) == ("cashier", 1, 0.0)


def test_without_a_stream_verdicts_are_refused_in_words(filled: Stack) -> None:
    assert filled.node is not None
    with console(filled.node.url) as started:
        assert json.loads(started.ask("api/live")[2])["verdicts"]["open"] is False
        status, answer = give(started, {"page_id": "p-1", "verdict": "ok"})
    assert status == 503
    assert "no stream" in answer["error"]
