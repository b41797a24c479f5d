"""The figures of the summary, counted in the places themselves."""

import threading
from pathlib import Path

import pytest

from events.position import Position
from events.rejection import Rejection
from local.aws import AwsEndpoint
from local.counts import rejected
from local.mailbox import Mailbox, line
from local.provision import Provisioned, provision
from sinks.dlq import DeadLetterSink
from sinks.memory import MemoryObjectStore

pytestmark = pytest.mark.integration


@pytest.fixture
def made(aws: AwsEndpoint, tmp_path: Path) -> Provisioned:
    return provision(aws, name=f"counts-{tmp_path.name.replace('_', '-')}"[:50], shards=1)


def rejection(number: int) -> Rejection:
    return Rejection(
        Position("shard-1", str(number)), b"garbage", "parse", "not_json", None, "no JSON"
    )


def test_every_rejected_record_counts_once_and_stays(aws: AwsEndpoint, made: Provisioned) -> None:
    sqs = aws.client("sqs")
    sink = DeadLetterSink(sqs, made.dead_letter_queue_url, MemoryObjectStore(), threading.Event())
    sink.write_rejections([rejection(number) for number in range(57)])
    sink.write_rejections([rejection(number) for number in range(20)])  # a redone batch
    assert rejected(sqs, made.dead_letter_queue_url) == 57
    assert rejected(sqs, made.dead_letter_queue_url) == 57


def test_empty_queue_counts_nothing(aws: AwsEndpoint, made: Provisioned) -> None:
    assert rejected(aws.client("sqs"), made.dead_letter_queue_url) == 0


def test_mailbox_gives_each_page_once(aws: AwsEndpoint, made: Provisioned) -> None:
    from events.page import Entity, Page
    from sinks.sns import publication

    page = Page(
        page_id="p-1",
        status="open",
        revision=0,
        shop_id="shop-1",
        opened_at=0,
        updated_at=0,
        reason="burst",
        entity=Entity("shop", "shop-1"),
        severity=3,
        after_transaction_id="t-1",
        evidence=("t-1",),
        refunds=1,
        observed=9.0,
        expected=1.0,
        refunded_total=100,
        currency="GBP",
        score=0.9,
        model_version="m",
        summary="nine refunds\x1b[2J at shop-1",
    )
    aws.client("sns").publish(TopicArn=made.topic_arn, **publication(page, {}))
    mailbox = Mailbox(aws.client("sqs"), made.pages_queue_url)
    (received,) = mailbox.take()
    assert "HIGH: nine refunds" in line(received)
    assert line(received).isprintable()
    assert mailbox.take() == []
