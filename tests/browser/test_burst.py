"""From the stream to the screen: a burst of refunds becomes a page that a person reads."""

import json
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from events.instant import DAY, MINUTE, Instant, to_iso
from local.feed import keyed
from local.part import Part
from local.producer import put_all
from local.samples import Sample, sample_stream
from local.stack import Stack
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker
from tests.browser.conftest import Open
from tests.console.server import console

pytestmark = [pytest.mark.integration, pytest.mark.browser, pytest.mark.timeout(600)]

SEED = 11
USUAL_DAYS = 16
BURST_REFUNDS = 30
ARRIVAL_MILLIS_MAX = 180_000


@pytest.fixture
def usual() -> list[Sample]:
    """Days without fraud: what the worker learns as normal."""
    return list(sample_stream(SEED, shops=2, days=USUAL_DAYS, campaigns_per_shop_week=0.0))


@pytest.fixture
def worker(stack: Stack) -> Iterator[Part]:
    stack.renew()
    part = start_worker(stack)
    yield part
    part.stop(WORKER_STOP_SECONDS_MAX)


def burst(shop_id: str, began: Instant) -> Iterator[tuple[str, bytes]]:
    """Refunds of one cashier to one card without a receipt, one a minute."""
    for number in range(BURST_REFUNDS):
        record = {
            "schema": 1,
            "transaction_id": f"burst-{number}",
            "shop_id": shop_id,
            "register_id": "r1",
            "cashier_id": "c-thief",
            "type": "REFUND",
            "occurred_at": to_iso(began + number * MINUTE),
            "currency": "GBP",
            "total": "149.99",
            "payment": {"method": "CARD", "card_token": "k-thief"},
        }
        yield shop_id, json.dumps(record).encode()


def wait_for_rule(stack: Stack) -> None:
    """Return when a rule is searchable: it went through the stream and the worker."""
    client = stack.search_client()
    try:
        for _ in range(ARRIVAL_MILLIS_MAX // 1_000):
            found = client.count(index="suppressions", params={"ignore_unavailable": "true"})
            if found["count"]:
                return
            time.sleep(1.0)
    finally:
        client.close()
    pytest.fail("the rule did not reach the index")


def test_a_burst_on_the_stream_is_a_page_on_the_screen(
    stack: Stack, worker: Part, usual: list[Sample], open_page: Open
) -> None:
    assert stack.node is not None
    kinesis = stack.aws.client("kinesis")
    name = stack.provisioned.stream
    put_all(kinesis, name, keyed(usual))
    last = max(sample.occurred_at for sample in usual if sample.transaction_id)
    shop_id = usual[-1].shop_id
    with console(stack.node.url, settings=stack.environment()) as running:
        page = open_page(running.address)
        expect(page.locator("#now")).to_contain_text(to_iso(last)[:10], timeout=ARRIVAL_MILLIS_MAX)
        expect(page.locator("#shards-rows tr")).to_have_count(1)
        found = page.locator("#pages-list > li", has_text="c-thief")
        expect(found).to_have_count(0)

        put_all(kinesis, name, burst(shop_id, last - last % DAY + DAY + 11 * 60 * MINUTE))

        expect(found).to_have_count(1, timeout=ARRIVAL_MILLIS_MAX)
        expect(found.locator("h3")).to_contain_text(shop_id)
        expect(page.locator("#tile-pages-box")).to_have_class("alarming")
        expect(page.locator("#announcer")).to_contain_text("c-thief")
        found.locator("summary").click()
        rows = found.locator(".evidence tbody tr")
        expect(rows.first.locator("th")).to_contain_text("burst-")
        expect(rows.first).to_contain_text("£149.99")
        expect(page.locator("#tile-refunds")).to_have_text(str(BURST_REFUNDS))

        found.get_by_role("button", name="Fraud").click()
        verdict = found.get_by_role("group", name="Verdict")
        expect(verdict.get_by_role("status")).to_have_text("given")
        # Through the stream and the worker into the index, and from there onto the page again.
        expect(page.locator("#verdicts-note")).to_contain_text(
            "Of 1 page that people judged, 1 were fraud (100.0%)", timeout=ARRIVAL_MILLIS_MAX
        )
        found.get_by_role("button", name="1 day").click()
        snooze = found.get_by_role("group", name="Snooze")
        expect(snooze.get_by_role("status")).to_have_text("given")
        wait_for_rule(stack)
        again = open_page(running.address).locator("#pages-list > li", has_text="c-thief")
        expect(again.locator(".resting")).to_contain_text("snoozed until")
        assert worker.exit_code is None
