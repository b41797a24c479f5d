"""The live view's server over a real OpenSearch node: what was put is what is served."""

import http.client
import json
import subprocess
import time
import urllib.parse
from collections.abc import Iterator
from typing import Any

import pytest

from console.headers import HEADERS
from events.instant import DAY, HOUR, MINUTE, SECOND
from local.stack import Stack
from tests.console import scene
from tests.console.server import COMMAND, Console, Relay, console
from tests.local.listening import listening

pytestmark = pytest.mark.integration


def get(running: Console, path: str, headers: dict[str, str] | None = None) -> tuple[int, Any]:
    status, answered, body = running.ask(path, headers)
    return status, json.loads(body) if "json" in answered["Content-Type"] else body.decode()


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Stack:
    stack.renew()
    client = stack.search_client()
    since = scene.NOW - scene.NOW % MINUTE - 3 * HOUR
    bursts = [
        scene.transaction(
            f"refund-{number}",
            type_="REFUND",
            at=scene.NOW - number * SECOND,
            total=10_050 + number,
            score=0.9 - number / 100,
            original="t-1" if number else None,
        )
        for number in range(3)
    ]
    scene.put(
        client,
        scored=[
            *scene.sales_and_refunds("shop-001", sales=95, refunds=5, until=since - HOUR),
            *scene.sales_and_refunds("shop-001", sales=6, refunds=0, until=scene.NOW - MINUTE),
            *scene.sales_and_refunds("shop-002", sales=3, refunds=1, until=scene.NOW - HOUR),
            scene.transaction("void-1", type_="VOID", at=since),
            scene.transaction("early", at=since - 1_000),
            scene.transaction("yen", type_="REFUND", at=since, total=5_000, currency="JPY"),
            scene.transaction("clock-runs-ahead", at=scene.NOW + DAY // 2),
            *bursts,
        ],
        pages=[
            scene.page("p-low", ["refund-2"], severity=1),
            scene.page("p-high", ["refund-0", "gone", "refund-1"], severity=4),
            scene.page("p-done", ["refund-1"], status="closed", revision=3),
            scene.page("p-reopened?/&<", ["refund-1"], severity=2, revision=1, status="updated"),
        ],
        rejections=[
            scene.rejection("not_json", field=None, arrived_at=scene.NOW - HOUR),
            scene.rejection("amount_not_positive", arrived_at=scene.NOW),
        ],
    )
    scene.put(client, shard_id="shardId-000000000001", behind_millis=None)
    client.close()
    return stack


@pytest.fixture(scope="module")
def running(filled: Stack) -> Iterator[Console]:
    assert filled.node is not None
    with console(filled.node.url) as started:
        yield started


def test_the_window_holds_what_was_put_into_it(running: Console) -> None:
    status, live = get(running, "api/live?window=3h")
    assert status == 200
    assert live["now"] == "2026-03-02T16:40:30.000Z"
    assert live["since"] == "2026-03-02T13:40:00.000Z"
    assert live["ahead"] == 1
    assert live["complete"]
    totals = live["totals"]
    assert (totals["transactions"], totals["sales"]) == (15, 9)
    assert (totals["refunds"], totals["voids"], totals["shops"]) == (5, 1, 2)
    amounts = {amount["currency"]: amount["amount"] for amount in totals["refunded"]}
    assert amounts == {"GBP": 100.50 + 100.51 + 100.52 + 19.99, "JPY": 5000.0}
    assert totals["refund_rate"] == 5 / 14
    assert totals["normal_rate"] == 5 / 101
    assert live["indexed"] == 117


def test_rates_add_up_to_the_whole_minutes_of_the_window(running: Console) -> None:
    rates = get(running, "api/live?window=3h")[1]["rates"]
    assert rates["bucket_seconds"] == 60
    assert len(rates["at"]) == 180
    assert sum(rates["transactions"]) == 12, "three refunds lie in the minute under way"
    assert sum(rates["refunds"]) == 2


@pytest.mark.parametrize("window", ["24h", "7d"])
def test_longer_windows_hold_more(running: Console, window: str) -> None:
    live = get(running, f"api/live?window={window}")[1]
    assert live["totals"]["transactions"] == 116
    assert live["window"] == window


def test_shops_against_their_normal(running: Console) -> None:
    shops = {shop["shop_id"]: shop for shop in get(running, "api/live")[1]["shops"]}
    first = shops["shop-001"]
    assert (first["sales"], first["refunds"], first["rate"]) == (6, 4, 0.4)
    assert first["normal"] == 5 / 101
    assert first["deviation"] > 3
    assert shops["shop-002"]["normal"] is None
    assert shops["shop-002"]["rate"] == 0.25


def test_pages_gravest_first_closed_apart(running: Console) -> None:
    live = get(running, "api/live")[1]
    assert [page["page_id"] for page in live["open_pages"]] == ["p-high", "p-reopened?/&<", "p-low"]
    assert (live["open_total"], live["closed_total"]) == (3, 1)
    assert [page["page_id"] for page in live["closed_pages"]] == ["p-done"]
    assert live["open_pages"][0]["refunded"] == {"currency": "GBP", "amount": 1234.5}
    assert live["open_pages"][0]["entity_kind"] == "cashier"


def test_rejections_and_lag(running: Console) -> None:
    live = get(running, "api/live")[1]
    assert [row["reason"] for row in live["rejections"]] == ["amount_not_positive", "not_json"]
    assert live["rejections_total"] == 2
    assert live["rejections"][0]["position"].startswith("shardId-000000000000-")
    lags = {shard["shard_id"]: shard["behind_millis"] for shard in live["shards"]}
    assert lags == {"shardId-000000000000": 1_200, "shardId-000000000001": None}
    assert live["shards"][0]["written_at"] == "2026-03-02T16:41:00.000Z"


def test_evidence_is_the_transactions_worst_first(running: Console) -> None:
    status, evidence = get(running, "api/evidence?page_id=p-high")
    assert status == 200
    first, gone, second = evidence["transactions"]
    assert (first["transaction_id"], gone["transaction_id"]) == ("refund-0", "gone")
    assert second["transaction_id"] == "refund-1"
    assert (first["found"], gone["found"]) == (True, False)
    assert first["total"] == {"currency": "GBP", "amount": 100.5}
    assert first["score"] == 0.9
    assert first["original_transaction_id"] is None
    assert second["original_transaction_id"] == "t-1"
    odd = urllib.parse.quote("p-reopened?/&<")
    assert get(running, f"api/evidence?page_id={odd}")[0] == 200


def test_wrong_questions_get_an_answer(running: Console) -> None:
    assert get(running, "api/live?window=1y")[0] == 400
    assert get(running, "api/evidence?page_id=nobody")[0] == 404
    assert get(running, "api/evidence")[0] == 400
    assert get(running, f"api/evidence?page_id={'x' * 300}")[0] == 400
    assert get(running, "static/../app.py")[0] == 404
    assert get(running, "static/%2e%2e/app.py")[0] == 404
    assert get(running, "", {"Host": "evil.example"})[0] == 400, "DNS that points here"


def test_every_answer_carries_the_policy(running: Console) -> None:
    for path in ("", "api/live", "static/live.js", "healthz"):
        status, headers, _ = running.ask(path)
        assert status == 200
        for name, value in HEADERS.items():
            assert headers[name] == value, path
        assert headers["Cache-Control"] in {"no-cache", "no-store"}
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'")


def test_it_listens_on_loopback_alone(running: Console) -> None:
    assert running.address.startswith("http://127.0.0.1:")
    assert listening(running.process.pid) == {"127.0.0.1"}


def test_opensearch_goes_and_comes_back(filled: Stack) -> None:
    assert filled.node is not None
    with Relay(filled.node.url) as relay, console(relay.url) as running:
        assert get(running, "api/live")[0] == 200
        relay.close()
        status, said = eventually(running, 503)
        assert "OpenSearch does not answer" in said["error"]
        assert relay.url.rpartition(":")[2] not in said["error"], "the address is nobody's business"
        assert get(running, "api/evidence?page_id=p-low")[0] == 503
        assert get(running, "healthz") == (200, "ok\n")
        relay.open()
        status, live = eventually(running, 200)
        assert status == 200
        assert live["totals"]["transactions"] == 15


def eventually(running: Console, wanted: int) -> tuple[int, Any]:
    deadline = time.monotonic() + 60
    while True:
        answer = get(running, "api/live")
        if answer[0] == wanted or time.monotonic() > deadline:
            return answer
        time.sleep(0.2)


def test_an_opensearch_without_any_index_is_an_empty_page(
    stack: Stack, filled: Stack, running: Console
) -> None:
    del filled
    stack.renew()
    status, live = eventually_empty(running)
    assert status == 200
    assert live["now"] is None
    assert live["totals"]["transactions"] == 0
    assert live["totals"]["refund_rate"] is None
    assert live["shops"] == live["open_pages"] == live["rejections"] == live["shards"] == []


def eventually_empty(running: Console) -> tuple[int, Any]:
    deadline = time.monotonic() + 60
    while True:
        answer = get(running, "api/live?window=7d")
        if (answer[0] == 200 and answer[1]["now"] is None) or time.monotonic() > deadline:
            return answer
        time.sleep(0.2)


def test_without_an_address_of_opensearch_it_says_so() -> None:
    ended = subprocess.run(
        [COMMAND, "console"], env={}, capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 1
    assert "TILLWATCH_OPENSEARCH_URL" in ended.stderr


def test_a_taken_port_is_said_plainly(running: Console) -> None:
    port = running.address.rstrip("/").rpartition(":")[2]
    ended = subprocess.run(
        [COMMAND, "console", "--port", port],
        env={"TILLWATCH_OPENSEARCH_URL": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr


def test_a_connection_left_open_does_not_hold_up_the_end(filled: Stack) -> None:
    assert filled.node is not None
    with console(filled.node.url) as running:
        host, _, port = running.address.removeprefix("http://").rstrip("/").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=30)
        connection.request("GET", "/healthz")
        assert connection.getresponse().read() == b"ok\n"
        running.process.terminate()
        running.process.wait(20)
        connection.close()
