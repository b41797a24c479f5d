"""All of Online Retail through the real daemon, into the real places, with the worker restarted.

Nothing is compared with what the consumer says of itself: the expected figures come straight from
the data set, the found ones from OpenSearch, the Parquet files and the queues.
"""

import io
import os
import time
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from consumer.candidate import detector_config
from consumer.child import build_pipeline
from consumer.duplicates import Duplicates
from consumer.pipeline import batches
from consumer.scorer import Scorer
from consumer.settings import Settings
from events.page import Page
from events.position import Position
from events.record import Record
from local.counts import rejected
from local.drained import wait_until_drained
from local.mailbox import Mailbox
from local.online_retail import read_invoices, to_wire
from local.part import Part
from local.producer import put_all
from local.stack import Stack
from local.stream_reading import contents
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(1_500)]

INVOICES = 25_900
WORKER_SETTINGS = {
    # Small batches, so that a restart falls between two of many checkpoints.
    "TILLWATCH_BATCH_RECORDS_MAX": "1500",
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "5",
}
DEADLINE_SECONDS = 300.0


@pytest.fixture(scope="module")
def data_set() -> Path:
    if "TILLWATCH_ONLINE_RETAIL" not in os.environ:
        pytest.skip(
            "TILLWATCH_ONLINE_RETAIL does not name the Online Retail data set as Parquet "
            "(docs/online-retail.md says where it comes from)"
        )
    return Path(os.environ["TILLWATCH_ONLINE_RETAIL"])


class Expected:
    """What must come out, computed from the data set's lines alone."""

    def __init__(self, data_set: Path) -> None:
        import pandas as pd

        table = pd.read_parquet(data_set)
        # Thousandths are exact for every price there is; pandas sums them as integers.
        thousandths = (table["UnitPrice"] * 1_000).round().astype("int64")
        table["worth"] = table["Quantity"].astype("int64") * thousandths
        invoices = table.groupby("InvoiceNo").agg(worth=("worth", "sum"), at=("InvoiceDate", "min"))
        self.per_day: Counter[tuple[str, str]] = Counter()
        self.types: dict[str, str] = {}
        for number, worth, at in invoices.itertuples():
            kind = "REFUND" if number.startswith("C") else "SALE"
            cents = int((Decimal(worth) / 10).quantize(Decimal(1)))
            cents = -cents if kind == "REFUND" else cents
            if cents > 0 and not number.startswith("A"):
                self.types[number] = kind
                self.per_day[kind, at.date().isoformat()] += cents


class Outcome:
    """What lies in OpenSearch, in the bucket and in the queues."""

    def __init__(self, stack: Stack) -> None:
        made = stack.provisioned
        client = stack.search_client()
        client.indices.refresh(index="transactions-*,pages-*")
        self.types = {
            hit["_id"]: hit["_source"]["type"]
            for hit in _all(client, "transactions-*", ["transaction_id", "type"])
        }
        self.pages = {hit["_id"]: hit["_source"] for hit in _all(client, "pages-*", None)}
        client.close()
        s3 = stack.aws.client("s3")
        self.rows: Counter[str] = Counter()
        self.per_day: Counter[tuple[str, str]] = Counter()
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=made.bucket):
            for key in (entry["Key"] for entry in page.get("Contents", ())):
                if key.startswith("processed/"):
                    self._add(s3.get_object(Bucket=made.bucket, Key=key)["Body"].read(), key)
                assert not key.startswith("staging/"), f"{key} was left staged"
        self.rejections = rejected(stack.aws.client("sqs"), made.dead_letter_queue_url)

    def _add(self, body: bytes, key: str) -> None:
        table = pq.ParquetFile(io.BytesIO(body)).read(
            columns=["transaction_id", "type", "total", "occurred_at", "utc_offset_minutes"]
        )
        for row in table.to_pylist():
            self.rows[row["transaction_id"]] += 1
            day = f"{row['occurred_at']:%Y-%m-%d}"
            assert f"date={day}/hour={row['occurred_at']:%H}/" in key
            self.per_day[row["type"], day] += int(row["total"] * 100)


def _all(client: Any, index: str, fields: list[str] | None) -> list[dict[str, Any]]:
    """Every document of `index`."""
    found: list[dict[str, Any]] = []
    body: dict[str, Any] = {"query": {"match_all": {}}, "size": 5_000}
    if fields is not None:
        body["_source"] = fields
    answer = client.search(index=index, body=body, scroll="1m")
    while answer["hits"]["hits"]:
        found += answer["hits"]["hits"]
        answer = client.scroll(body={"scroll_id": answer["_scroll_id"], "scroll": "1m"})
    client.clear_scroll(body={"scroll_id": [answer["_scroll_id"]]})
    return found


def _uninterrupted_pages(stack: Stack, records: list[tuple[str, bytes]]) -> dict[str, Page]:
    """The pages of the same records in one process without a break, by page id."""
    environment = stack.environment()
    given = {
        name: environment[f"TILLWATCH_{name.upper()}"]
        for name in Settings.model_fields
        if f"TILLWATCH_{name.upper()}" in environment
    }
    settings = Settings.model_validate(given)
    pipeline = build_pipeline(
        settings,
        Scorer(detector_config(settings)),
        Duplicates(settings.duplicates_remembered_min),
    )
    stream = (
        Record(Position("shardId-0", str(number)), data, shop)
        for number, (shop, data) in enumerate(records, 1)
    )
    return {page.page_id: page for cut in batches(pipeline, stream) for page in cut.batch.pages}


def _checkpoint(stack: Stack) -> str:
    table = stack.provisioned.application
    lease: str = stack.aws.client("dynamodb").scan(TableName=table)["Items"][0]["checkpoint"]["S"]
    return lease


def _wait(true: Callable[[], bool], worker: Part) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert worker.exit_code is None, worker.log_tail()
        assert time.monotonic() < deadline, "nothing moved"
        time.sleep(0.1)


def _run_half(stack: Stack, half: list[tuple[str, bytes]]) -> Part:
    """Put one half; stop the worker in the middle of it, and start another that goes on."""
    kinesis = stack.aws.client("kinesis")
    made = stack.provisioned
    most = len(half) * 3 // 4
    put_all(kinesis, made.stream, iter(half[:most]))
    before = _checkpoint(stack)
    worker = start_worker(stack, WORKER_SETTINGS)
    _wait(lambda: _checkpoint(stack) != before, worker)
    assert worker.stop(WORKER_STOP_SECONDS_MAX) == 0
    stopped_at = _checkpoint(stack)
    assert stopped_at != before
    # However quick it was, there is more for the one that goes on.
    put_all(kinesis, made.stream, iter(half[most:]))
    tip = contents(kinesis, made.stream, made.shards).tips[made.shards[0]]
    assert int(stopped_at) < int(tip), "the worker was to be stopped in the middle"
    return start_worker(stack, WORKER_SETTINGS)


def test_everything_comes_out_once_though_the_worker_is_restarted_in_both_halves(
    stack: Stack, data_set: Path
) -> None:
    stack.renew()
    made = stack.provisioned
    expected = Expected(data_set)
    records = [to_wire(invoice) for invoice in read_invoices(data_set)]
    assert len(records) == INVOICES

    for half in (records[: INVOICES // 2], records[INVOICES // 2 :]):
        worker = _run_half(stack, half)
        found = contents(stack.aws.client("kinesis"), made.stream, made.shards)

        def alive(worker: Part = worker) -> None:
            assert worker.exit_code is None, worker.log_tail()

        wait_until_drained(stack.aws, made, found.tips, check=alive)
        assert worker.stop(WORKER_STOP_SECONDS_MAX) == 0

    outcome = Outcome(stack)
    assert found.records == INVOICES
    assert len(outcome.types) + outcome.rejections == INVOICES
    assert outcome.types == expected.types
    assert set(outcome.rows) == set(expected.types)
    assert set(outcome.rows.values()) == {1}
    assert outcome.per_day == expected.per_day
    cancellations = {number for number in expected.types if number.startswith("C")}
    assert {id_ for id_, kind in outcome.types.items() if kind == "REFUND"} == cancellations
    in_evidence = {id_ for page in outcome.pages.values() for id_ in page["evidence"]}
    assert {"C541433", "C581484"} <= in_evidence

    # The same pages as without any interruption, with the same evidence, and each sent once.
    uninterrupted = _uninterrupted_pages(stack, records)
    assert {
        page_id: (page["revision"], page["status"], tuple(page["evidence"]))
        for page_id, page in outcome.pages.items()
    } == {
        page_id: (page.revision, page.status, page.evidence)
        for page_id, page in uninterrupted.items()
    }
    sent = Counter(_letters(stack))
    assert set(sent.values()) == {1}
    assert {page_id for page_id, _ in sent} == set(uninterrupted)


def _letters(stack: Stack) -> list[tuple[str, int]]:
    """What a subscriber of the topic got: page id and revision of each message."""
    mailbox = Mailbox(stack.aws.client("sqs"), stack.provisioned.pages_queue_url)
    found = []
    while pages := mailbox.take():
        found += [(page.page_id, page.revision) for page in pages]
    return found
