"""The verdict buttons of a page: one click is a record on the stream."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from events.verdict import Verdict, verdict_of
from local.stack import Stack
from tests.browser.conftest import Open
from tests.console import scene
from tests.console.server import Console, console

pytestmark = [pytest.mark.integration, pytest.mark.browser]


@pytest.fixture(scope="module")
def filled(stack: Stack) -> Stack:
    stack.renew(shards=1)
    client = stack.search_client()
    scene.put(
        client,
        scored=[scene.transaction("refund-1", type_="REFUND")],
        pages=[scene.page("p-1", ["refund-1"], severity=4), scene.page("p-2", ["refund-1"])],
    )
    client.close()
    return stack


@pytest.fixture(scope="module")
def running(filled: Stack) -> Iterator[Console]:
    assert filled.node is not None
    with console(filled.node.url, settings=filled.environment()) as started:
        yield started


def said_on_the_stream(stack: Stack) -> list[tuple[str, str]]:
    client = stack.aws.client("kinesis")
    stream = stack.environment()["TILLWATCH_STREAM"]
    (shard,) = client.list_shards(StreamName=stream)["Shards"]
    start = client.get_shard_iterator(
        StreamName=stream, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    records = client.get_records(ShardIterator=start)["Records"]
    verdicts = [verdict_of(record["Data"]) for record in records]
    return [(one.page_id, one.finding) for one in verdicts if one is not None]


def test_a_click_puts_a_verdict_onto_the_stream_and_the_index_confirms_it(
    filled: Stack, running: Console, open_page: Open
) -> None:
    page = open_page(running.address)
    verdict = page.locator("#pages-list > li").first.get_by_role("group", name="Verdict")
    fraud, ok = verdict.get_by_role("button", name="Fraud"), verdict.get_by_role("button").nth(1)
    expect(fraud).to_have_attribute("aria-pressed", "false")
    fraud.click()
    expect(verdict.get_by_role("status")).to_have_text("given")
    expect(fraud).to_have_attribute("aria-pressed", "true")
    ok.click()  # a second thought: the last verdict counts
    expect(ok).to_have_attribute("aria-pressed", "true")
    expect(fraud).to_have_attribute("aria-pressed", "false")
    assert said_on_the_stream(filled) == [("p-1", "fraud"), ("p-1", "ok")]

    client = filled.search_client()
    scene.put(client, verdicts=[Verdict("p-1", "shop-001", "cashier", "ok", scene.NOW)])
    client.close()
    again = open_page(running.address)
    first = again.locator("#pages-list > li").first
    expect(first.get_by_role("button").nth(1)).to_have_attribute("aria-pressed", "true")
    again.get_by_text("Fraud among those judged, by reason").click()
    expect(again.locator("#precision-rows tr").locator("th, td")).to_have_text(
        ["Cashier", "1", "0", "0.0%", "0.0% to 73.0%"]
    )
    expect(again.locator("#verdicts-note")).to_have_text(
        "Of 1 page that people judged, 0 were fraud (0.0%), 1 nothing, 0 how things are done now."
    )


def test_what_could_not_be_given_is_told(running: Console, open_page: Open) -> None:
    page = open_page(running.address)
    page.route("**/api/verdict", lambda route: route.abort())
    verdict = page.locator("#pages-list > li").nth(1).get_by_role("group", name="Verdict")
    verdict.get_by_role("button", name="Policy").click()
    expect(verdict.get_by_role("status")).to_contain_text("not given")
    expect(verdict.get_by_role("button", name="Policy")).to_have_attribute("aria-pressed", "false")


def test_without_a_stream_there_are_no_buttons(filled: Stack, open_page: Open) -> None:
    assert filled.node is not None
    with console(filled.node.url) as started:
        page = open_page(started.address)
        expect(page.locator("#pages-list > li").nth(1)).to_be_visible()
        for said in page.locator("#pages-list > li").nth(1).locator(".verdict").all():
            expect(said).to_be_hidden()
