"""Every chart and list of the dashboards, asked of a real node as Dashboards would ask it."""

import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from events.instant import HOUR, MINUTE, SECOND, from_datetime
from events.page import Entity
from events.score import Reason, Score
from events.suppression import Suppression
from events.transaction import Line
from events.verdict import Verdict
from local.opensearch import OpenSearchNode
from sinks import templates
from sinks.dashboards.export import export
from sinks.dashboards.link import dashboard_link
from sinks.measurement import Measurement, bulk_body
from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import bulk, connect
from tests.sinks import dashboard_format as form
from tests.sinks.dashboard_search import (
    METRICS,
    Json,
    chart_body,
    innermost,
    listing_body,
    pattern_of,
    state_of,
)
from tests.sinks.made import NOON, batch, page, rejection, scored
from tests.sinks.rison_reader import read

pytestmark = pytest.mark.integration

OBJECTS, _ = form.read(export())
BY_ID = {(saved["type"], saved["id"]): saved for saved in OBJECTS}
MADE = "transactions-*,pages-*,verdicts*,suppressions*,rejections-*,operations*"
SINCE, UNTIL = NOON - HOUR // 2, NOON + HOUR


def transactions() -> list[Any]:
    """Ninety of seven shops within two minutes: every third a refund, in shop-000 every one."""
    made = []
    for n in range(90):
        refund = n % 3 == 0 or n % 7 == 0
        reasons = tuple(
            Reason(kind, "shop", f"shop-{n % 7:03d}", 0.5, 9.0, "refunds", 0.5)
            for kind in ("volume", "cashier" if n % 2 else "card")
        )
        made.append(
            scored(
                n,
                score=Score(0.9 + n / 1_000, reasons, "m1") if refund else None,
                type="REFUND" if refund else "SALE",
                currency="EUR" if n % 7 == 6 else "GBP",
                register_id=f"r-{n % 2}",
                payment_method="CARD",
                card_token=f"hash-{n % 11}",
                contact_email="hash-of-an-address",
                reason="DAMAGED" if refund else None,
                lines=(Line(f"i-{n % 4}", f"Item {n % 4}", "toys", 1_000, 249_900),),
            )
        )
    return made


def measured() -> list[Measurement]:
    """Of two shards, over five minutes; OpenSearch was tried again for one of them."""
    made = []
    for n in range(10):
        same: Json = {"measured_at": NOON + n * 30 * SECOND, "worker": "w-1", "seconds": 30.0}
        made += [
            Measurement(
                **same,
                shard_id=f"shardId-{shard}",
                lag_seconds=1.5 + shard * n,
                checkpoint_age_seconds=2.0,
                waiting_for="opensearch" if shard else None,
                waiting_pages=shard,
                records=8_000,
                transactions=7_990,
                rejections=10,
            )
            for shard in range(2)
        ]
        made.append(Measurement(**same, shard_id="shardId-1", service="opensearch", retries=n + 1))
    return made


@pytest.fixture(scope="module")
def client(opensearch: OpenSearchNode) -> Iterator[Any]:
    client = connect(opensearch.url)
    templates.apply(client)
    client.indices.delete(index=MADE)
    sink = OpenSearchSink(client, threading.Event(), clock=lambda: NOON + MINUTE)
    entity = Entity("cashier", "c-1")
    verdict = Verdict("p-3", "shop-003", "cashier", "fraud", NOON + MINUTE, "me", "seen it")
    rule = Suppression(
        "rule-1", "shop-002", NOON + HOUR, NOON, entity, "cashier", NOON, "me", "stock-taking"
    )
    made = batch(
        *transactions(),
        pages=(
            page(),
            page(1, "updated", page_id="p-2", shop_id="shop-002", suppressed_by="rule-1"),
            page(2, "closed", page_id="p-3", shop_id="shop-003", reason="cashier"),
        ),
        rejections=tuple(
            rejection(
                300 + n,
                arrived_at=NOON + n * SECOND,
                reason="not_json" if n % 3 else "amount_not_positive",
                field=None if n % 3 else "total",
                shop_id=None if n % 3 else "shop-001",
            )
            for n in range(9)
        ),
    )
    written = sink.write(msgspec.structs.replace(made, verdicts=(verdict,), suppressions=(rule,)))
    assert written.rejections == ()
    assert b'"errors":false' in bulk(client, bulk_body(measured()))
    client.indices.refresh(index=MADE)
    yield client
    client.indices.delete(index=MADE)
    client.close()


def ask(client: Any, saved: Json, body: Json) -> Json:
    answer: Json = client.search(index=pattern_of(saved, BY_ID).indices, body=body)
    assert answer["_shards"]["failed"] == 0, answer["_shards"]
    assert not answer["timed_out"]
    return answer


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param(saved, id=saved["id"])
        for saved in OBJECTS
        if saved["type"] == "visualization" and state_of(saved)["aggs"]
    ],
)
def test_every_chart_has_buckets(client: Any, saved: Json) -> None:
    states = state_of(saved)["aggs"]
    body = chart_body(saved, pattern_of(saved, BY_ID), SINCE, UNTIL)
    buckets = innermost(ask(client, saved, body), states)
    assert buckets
    full = [bucket for bucket in buckets if bucket["doc_count"]]
    assert full
    for state in states:
        if state["type"] in METRICS - {"count"}:
            assert any(has_value(bucket[state["id"]]) for bucket in full), state


@pytest.mark.parametrize(
    "saved", [pytest.param(saved, id=saved["id"]) for saved in OBJECTS if saved["type"] == "search"]
)
def test_every_list_has_rows_and_every_column_a_value(client: Any, saved: Json) -> None:
    pattern = pattern_of(saved, BY_ID)
    answer = ask(client, saved, listing_body(saved, pattern, SINCE, UNTIL))
    rows = answer["hits"]["hits"]
    assert rows
    for column in saved["attributes"]["columns"]:
        assert any(values_at(row["_source"], column.split(".")) for row in rows), column
    assert all("contact_email" not in row["_source"] for row in rows)
    assert "hash-of-an-address" not in repr(rows)


def asked_of(client: Any, id_: str) -> list[Json]:
    """The innermost buckets of the chart of that id, in order."""
    saved = BY_ID["visualization", id_]
    body = chart_body(saved, pattern_of(saved, BY_ID), SINCE, UNTIL)
    return innermost(ask(client, saved, body), state_of(saved)["aggs"])


def test_charts_say_what_was_put_in(client: Any) -> None:
    made = [item.transaction for item in transactions()]
    refunds = [it for it in made if it.type == "REFUND"]

    counted = {it["key"]: it["doc_count"] for it in asked_of(client, "tillwatch-refunds")}
    assert counted == {"Transactions": len(made), "Refunds": len(refunds)}

    rates = asked_of(client, "tillwatch-refund-rate-by-shop")
    assert (rates[0]["key"], rates[0]["1"]["value"]) == ("shop-000", 1.0)
    for found in rates:
        of_shop = [it.type for it in made if it.shop_id == found["key"]]
        assert found["1"]["value"] == pytest.approx(of_shop.count("REFUND") / len(of_shop))
    assert [found["1"]["value"] for found in rates] == sorted(
        (found["1"]["value"] for found in rates), reverse=True
    )

    assert [found["key"] for found in asked_of(client, "tillwatch-hours")] == [13.0]

    euros = sum(it.total for it in refunds if it.currency == "EUR") / 100
    by_currency = {
        it["key"]: it["1"]["value"] for it in asked_of(client, "tillwatch-refunded-total")
    }
    assert by_currency["EUR"] == pytest.approx(euros)

    (open_pages,) = asked_of(client, "tillwatch-pages-open")
    assert open_pages["doc_count"] == 2

    retried = asked_of(client, "tillwatch-retries")
    assert sum(found["1"]["value"] for found in retried) == sum(range(1, 11))

    lags = {found["key"]: found for found in asked_of(client, "tillwatch-shards-now")}
    (last,) = lags["shardId-1"]["2"]["hits"]["hits"]
    assert last["fields"]["lag_seconds"] == [10.5]

    delays = [
        value["value"]
        for found in asked_of(client, "tillwatch-till-delay")
        for value in found["1"]["values"]
    ]
    assert 0 <= min(delays) <= max(delays) == pytest.approx(89 * 0.05, abs=0.1)


@pytest.mark.parametrize("hours", [3, 24, 24 * 30])
def test_a_long_time_is_shown_in_longer_steps(client: Any, hours: int) -> None:
    saved = BY_ID["visualization", "tillwatch-per-minute"]
    body = chart_body(saved, pattern_of(saved, BY_ID), UNTIL - hours * HOUR, UNTIL)
    (found,) = ask(client, saved, body)["aggregations"]["2"]["buckets"]
    assert found["doc_count"] == len(transactions())


def test_a_page_s_link_shows_its_shop_and_nothing_else(client: Any) -> None:
    link = dashboard_link("http://dashboards.example", page(shop_id="shop-003"))
    states = parse_qs(urlsplit(urlsplit(link).fragment).query)
    shown, state = (read(states[name][0]) for name in ("_g", "_a"))
    since, until = (
        from_datetime(datetime.fromisoformat(shown["time"][end])) for end in ("from", "to")
    )
    assert since < NOON < until
    for id_ in ("cashier-rates", "cards", "items", "hours"):
        saved = BY_ID["visualization", f"tillwatch-{id_}"]
        pattern = pattern_of(saved, BY_ID)
        body = chart_body(saved, pattern, since, until, tuple(state["filters"]))
        body["aggs"]["shops"] = {"terms": {"field": "shop_id"}}
        answer = ask(client, saved, body)
        assert [one["key"] for one in answer["aggregations"]["shops"]["buckets"]] == ["shop-003"]
        assert innermost(answer, state_of(saved)["aggs"])


def has_value(found: Json) -> bool:
    if "hits" in found:
        return bool(found["hits"]["hits"])
    if "values" in found:
        return all(value["value"] is not None for value in found["values"])
    return found["value"] is not None


def values_at(source: Any, path: list[str]) -> list[Any]:
    if isinstance(source, list):
        return [value for one in source for value in values_at(one, path)]
    if not path:
        return [source]
    return values_at(source[path[0]], path[1:]) if path[0] in source else []
