"""A valid record, and what the parser makes of variations of it."""

import json
from typing import Any

from events.instant import Instant
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction

KEY = b"a key of the tests alone"
POSITION = Position(
    "shardId-000000000007", "49590338271490256608559692538361571095921575989136588898"
)
PARSER = Parser(Pseudonymizer(KEY))
OCCURRED_AT = "2026-01-05T10:31:07.250+00:00"
ARRIVED_AT: Instant = 1_767_609_068_000_000
ABSENT = object()

FULL: dict[str, Any] = {
    "schema": 1,
    "transaction_id": "t-000001",
    "shop_id": "shop-017",
    "register_id": "r2",
    "cashier_id": "c-41",
    "type": "REFUND",
    "occurred_at": OCCURRED_AT,
    "currency": "GBP",
    "total": "24.99",
    "payment": {"method": "CARD", "card_token": "k-93ab"},
    "customer_id": "u-5521",
    "contact": {"name": "Ada Example", "email": "ada@example.org"},
    "original_transaction_id": "t-000000",
    "reason": "DAMAGED",
    "approval_limit": "100.00",
    "lines": [
        {
            "item_id": "101",
            "description": "Item One",
            "category": "toys",
            "quantity": 1,
            "unit_price": "24.99",
        }
    ],
}
"""The example of the wire contract, every field of version 1 in it."""

LEAST: dict[str, Any] = {
    "transaction_id": "t-000001",
    "shop_id": "shop-017",
    "type": "SALE",
    "occurred_at": OCCURRED_AT,
    "currency": "GBP",
    "total": "24.99",
}
"""The required fields alone."""


def record(data: bytes, arrived_at: Instant | None = ARRIVED_AT) -> Record:
    return Record(POSITION, data, "shop-017", arrived_at)


def parse(data: bytes, arrived_at: Instant | None = ARRIVED_AT) -> Transaction | Rejection:
    return PARSER.parse(record(data, arrived_at))


def wire(**changes: Any) -> bytes:
    """FULL with `changes`; ABSENT takes a field away."""
    fields = FULL | changes
    return json.dumps({key: item for key, item in fields.items() if item is not ABSENT}).encode()


def raw(field: str, literal: str) -> bytes:
    """FULL with `literal` in place of a top-level field's value, as it stands."""
    marker = "@@marker@@"
    return wire(**{field: marker}).replace(json.dumps(marker).encode(), literal.encode())


def accepted(data: bytes, arrived_at: Instant | None = ARRIVED_AT) -> Transaction:
    result = parse(data, arrived_at)
    assert isinstance(result, Transaction), result
    return result


def rejected(data: bytes, arrived_at: Instant | None = ARRIVED_AT) -> Rejection:
    result = parse(data, arrived_at)
    assert isinstance(result, Rejection), result
    return result
