"""Documents as they are encoded; tests/sinks/test_templates.py holds them to the mappings."""

from typing import Any

import msgspec
import pytest

from events.instant import DAY
from events.page import Entity
from events.suppression import Lift, suppression
from events.transaction import Line
from events.verdict import Verdict
from sinks import document
from tests.sinks.made import NOON, SHARD, batch, page, position, rejection, score, scored


def encoded(entry: document.Entry) -> tuple[dict[str, Any], dict[str, Any]]:
    action, body = msgspec.json.encode(entry.action), msgspec.json.encode(entry.document)
    return msgspec.json.decode(action)["index"], msgspec.json.decode(body)


def test_a_full_transaction() -> None:
    item = scored(
        1,
        score=score(),
        type="REFUND",
        register_id="r2",
        payment_method="CARD",
        card_token="k-1",
        customer_id="u-1",
        contact_name="n-hash",
        contact_email="e-hash",
        original_transaction_id="t-0",
        reason="DAMAGED",
        approval_limit=10_000,
        lines=(Line("101", "Item One", "toys", 1_500, 249_950), Line()),
        unknown=b'{"till":{"side":"left"}}',
    )
    target, body = encoded(document.transaction(item))
    assert target == {"_index": "transactions-2026.01.05", "_id": "t-000001"}
    assert body == {
        "transaction_id": "t-000001",
        "shop_id": "shop-001",
        "type": "REFUND",
        "occurred_at": "2026-01-05T12:00:01.250000Z",
        "utc_offset_minutes": 60,
        "currency": "GBP",
        "total": 25.0,
        "position": {
            "shard_id": SHARD,
            "sequence_number": position(1).sequence_number,
            "sub_sequence_number": 1,
        },
        "arrived_at": "2026-01-05T12:00:01.300000Z",
        "register_id": "r2",
        "cashier_id": "c-1",
        "payment_method": "CARD",
        "card_token": "k-1",
        "customer_id": "u-1",
        "contact_name": "n-hash",
        "contact_email": "e-hash",
        "original_transaction_id": "t-0",
        "reason": "DAMAGED",
        "approval_limit": 100.0,
        "lines": [
            {
                "item_id": "101",
                "description": "Item One",
                "category": "toys",
                "quantity": 1.5,
                "unit_price": 24.995,
            },
            {},
        ],
        "unknown": {"till": {"side": "left"}},
        "score": msgspec.json.decode(msgspec.json.encode(score())),
    }


def test_what_the_source_does_not_have_is_not_there() -> None:
    item = scored(1, cashier_id=None, lines=())
    _, body = encoded(document.transaction(msgspec.structs.replace(item, arrived_at=None)))
    assert set(body) == {
        "transaction_id",
        "shop_id",
        "type",
        "occurred_at",
        "utc_offset_minutes",
        "currency",
        "total",
        "position",
    }


@pytest.mark.parametrize(
    ("total", "currency", "text"),
    [(2_490, "GBP", b":24.90,"), (2_490, "JPY", b":2490,"), (1, "KWD", b":0.001,")],
)
def test_amounts_are_written_exactly(total: int, currency: str, text: bytes) -> None:
    entry = document.transaction(scored(1, total=total, currency=currency))
    assert b'"total"' + text in msgspec.json.encode(entry.document)


@pytest.mark.parametrize(
    ("occurred_at", "index"),
    [
        (NOON - NOON % 86_400_000_000, "transactions-2026.01.05"),
        (NOON - NOON % 86_400_000_000 - 1, "transactions-2026.01.04"),
        (-62_135_596_800_000_000, "transactions-0001.01.01"),
        (253_402_300_799_999_999, "transactions-9999.12.31"),
    ],
)
def test_the_index_is_the_event_day_in_utc(occurred_at: int, index: str) -> None:
    target, _ = encoded(document.transaction(scored(1, occurred_at=occurred_at)))
    assert target["_index"] == index


def test_a_page_carries_its_revision_as_version() -> None:
    target, body = encoded(document.page(page(2, "updated")))
    assert target == {
        "_index": "pages-2026.01",
        "_id": "p-0001",
        "version": 3,
        "version_type": "external_gte",
    }
    assert body["refunded_total"] == 1284.0
    assert body["entity"] == {"kind": "cashier", "id": "c-1"}
    assert body["opened_at"] == "2026-01-05T12:00:00Z"
    assert body["evidence"] == ["t-000001", "t-000008"]


def test_only_the_latest_revision_of_a_page_is_written() -> None:
    other = page(page_id="p-0002")
    pages = (page(0), other, page(1, "updated"), page(2, "closed"), page(1, "updated"))
    assert document.latest(pages) == [page(2, "closed"), other]
    assert document.latest(()) == []


def test_the_latest_verdict_on_a_page_stands() -> None:
    item = Verdict("p-1", "shop-001", "volume", "ok", NOON, "ann", "a recall")
    target, body = encoded(document.said(item))
    assert target == {
        "_index": "verdicts",
        "_id": "p-1",
        "version": NOON // 1_000,
        "version_type": "external_gte",
    }
    assert body == {
        "page_id": "p-1",
        "shop_id": "shop-001",
        "reason": "volume",
        "verdict": "ok",
        "given_at": "2026-01-05T12:00:00Z",
        "by": "ann",
        "note": "a recall",
    }


def test_a_rule_and_its_end_are_two_documents() -> None:
    rule = suppression(
        "shop-001",
        NOON + DAY,
        given_at=NOON,
        entity=Entity("cashier", "c-1"),
        reason="cashier",
        note="a recall",
    )
    target, body = encoded(document.said(rule))
    assert (target["_index"], target["_id"]) == ("suppressions", rule.rule_id)
    assert body == {
        "rule_id": rule.rule_id,
        "shop_id": "shop-001",
        "action": "suppress",
        "given_at": "2026-01-05T12:00:00Z",
        "until": "2026-01-06T12:00:00Z",
        "entity": {"kind": "cashier", "id": "c-1"},
        "reason": "cashier",
        "note": "a recall",
    }
    target, body = encoded(document.said(Lift(rule.rule_id, "shop-001", NOON, "ann")))
    assert target["_id"] == f"{rule.rule_id}#lift"
    assert body == {
        "rule_id": rule.rule_id,
        "shop_id": "shop-001",
        "action": "lift",
        "given_at": "2026-01-05T12:00:00Z",
        "by": "ann",
    }


def test_a_page_names_the_rule_that_keeps_it_back() -> None:
    _, body = encoded(document.page(msgspec.structs.replace(page(0), suppressed_by="s-1")))
    assert body["suppressed_by"] == "s-1"
    assert "suppressed_by" not in encoded(document.page(page(0)))[1]


def test_a_rejection_has_no_bytes_and_one_place() -> None:
    target, body = encoded(document.rejection(rejection(4, b"bob@example.org", shop_id="s")))
    assert target == {
        "_index": "rejections-2026.01.05",
        "_id": f"{SHARD}-{position(4).slug}",
    }
    assert b"bob" not in msgspec.json.encode(body)
    assert body["data_bytes"] == 15
    assert body["shop_id"] == "s"


def test_a_rejection_without_a_time_of_arrival_lies_apart() -> None:
    target, _ = encoded(document.rejection(rejection(4, arrived_at=None)))
    assert target["_index"] == "rejections-undated"


def test_the_status_of_a_shard() -> None:
    made = batch(scored(1), scored(2), pages=(page(),), rejections=(rejection(3),))
    target, body = encoded(document.status(made, NOON + 60_000_000))
    assert target == {"_index": "operations", "_id": SHARD}
    assert body == {
        "shard_id": SHARD,
        "records": 3,
        "transactions": 2,
        "pages": 1,
        "rejections": 1,
        "position": msgspec.to_builtins(position(3)),
        "written_at": "2026-01-05T12:01:00Z",
        "behind_millis": 40,
        "last_event_at": "2026-01-05T12:00:02.500000Z",
    }


def test_the_status_of_a_batch_without_transactions_has_no_event_time() -> None:
    _, body = encoded(document.status(batch(rejections=(rejection(3),)), NOON))
    assert "last_event_at" not in body


def test_what_is_no_currency_has_no_document() -> None:
    with pytest.raises(KeyError):
        document.transaction(scored(1, currency="XXX"))
