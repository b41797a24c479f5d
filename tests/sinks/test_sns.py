import json
import threading
from typing import Any

import pytest
from moto import mock_aws

from events.page import Entity
from sinks.dynamodb import Ledger
from sinks.sns import PageSink, publication
from tests.sinks.aws_double import client, create_ledger_table
from tests.sinks.made import batch, page, scored

LINKS = {
    "live_view": "http://127.0.0.1:1/?page={page_id}",
    "explain": "tillwatch explain {after_transaction_id}",
}


class World:
    """A topic with a queue behind it, and the sink of a worker that may die and come again."""

    def __init__(self) -> None:
        self.sns, self.sqs, self.dynamodb = client("sns"), client("sqs"), client("dynamodb")
        self.topic = self.sns.create_topic(Name="pages")["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName="pages")["QueueUrl"]
        self.sns.subscribe(
            TopicArn=self.topic,
            Protocol="sqs",
            Endpoint="arn:aws:sqs:us-east-1:123456789012:pages",
        )
        create_ledger_table(self.dynamodb)

    def sink(self, sns: Any = None) -> PageSink:
        stop = threading.Event()
        ledger = Ledger(self.dynamodb, "ledger", stop, wait_seconds_max=0.001)
        return PageSink(
            sns or self.sns, self.topic, ledger, stop, links=LINKS, wait_seconds_max=0.001
        )

    def received(self) -> list[dict[str, Any]]:
        got = []
        while messages := self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get(
            "Messages"
        ):
            for message in messages:
                got.append(json.loads(json.loads(message["Body"])["Message"]))
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return got


def test_a_page_is_sent_once_per_revision_and_never_for_its_closing() -> None:
    with mock_aws():
        world = World()
        made = batch(scored(1), pages=(page(0), page(1, "updated"), page(2, "closed")))
        world.sink().write(made)
        world.sink().write(made)
        world.sink().write(batch(scored(2), pages=(page(1, "updated"), page(3, "updated"))))
        got = [(message["page_id"], message["revision"]) for message in world.received()]
        assert sorted(got) == [("p-0001", 0), ("p-0001", 1), ("p-0001", 3)]


def test_what_machines_get_is_the_page_format() -> None:
    with mock_aws():
        world = World()
        world.sink().write(batch(scored(1), pages=(page(),)))
        (message,) = world.received()
        assert message == {
            "page_id": "p-0001",
            "status": "open",
            "revision": 0,
            "shop_id": "shop-001",
            "opened_at": "2026-01-05T12:00:00.000Z",
            "updated_at": "2026-01-05T12:30:00.000Z",
            "reason": "volume",
            "entity": {"kind": "cashier", "id": "c-1"},
            "severity": 4,
            "after_transaction_id": "t-000001",
            "evidence": ["t-000001", "t-000008"],
            "refunds": 14,
            "observed": 14.0,
            "expected": 0.5,
            "refunded_total": "1284.00",
            "currency": "GBP",
            "score": 0.98,
            "model_version": "m1",
            "summary": "14 refunds, 1,284.00 GBP, in 26 minutes at shop-001",
            "links": {
                "live_view": "http://127.0.0.1:1/?page=p-0001",
                "explain": "tillwatch explain t-000001",
            },
        }


def test_a_worker_that_dies_after_sending_sends_the_same_page_id_again() -> None:
    class Dies:
        def __init__(self, real: Any) -> None:
            self._real = real

        def publish(self, **request: Any) -> None:
            self._real.publish(**request)
            raise SystemExit("killed")

    with mock_aws():
        world = World()
        made = batch(scored(1), pages=(page(),))
        with pytest.raises(SystemExit):
            world.sink(Dies(world.sns)).write(made)
        world.sink().write(made)
        world.sink().write(made)
        assert [message["page_id"] for message in world.received()] == ["p-0001", "p-0001"]


def test_a_publication_has_a_form_for_each_kind_of_reader() -> None:
    request = publication(page(), LINKS)
    message = json.loads(request["Message"])
    assert set(message) == {"default", "email", "sms"}
    assert json.loads(message["default"])["page_id"] == "p-0001"
    assert "What to do next" in message["email"]
    assert request["MessageAttributes"] == {
        "severity": {"DataType": "Number", "StringValue": "4"},
        "shop_id": {"DataType": "String", "StringValue": "shop-001"},
        "reason": {"DataType": "String", "StringValue": "volume"},
        "status": {"DataType": "String", "StringValue": "open"},
    }


def test_nothing_that_sns_refuses_gets_into_a_publication() -> None:
    nasty = "\x00\ufffe\nшоп \U0001f600 \u2028" * 12
    strange = page(
        shop_id=nasty,
        reason=nasty,
        summary=nasty * 40,
        entity=Entity("card", nasty),
        evidence=(nasty,) * 25,
    )
    request = publication(strange, {"live_view": nasty})
    assert request["Message"].isascii()
    assert len(request["Message"]) + len(request["Subject"]) < 256 * 1024
    subject = request["Subject"]
    assert subject.isascii()
    assert subject.isprintable()
    assert 0 < len(subject) <= 100
    for name in ("shop_id", "reason"):
        assert request["MessageAttributes"][name]["StringValue"].isprintable()
    assert json.loads(json.loads(request["Message"])["default"])["shop_id"] == nasty
    with mock_aws():
        world = World()
        world.sink().write(batch(scored(1), pages=(strange,)))
        assert [message["shop_id"] for message in world.received()] == [nasty]


def test_an_empty_shop_id_still_makes_an_attribute() -> None:
    assert publication(page(shop_id=""), {})["MessageAttributes"]["shop_id"]["StringValue"] == "-"
