"""A record that is rejected leaves nothing behind that only a search for cycles would find.

The worker looks for cycles once in many batches; a fault that holds its own frame holds with it the
frames that called, and so all records that came together with a bad one.
"""

import gc
import json
from typing import Any

import pytest

from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection

GOOD: dict[str, Any] = {
    "schema": 1,
    "transaction_id": "t-1",
    "shop_id": "shop-1",
    "type": "SALE",
    "occurred_at": "2026-01-05T06:04:04+01:00",
    "currency": "GBP",
    "total": "1.00",
}


@pytest.mark.parametrize(
    "data",
    [
        json.dumps(GOOD).encode(),
        b"",
        b"no json",
        b"[" * 100,
        json.dumps(GOOD).encode()[:60],
        json.dumps(GOOD | {"shop_id": "?"}).encode().replace(b"?", b"\xff"),
        *(
            json.dumps(GOOD | wrong).encode()
            for wrong in (
                {"schema": 2},
                {"type": "GIFT"},
                {"currency": "XXX"},
                {"total": "much"},
                {"total": "1.001"},
                {"total": None},
                {"transaction_id": "t\n1"},
                {"occurred_at": "2026-01-05T06:04:04"},
                {"more": ["x" * 20_000]},
            )
        ),
    ],
)
def test_nothing_is_left_for_the_collector(data: bytes) -> None:
    parser = Parser(Pseudonymizer(b"a key of sixteen bytes or more"))
    record = Record(Position("shardId-0", "1"), data, "shop-1", None)
    parser.parse(record)  # fills caches
    gc.collect()
    gc.disable()
    try:
        parsed = parser.parse(record)
        assert isinstance(parsed, Rejection) == (data != json.dumps(GOOD).encode())
        assert gc.collect() == 0
    finally:
        gc.enable()
