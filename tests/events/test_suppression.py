"""Rules on the wire, and that nothing else is taken for one."""

import json
from pathlib import Path

import msgspec
import pytest

from events.instant import DAY, MINUTE, Instant
from events.page import Entity
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from events.suppression import (
    SCHEMA_PATH,
    SPAN_MAX,
    Lift,
    Suppression,
    suppression,
    suppression_of,
    suppression_schema,
    wire_suppression,
)
from events.transaction import Transaction

AT: Instant = 1_767_600_000_000_000
RULE = suppression(
    "shop-017",
    AT + 7 * DAY,
    given_at=AT,
    entity=Entity("cashier", "c-41"),
    reason="cashier",
    since=AT + DAY,
    by="ann",
    note="a recall",
)
LIFT = Lift(RULE.rule_id, "shop-017", AT + DAY, "bob", "it is over")
ROOT = Path(__file__).parent.parent.parent


def parse(data: bytes) -> object:
    parser = Parser(Pseudonymizer(b"sixteen bytes ok"))
    return parser.parse(Record(Position("s", "1"), data, "shop-017", AT + MINUTE))


@pytest.mark.parametrize(
    "said",
    [
        RULE,
        suppression("shop-017", AT + SPAN_MAX, given_at=AT),
        LIFT,
        msgspec.structs.replace(LIFT, by=None, note=None),
    ],
)
def test_it_is_read_as_it_was_written(said: Suppression | Lift) -> None:
    assert parse(wire_suppression(said)) == said


def test_a_rule_s_id_follows_from_all_that_it_says() -> None:
    def made(**change: object) -> str:
        fields = msgspec.structs.asdict(RULE) | change
        del fields["rule_id"]
        return suppression(**fields).rule_id

    assert made() == RULE.rule_id
    others = [
        made(until=RULE.until + 1_000),
        made(given_at=AT + 1_000),
        made(entity=None),
        made(entity=Entity("card", "c-41")),
        made(reason="volume"),
        made(since=None),
        made(shop_id="shop-018"),
    ]
    assert len({RULE.rule_id, *others}) == 8


@pytest.mark.parametrize(
    "change",
    [
        {"rule_id": ""},
        {"rule_id": "s\n1"},
        {"shop_id": None},
        {"until": None},
        {"until": "2026-01-05T10:00:00"},
        {"until": "2026-01-06T08:00:00Z"},  # where it begins
        {"until": "2028-01-05T10:00:00Z"},
        {"since": "2028-01-05T10:00:00Z", "until": "2028-01-06T10:00:00Z"},
        {"since": "9999-12-30T10:00:00Z", "until": "9999-12-31T23:59:59-14:00"},
        {"given_at": "0001-01-01T00:00:00+14:00"},
        {"given_at": "yesterday"},
        {"since": 17},
        {"entity": "cashier:c-41"},
        {"entity": {"kind": "cashier"}},
        {"entity": {"kind": "cashier", "id": ""}},
        {"reason": "VOLUME; drop"},
        {"schema": 2},
        {"note": "x" * 501},
        {"transaction_id": "t-1"},
        {"type": "suppression"},
        {"type": "SUPPRESSION_LIFTED"},
    ],
)
def test_what_is_not_whole_is_rejected(change: dict[str, object]) -> None:
    wire = json.loads(wire_suppression(RULE)) | change
    assert isinstance(parse(json.dumps(wire).encode()), Rejection)


@pytest.mark.parametrize(
    "data", [b'"SUPPRESSION"', b'["SUPPRESSION"]', b'{"type":"SUPPRESSION"', b'\xff"SUPPRESSION"']
)
def test_rubbish_that_names_it_is_rejected(data: bytes) -> None:
    assert suppression_of(data) is None
    assert isinstance(parse(data), Rejection)


def test_a_transaction_that_speaks_of_suppression_stays_one() -> None:
    wire = {
        "transaction_id": "t-1",
        "shop_id": "shop-017",
        "type": "REFUND",
        "occurred_at": "2026-01-05T08:00:00Z",
        "currency": "GBP",
        "total": "1.00",
        "reason": "SUPPRESSION",
    }
    assert isinstance(parse(json.dumps(wire).encode()), Transaction)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"note": "x" * 501}, "note"),
        ({"shop_id": ""}, "shop_id"),
        ({"until": RULE.since}, "not after"),
        ({"until": AT + 400 * DAY}, "366 days"),
    ],
)
def test_what_does_not_fit_is_not_written(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        wire_suppression(msgspec.structs.replace(RULE, **change))


def test_the_schema_in_the_docs_is_that_of_the_types() -> None:
    written = (ROOT / SCHEMA_PATH).read_text(encoding="utf-8")
    assert written == suppression_schema(), "python -m events.suppression writes it"
