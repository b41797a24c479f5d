"""The topic of the pages is gone: the shard goes on, and its pages go out later."""

import json
import time
import urllib.request
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from local.drained import wait_until_drained
from local.feed import keyed
from local.outcome import read_outcome
from local.producer import put_all
from local.samples import sample_stream
from local.stack import Stack
from local.stream_reading import contents
from local.uninterrupted import uninterrupted
from local.verdict import faults
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]

RECORDS = 10_000
DEADLINE_SECONDS = 120
SETTINGS = {"TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "2", "TILLWATCH_BATCH_SECONDS_MAX": "0.5"}


def test_pages_wait_for_their_topic_and_nothing_else_does(stack: Stack) -> None:
    made = stack.renew()
    stream = sample_stream(5, shops=6, days=21, campaigns_per_shop_week=8.0)
    records = list(keyed(islice(stream, RECORDS)))
    expected = uninterrupted(stack.environment(), records)
    assert expected.sendings
    put_all(stack.aws.client("kinesis"), made.stream, iter(records))
    tips = contents(stack.aws.client("kinesis"), made.stream, made.shards).tips

    elsewhere = {"TILLWATCH_TOPIC_ARN": f"{made.topic_arn}-that-is-not-there"}
    worker = start_worker(stack, SETTINGS | elsewhere)
    try:
        wait_until_drained(stack.aws, made, tips, check=lambda: None, pages_sent=False)
        waiting = _metric(worker.log, "tillwatch_waiting_pages")
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)
    found = read_outcome(stack)
    assert found.documents == expected.documents
    assert set(found.rows) == set(expected.documents)
    assert found.sendings == {}
    assert waiting >= len(expected.sendings)

    worker = start_worker(stack, SETTINGS)
    mailbox = stack.aws.client("sqs")
    deadline = time.monotonic() + DEADLINE_SECONDS
    try:
        while _messages(mailbox, made.pages_queue_url) < len(expected.sendings):
            assert worker.exit_code is None, worker.log_tail()
            assert time.monotonic() < deadline, worker.log_tail()
            time.sleep(0.2)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)
    assert faults(expected, read_outcome(stack)) == []


def _messages(sqs: Any, queue_url: str) -> int:
    name = "ApproximateNumberOfMessages"
    answer = sqs.get_queue_attributes(QueueUrl=queue_url, AttributeNames=[name])
    return int(answer["Attributes"][name])


def _metric(log: Path, name: str) -> float:
    """The sum of a metric over its shards, as the supervisor serves it."""
    lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
    port = [line["port"] for line in lines if "metrics and health are" in line["message"]][-1]
    url = f"http://127.0.0.1:{port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        text = answer.read().decode()
    rows = [line for line in text.splitlines() if line.startswith(name)]
    return sum(float(row.rpartition(" ")[2]) for row in rows)
