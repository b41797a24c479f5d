"""Broken records through the real daemon: they become letters, come back mended, and count once."""

import json
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from local.counts import Counts, count
from local.drained import wait_until_drained
from local.part import Part
from local.stack import Stack
from local.stream_reading import contents
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker
from tests.consumer.world import wire

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

GOOD = 40
NEGATIVE = 6
TILLWATCH = str(Path(sysconfig.get_path("scripts"), "tillwatch"))


class Chain:
    """A stack with a worker, and what a person does to it."""

    def __init__(self, stack: Stack, worker: Part) -> None:
        self.stack = stack
        self.worker = worker
        self.kinesis = stack.aws.client("kinesis")
        self.sqs = stack.aws.client("sqs")

    def put(self, *records: bytes) -> None:
        for data in records:
            self.kinesis.put_record(
                StreamName=self.stack.provisioned.stream, PartitionKey="shop-1", Data=data
            )

    @property
    def records(self) -> int:
        made = self.stack.provisioned
        return contents(self.kinesis, made.stream, made.shards).records

    def drained(self) -> Counts:
        made = self.stack.provisioned
        found = contents(self.kinesis, made.stream, made.shards)

        def alive() -> None:
            assert self.worker.exit_code is None, self.worker.log_tail()

        wait_until_drained(self.stack.aws, made, found.tips, check=alive)
        return count(self.stack, found, 0.0)

    def dlq(self, *arguments: str, status: int = 0) -> list[dict[str, Any]]:
        done = subprocess.run(
            [TILLWATCH, "dlq", *arguments, "--json"],
            env=self.stack.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def messages(self) -> list[str]:
        """The bodies in the queue, which stay there."""
        url = self.stack.provisioned.dead_letter_queue_url
        bodies = {}
        while got := self.sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=60
        ).get("Messages"):
            bodies.update((message["ReceiptHandle"], message["Body"]) for message in got)
        for handle in bodies:
            self.sqs.change_message_visibility(
                QueueUrl=url, ReceiptHandle=handle, VisibilityTimeout=0
            )
        return list(bodies.values())


@pytest.fixture
def chain(stack: Stack) -> Iterator[Chain]:
    stack.renew()
    worker = start_worker(stack, {"TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "2"})
    try:
        yield Chain(stack, worker)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)


def once(counts: Counts, transactions: int, rejections: int) -> bool:
    figures = (counts.documents, counts.parquet_rows, counts.transactions, counts.rejections)
    return figures == (transactions, transactions, transactions, rejections)


def test_dead_letters_come_back_and_count_once(chain: Chain, tmp_path: Path) -> None:
    chain.put(*(wire(number) for number in range(GOOD)))
    chain.put(*(wire(100 + number, total="-2.00") for number in range(NEGATIVE)))
    chain.put(b'{"schema": 1, "broken": ', wire(7, total="99.00"), b"\xff")
    assert once(chain.drained(), GOOD, NEGATIVE + 3)
    before = chain.messages()

    *rows, summary = chain.dlq("list")
    assert summary["summary"]["complete"]
    ids = {row["reason"]: row["letter_id"] for row in rows}
    assert set(ids) == {"amount_not_positive", "not_json", "not_utf8", "transaction_id_reused"}
    assert len(rows) == NEGATIVE + 3

    # As they are, none of them may go.
    chain.dlq("redrive", "--all", status=3)
    assert chain.records == GOOD + NEGATIVE + 3

    # Corrected, each goes the way that its reason asks for.
    chain.dlq("redrive", "--reason", "amount_not_positive", "--fix", "total=2.00")
    chain.dlq("redrive", ids["transaction_id_reused"], "--fix", "transaction_id=t-000007b")
    mended = tmp_path / "mended.json"
    mended.write_bytes(wire(200))
    chain.dlq("redrive", ids["not_json"], "--record", str(mended))
    came_back = NEGATIVE + 2
    assert once(chain.drained(), GOOD + came_back, 1)

    # A batch that is redone writes its letters again: redriven again, nothing is put.
    for body in before:
        chain.sqs.send_message(
            QueueUrl=chain.stack.provisioned.dead_letter_queue_url, MessageBody=body
        )
    records = chain.records
    *_, summary = chain.dlq("redrive", "--reason", "amount_not_positive", "--fix", "total=2.00")
    assert summary["summary"] == {
        "letters": NEGATIVE,
        "already redriven": NEGATIVE,
        "complete": True,
    }
    chain.dlq("redrive", ids["not_json"], ids["transaction_id_reused"])
    assert chain.records == records

    # Even a record that stood on the stream twice would count once.
    chain.put(wire(200), wire(200))
    assert once(chain.drained(), GOOD + came_back, 1)

    (purged,) = chain.dlq("purge", "--all", "--yes")
    assert purged["summary"] == {"letters": 1, "removed": 2, "complete": True}
    assert chain.messages() == []
    assert once(chain.drained(), GOOD + came_back, 0)
