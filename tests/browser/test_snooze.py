"""Snoozing a page: one click is a rule on the stream, and the page says that it rests."""

import re
from collections.abc import Iterator

import msgspec
import pytest
from playwright.sync_api import expect

from events.instant import DAY, WEEK
from events.page import Entity
from events.suppression import Lift, Suppression, suppression, suppression_of
from local.stack import Stack
from tests.browser.conftest import Open
from tests.console import scene
from tests.console.server import Console, console

pytestmark = [pytest.mark.integration, pytest.mark.browser]

PLANNED = suppression(
    "shop-002",
    scene.NOW + DAY,
    given_at=scene.NOW,
    reason="cashier",
    by="ann",
    note="recall week",
)


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Stack:
    stack.renew(shards=1)
    client = stack.search_client()
    kept_back = scene.page("p-2", ["refund-2"], shop_id="shop-002", entity=("cashier", "c-2"))
    scene.put(
        client,
        scored=[scene.transaction("refund-1", type_="REFUND")],
        pages=[
            scene.page("p-1", ["refund-1"], severity=4),
            msgspec.structs.replace(kept_back, suppressed_by=PLANNED.rule_id),
            scene.page("p-closed", ["refund-1"], shop_id="shop-003", status="closed"),
        ],
        suppressions=[PLANNED],
    )
    client.close()
    return stack


@pytest.fixture(scope="module")
def running(filled: Stack) -> Iterator[Console]:
    assert filled.node is not None
    settings = filled.environment() | {"TILLWATCH_DASHBOARDS_URL": "https://search.example/dash"}
    with console(filled.node.url, settings=settings) as started:
        yield started


def said_on_the_stream(stack: Stack) -> list[Suppression | Lift]:
    client = stack.aws.client("kinesis")
    stream = stack.environment()["TILLWATCH_STREAM"]
    (shard,) = client.list_shards(StreamName=stream)["Shards"]
    start = client.get_shard_iterator(
        StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = client.get_records(ShardIterator=start)["Records"]
    said = [suppression_of(record["Data"]) for record in records]
    assert {record["PartitionKey"] for record in records} <= {"shop-001", "shop-002"}
    return [one for one in said if one is not None]


def test_a_click_snoozes_and_another_lifts_it(
    filled: Stack, running: Console, open_page: Open
) -> None:
    page = open_page(running.address)
    first = page.locator("#pages-list > li").first
    resting = first.locator(".resting")
    snooze = first.get_by_role("group", name="Snooze")
    lift = snooze.get_by_role("button", name="Lift")
    expect(resting).to_be_hidden()
    expect(lift).to_be_hidden()
    snooze.get_by_role("button", name="1 week").click()
    expect(snooze.get_by_role("status")).to_have_text("given")
    expect(resting).to_have_text("snoozed until 9 Mar 16:40 UTC")
    (rule,) = said_on_the_stream(filled)
    assert isinstance(rule, Suppression)
    assert (rule.shop_id, rule.entity, rule.reason, rule.until, rule.by) == (
        "shop-001",
        Entity("cashier", "c-1"),
        "cashier",
        scene.NOW + WEEK,
        "console",
    )

    client = filled.search_client()
    scene.put(client, suppressions=[rule])
    again = open_page(running.address).locator("#pages-list > li").first
    expect(again.locator(".resting")).to_have_text("snoozed until 9 Mar 16:40 UTC")

    lift.click()
    expect(snooze.get_by_role("status")).to_have_text("lifted")
    expect(resting).to_be_hidden()
    *_, lifted = said_on_the_stream(filled)
    assert isinstance(lifted, Lift)
    assert (lifted.rule_id, lifted.shop_id) == (rule.rule_id, "shop-001")
    scene.put(client, suppressions=[lifted])
    client.close()
    expect(
        open_page(running.address).locator("#pages-list > li").first.locator(".resting")
    ).to_be_hidden()


def test_a_page_that_a_rule_keeps_back_is_shown_as_such(running: Console, open_page: Open) -> None:
    page = open_page(running.address, theme="dark", width=390)
    kept_back = page.locator("#pages-list > li").nth(1)
    expect(kept_back.locator(".resting")).to_have_text("snoozed until 3 Mar 16:40 UTC")
    expect(kept_back.locator(".resting")).to_have_attribute(
        "title", f"Rule {PLANNED.rule_id}, by ann, recall week"
    )
    expect(kept_back.get_by_role("button", name="Lift")).to_be_visible()


def test_what_could_not_be_given_is_told(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    page.route("**/api/suppress", lambda route: route.abort())
    first = page.locator("#pages-list > li").first
    snooze = first.get_by_role("group", name="Snooze")
    snooze.get_by_role("button", name="1 day").click()
    expect(snooze.get_by_role("status")).to_contain_text("not given")
    expect(first.locator(".resting")).to_be_hidden()


def test_a_link_brings_its_page_before_the_eyes_and_says_where_to_look_on(
    running: Console, open_page: Open
) -> None:
    page = open_page(f"{running.address}#page=p-2")
    linked = page.locator("#pages-list > li.linked")
    expect(linked).to_have_count(1)
    expect(linked.locator(".page-title")).to_have_text("Cashier · shop-002")
    expect(linked.locator("details").first).to_have_attribute("open", "")
    dashboard = linked.get_by_role("link", name="OpenSearch Dashboards")
    expect(dashboard).to_have_attribute(
        "href", re.compile(r"https://search\.example/dash/app/dashboards#/view/.*shop-002")
    )
    onwards = linked.locator(".onwards code")
    expect(onwards.first).to_have_text(
        "tillwatch replay --shop shop-002 --from 2026-03-02T16:30:30.000Z"
        " --to 2026-03-02T17:35:30.000Z --out p-2"
    )
    expect(onwards.nth(1)).to_contain_text("transaction_id IN ('refund-2')")


def test_a_link_to_a_closed_page_shows_it_too(running: Console, open_page: Open) -> None:
    page = open_page(f"{running.address}#page=p-closed")
    linked = page.locator("#pages-list > li.linked")
    expect(linked.locator(".page-title")).to_have_text("Cashier · shop-003")
    expect(linked.locator(".page-opened")).to_contain_text("closed")
