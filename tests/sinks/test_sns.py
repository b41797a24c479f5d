import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from moto import mock_aws

from events.instant import SECOND
from events.page import Entity
from sinks.dynamodb import CLAIM_SECONDS_MAX, Ledger
from sinks.page_links import Subject, links_of
from sinks.sns import Pager, publication
from tests.sinks.aws_double import client, create_ledger_table
from tests.sinks.made import NOON, page

LIVE_VIEW = "http://127.0.0.1:1/"
LINKS = links_of(Subject.of(page()), LIVE_VIEW)


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
        self.now = NOON

    def pager(self, sns: Any = None, *, owner: str = "worker-1") -> Pager:
        ledger = Ledger(self.dynamodb, "ledger", owner, clock=lambda: self.now)
        return Pager(sns or self.sns, self.topic, ledger, live_view=LIVE_VIEW)

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
        pages = [page(0), page(1, "updated"), page(2, "closed"), page(1, "updated"), page(0)]
        for owner in ("worker-1", "worker-2"):
            assert all(world.pager(owner=owner).send(one) for one in pages)
        assert world.pager().send(page(3, "updated"))
        got = [(message["page_id"], message["revision"]) for message in world.received()]
        assert sorted(got) == [("p-0001", 0), ("p-0001", 1), ("p-0001", 3)]


def test_what_a_rule_suppresses_is_sent_to_nobody_and_what_comes_behind_it_is() -> None:
    with mock_aws():
        world = World()
        assert world.pager().send(page(0, suppressed_by="s-1"))
        assert world.received() == []
        assert world.dynamodb.scan(TableName="ledger")["Items"] == []
        assert world.pager().send(page(1, "updated"))
        assert [message["revision"] for message in world.received()] == [1]


def test_what_machines_get_is_the_page_format() -> None:
    with mock_aws():
        world = World()
        assert world.pager().send(page())
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
                "live_view": "http://127.0.0.1:1/#page=p-0001",
                "athena": LINKS["athena"],
                "replay": "tillwatch replay --shop shop-001 --from 2026-01-05T12:00:00.000Z"
                " --to 2026-01-05T13:30:00.000Z --out p-0001",
            },
        }


def test_a_worker_that_dies_in_between_leaves_the_page_to_who_comes_later() -> None:
    class Dies:
        def __init__(self, real: Any, *, sends: bool) -> None:
            self._real, self._sends = real, sends

        def publish(self, **request: Any) -> None:
            if self._sends:
                self._real.publish(**request)
            raise SystemExit("killed")

    for sends, times in ((True, 2), (False, 1)):
        with mock_aws():
            world = World()
            with pytest.raises(SystemExit):
                world.pager(Dies(world.sns, sends=sends)).send(page())
            # It may still be at it: nobody sends beside it.
            assert not world.pager(owner="worker-2").send(page())
            world.now += (CLAIM_SECONDS_MAX + 1) * SECOND
            for _ in range(2):
                assert world.pager(owner="worker-2").send(page())
            assert [message["page_id"] for message in world.received()] == ["p-0001"] * times


def test_a_topic_that_fails_is_heard_of_and_the_same_worker_tries_again_at_once() -> None:
    class FailsOnce:
        def __init__(self, real: Any) -> None:
            self._real, self._left = real, 1

        def publish(self, **request: Any) -> None:
            if self._left:
                self._left -= 1
                raise EndpointConnectionError(endpoint_url="the topic")
            self._real.publish(**request)

    with mock_aws():
        world = World()
        pager = world.pager(FailsOnce(world.sns))
        with pytest.raises(EndpointConnectionError):
            pager.send(page())
        assert not world.pager(owner="worker-2").send(page())
        assert pager.send(page())
        assert len(world.received()) == 1


def test_a_page_that_went_out_and_could_not_be_noted_is_noted_later_and_not_sent_again() -> None:
    with mock_aws():
        world = World()
        pager = world.pager()
        mark, failures = pager._ledger.mark_sent, [1, 1, 1]

        def throttled(page_id: str, revision: int) -> None:
            if failures:
                failures.pop()
                raise EndpointConnectionError(endpoint_url="the ledger")
            mark(page_id, revision)

        pager._ledger.mark_sent = throttled  # type: ignore[method-assign]  # a fault
        for _ in range(3):
            with pytest.raises(EndpointConnectionError):
                pager.send(page())
        assert pager.send(page())
        assert world.pager(owner="worker-2").send(page())
        assert len(world.received()) == 1


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
        assert world.pager().send(strange)
        assert [message["shop_id"] for message in world.received()] == [nasty]


def test_an_empty_shop_id_still_makes_an_attribute() -> None:
    assert publication(page(shop_id=""), {})["MessageAttributes"]["shop_id"]["StringValue"] == "-"
