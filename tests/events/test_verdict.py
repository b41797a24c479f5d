"""Verdicts on the wire, and that nothing else is taken for one."""

import json
from pathlib import Path

import msgspec
import pytest

from events.instant import MINUTE, Instant
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction
from events.verdict import SCHEMA_PATH, Verdict, verdict_of, verdict_schema, wire_verdict

AT: Instant = 1_767_600_000_000_000
VERDICT = Verdict("p-01", "shop-017", "volume", "fraud", AT, "ann", "seen on camera")
ROOT = Path(__file__).parent.parent.parent


def parse(data: bytes) -> object:
    parser = Parser(Pseudonymizer(b"sixteen bytes ok"))
    return parser.parse(Record(Position("s", "1"), data, "shop-017", AT + MINUTE))


@pytest.mark.parametrize(
    "verdict", [VERDICT, msgspec.structs.replace(VERDICT, by=None, note=None, finding="policy")]
)
def test_a_verdict_is_read_as_it_was_written(verdict: Verdict) -> None:
    assert parse(wire_verdict(verdict)) == verdict


@pytest.mark.parametrize(
    "change",
    [
        {"verdict": "maybe"},
        {"page_id": ""},
        {"page_id": "p\n1"},
        {"shop_id": None},
        {"given_at": "2026-01-05T10:00:00"},
        {"given_at": "yesterday"},
        {"given_at": "0001-01-01T00:00:00+14:00"},
        {"given_at": "9999-12-31T23:59:59-14:00"},
        {"given_at": "2026-01-07T10:00:00Z"},  # two days after it arrived
        {"schema": 2},
        {"note": "x" * 501},
        {"reason": "VOLUME; drop"},
        {"transaction_id": "t-1"},
        {"type": "verdict"},
    ],
)
def test_what_is_not_whole_is_rejected(change: dict[str, object]) -> None:
    wire = json.loads(wire_verdict(VERDICT)) | change
    assert isinstance(parse(json.dumps(wire).encode()), Rejection)


def test_a_time_that_cannot_be_is_named() -> None:
    wire = json.loads(wire_verdict(VERDICT)) | {"given_at": "0001-01-01T00:00:00+14:00"}
    rejection = parse(json.dumps(wire).encode())
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == ("occurred_too_long_ago", "given_at")


@pytest.mark.parametrize(
    "data", [b'"VERDICT"', b'["VERDICT"]', b'{"type":"VERDICT"', b'\xff"VERDICT"']
)
def test_rubbish_that_names_it_is_rejected(data: bytes) -> None:
    assert verdict_of(data) is None
    assert isinstance(parse(data), Rejection)


def test_a_transaction_that_speaks_of_verdicts_stays_one() -> None:
    wire = {
        "transaction_id": "t-1",
        "shop_id": "shop-017",
        "type": "REFUND",
        "occurred_at": "2026-01-05T08:00:00Z",
        "currency": "GBP",
        "total": "1.00",
        "reason": "VERDICT",
    }
    assert isinstance(parse(json.dumps(wire).encode()), Transaction)


def test_what_does_not_fit_is_not_written() -> None:
    with pytest.raises(ValueError, match="note"):
        wire_verdict(msgspec.structs.replace(VERDICT, note="x" * 501))
    with pytest.raises(ValueError, match="page_id"):
        wire_verdict(msgspec.structs.replace(VERDICT, page_id=""))


def test_the_schema_in_the_docs_is_that_of_the_types() -> None:
    written = (ROOT / SCHEMA_PATH).read_text(encoding="utf-8")
    assert written == verdict_schema(), "python -m events.verdict writes it"
