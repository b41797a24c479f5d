"""What a stream may carry that is no transaction, each input with its reason and field."""

import json
import sys
from collections.abc import Callable
from typing import Any

import pytest

from events.decode import NESTING_MAX, too_deep
from events.parse import STAGE
from events.rejection import Rejection
from events.transaction import Transaction
from events.unknown import UNKNOWN_BYTES_MAX
from events.wire import ID_BYTES_MAX, LINES_MAX, SHOP_ID_MAX, TEXT_MAX
from tests.events.example import (
    ABSENT,
    ARRIVED_AT,
    FULL,
    LEAST,
    POSITION,
    accepted,
    parse,
    raw,
    rejected,
    wire,
)

TEN_MIB = 10 * 2**20


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def objects(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


def latin1() -> bytes:
    return json.dumps(FULL | {"reason": "beschädigt"}, ensure_ascii=False).encode("latin-1")


RECORDS: dict[str, tuple[bytes, str, str | None]] = {
    # The whole record is at fault.
    "empty": (b"", "empty_record", None),
    "blanks": (b" \r\n\t", "empty_record", None),
    "not UTF-8": (latin1(), "not_utf8", None),
    "not UTF-8 in an unknown field": (wire(x="@").replace(b"@", b"\xff"), "not_utf8", None),
    "not UTF-8 in an unknown name": (wire(xy=1).replace(b"xy", b"x\xff"), "not_utf8", None),
    "a surrogate encoded as UTF-8": (
        wire(reason="@").replace(b"@", b"\xed\xa0\x80"),
        "not_utf8",
        None,
    ),
    "compressed": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not_utf8", None),
    "UTF-16": (json.dumps(FULL).encode("utf-16"), "not_utf8", None),
    "not JSON": (b"transaction t-1", "not_json", None),
    "cut off": (wire()[:-20], "not_json", None),
    "two objects": (wire() + wire(), "not_json", None),
    "byte-order mark": (b"\xef\xbb\xbf" + wire(), "not_json", None),
    "single quotes": (b"{'schema': 1}", "not_json", None),
    "control characters as they are": (wire(reason="@").replace(b"@", b"\x00"), "not_json", None),
    "an escape that is none": (wire(reason="@").replace(b"@", b"\\x41"), "not_json", None),
    "NULs": (b"\x00" * 400, "not_json", None),
    "NaN": (raw("total", "NaN"), "not_json", None),
    "Infinity": (raw("total", "Infinity"), "not_json", None),
    "-Infinity": (raw("approval_limit", "-Infinity"), "not_json", None),
    "leading zero": (raw("total", "007"), "not_json", None),
    "array": (b"[" + wire() + b"]", "not_object", None),
    "string": (b'"t-1"', "not_object", None),
    "number": (b"1e400", "not_object", None),
    "null": (b"null", "not_object", None),
    # Deep nesting, wherever it lies.
    "arrays without end": (b"[" * 100_000, "too_deep", None),
    "objects without end": (b'{"a":' * 100_000, "too_deep", None),
    "deep unknown": (raw("extra", nested(NESTING_MAX)), "too_deep", None),
    "deep unknown objects": (raw("extra", objects(NESTING_MAX)), "too_deep", None),
    "very deep unknown": (raw("extra", nested(50_000)), "too_deep", None),
    "deep total": (raw("total", nested(NESTING_MAX)), "too_deep", None),
    "very deep total": (raw("total", nested(50_000)), "too_deep", None),
    "deep contact": (raw("contact", f'{{"x":{nested(NESTING_MAX)}}}'), "too_deep", None),
    "deep shop": (raw("shop_id", nested(900)), "too_deep", None),
    # Half a surrogate pair, wherever it lies.
    "high surrogate": (raw("transaction_id", r'"t-\ud800"'), "lone_surrogate", "transaction_id"),
    "low surrogate": (raw("shop_id", r'"\uDC00-and-more-text"'), "lone_surrogate", "shop_id"),
    "two high surrogates": (raw("reason", r'"\ud83d\ud83d"'), "lone_surrogate", "reason"),
    "surrogate in a line": (
        raw("lines", r'[{"description": "\ud83d"}]'),
        "lone_surrogate",
        "lines",
    ),
    "surrogate in an unknown field": (raw("extra", r'"\ud800"'), "lone_surrogate", None),
    "surrogate in an unknown name": (raw("extra", r'1, "\ud800": 2'), "lone_surrogate", None),
    "surrogate in no object": (rb'["\ud800"]', "lone_surrogate", None),
    "surrogate in no JSON": (rb'{"a": "\ud800"', "not_json", None),
    # Another version.
    "schema 2": (wire(schema=2), "schema_unsupported", "schema"),
    "schema 0": (wire(schema=0), "schema_unsupported", "schema"),
    "schema 2 with other fields": (b'{"schema": 2, "id": "t-1"}', "schema_unsupported", "schema"),
    "schema as text": (wire(schema="1"), "wrong_type", "schema"),
    "schema as truth": (wire(schema=True), "wrong_type", "schema"),
    "schema 1.0": (raw("schema", "1.0"), "wrong_type", "schema"),
    "schema beyond counting": (raw("schema", "9" * 5_000), "amount_out_of_range", "schema"),
    # Duplicate keys.
    **{
        f"{name} twice": (
            wire().replace(b"{", json.dumps({name: value}).encode()[:-1] + b", ", 1),
            "duplicate_key",
            name,
        )
        for name, value in LEAST.items()
    },
    "total twice, once escaped": (
        wire(extra=1).replace(b'"extra"', b'"tota\\u006C"'),
        "duplicate_key",
        "total",
    ),
    "shop_id twice, once escaped": (
        wire(extra="shop-018").replace(b'"extra"', b'"shop\\u005Fid"'),
        "duplicate_key",
        "shop_id",
    ),
    "total twice beside unknown fields": (
        wire(extra=1, more=2).replace(b'"extra"', b'"total"'),
        "duplicate_key",
        "total",
    ),
    # What must be there.
    "empty object": (b"{}", "missing_field", "transaction_id"),
    **{f"no {name}": (wire(**{name: ABSENT}), "missing_field", name) for name in LEAST},
    **{f"{name} null": (wire(**{name: None}), "missing_field", name) for name in LEAST},
    # Types.
    **{
        f"number for {name}": (wire(**{name: 5}), "wrong_type", name)
        for name, value in FULL.items()
        if isinstance(value, str) and name not in {"total", "approval_limit"}
    },
    "number for card_token": (
        wire(payment={"card_token": 4111}),
        "wrong_type",
        "payment.card_token",
    ),
    "number for email": (wire(contact={"email": 5}), "wrong_type", "contact.email"),
    "number for item_id": (wire(lines=[{}, {"item_id": 101}]), "wrong_type", "lines[1].item_id"),
    "payment as text": (wire(payment="CARD"), "wrong_type", "payment"),
    "contact as list": (wire(contact=[]), "wrong_type", "contact"),
    "lines as object": (wire(lines={}), "wrong_type", "lines"),
    "null among lines": (wire(lines=[{}, None]), "wrong_type", "lines[1]"),
    "truth as total": (wire(total=True), "wrong_type", "total"),
    "object as total": (wire(total={"amount": 1}), "wrong_type", "total"),
    "list as total": (wire(total=[1.5]), "wrong_type", "total"),
    "truth as limit": (wire(approval_limit=False), "wrong_type", "approval_limit"),
    "truth as quantity": (wire(lines=[{"quantity": True}]), "wrong_type", "lines[0].quantity"),
    "wrong type beside unknown fields": (wire(extra=1, reason=[]), "wrong_type", "reason"),
    # Texts.
    **{
        f"{name} empty": (wire(**{name: ""}), "empty_text", name)
        for name in FULL
        if name.endswith("_id")
    },
    "card_token empty": (wire(payment={"card_token": ""}), "empty_text", "payment.card_token"),
    "item_id empty": (wire(lines=[{"item_id": ""}]), "empty_text", "lines[0].item_id"),
    "long transaction_id": (
        wire(transaction_id="x" * (ID_BYTES_MAX + 1)),
        "too_long",
        "transaction_id",
    ),
    "transaction_id of 513 bytes": (
        json.dumps(FULL | {"transaction_id": "é" * 256 + "x"}, ensure_ascii=False).encode(),
        "too_long",
        "transaction_id",
    ),
    "item_id of 513 bytes": (
        wire(lines=[{"item_id": "1"}, {"item_id": "é" * 257}]),
        "too_long",
        "lines[1].item_id",
    ),
    "long shop_id": (wire(shop_id="x" * (SHOP_ID_MAX + 1)), "too_long", "shop_id"),
    "long reason": (wire(reason="x" * (TEXT_MAX + 1)), "too_long", "reason"),
    "long card_token": (
        wire(payment={"card_token": "x" * (TEXT_MAX + 1)}),
        "too_long",
        "payment.card_token",
    ),
    "long description": (
        wire(lines=[{"description": "x" * (TEXT_MAX + 1)}]),
        "too_long",
        "lines[0].description",
    ),
    "one line too many": (wire(lines=[{}] * (LINES_MAX + 1)), "too_many_lines", "lines"),
    **{
        f"NUL in {name}": (wire(**{name: "a\0b"}), "control_character", name)
        for name in FULL
        if name.endswith("_id")
    },
    "NUL in item_id": (
        wire(lines=[{}, {"item_id": "\0"}]),
        "control_character",
        "lines[1].item_id",
    ),
    "line feed in shop_id": (wire(shop_id="shop\n17"), "control_character", "shop_id"),
    # Words.
    "unknown type": (wire(type="EXCHANGE"), "unknown_type", "type"),
    "type in small letters": (wire(type="refund"), "unknown_type", "type"),
    "empty type": (wire(type=""), "unknown_type", "type"),
    "a type that looks like a message": (
        wire(type="RFC3339 of length >= 1 - at `$.reason`"),
        "unknown_type",
        "type",
    ),
    "unknown currency": (wire(currency="GBX"), "unknown_currency", "currency"),
    "currency in small letters": (wire(currency="gbp"), "unknown_currency", "currency"),
    "gold": (wire(currency="XAU"), "unknown_currency", "currency"),
    "empty currency": (wire(currency=""), "unknown_currency", "currency"),
    # Unknown fields.
    "too many unknown fields": (
        wire(extra="x" * UNKNOWN_BYTES_MAX),
        "unknown_fields_too_large",
        None,
    ),
    "an unknown number beyond counting": (
        raw("extra", "9" * 5_000),
        "unknown_fields_too_large",
        None,
    ),
    # Amounts.
    "NaN as text": (wire(total="NaN"), "amount_not_decimal", "total"),
    "Infinity as text": (wire(total="Infinity"), "amount_not_decimal", "total"),
    "1e400": (raw("total", "1e400"), "amount_out_of_range", "total"),
    "1e400 as text": (wire(total="1e400"), "amount_out_of_range", "total"),
    "-1e400 in a line": (
        raw("lines", '[{"unit_price": -1e400}]'),
        "amount_out_of_range",
        "lines[0].unit_price",
    ),
    "1e-400": (raw("total", "1e-400"), "amount_too_precise", "total"),
    "5,000 digits": (raw("total", "9" * 5_000), "amount_out_of_range", "total"),
    "4,000 digits": (raw("total", "9" * 4_000), "amount_out_of_range", "total"),
    "10^15 pence": (wire(total="10000000000000.00"), "amount_out_of_range", "total"),
    "10^15 yen": (wire(total=10**15, currency="JPY"), "amount_out_of_range", "total"),
    "negative total": (wire(total="-24.99"), "amount_not_positive", "total"),
    "negative sale": (wire(type="SALE", total=-1), "amount_not_positive", "total"),
    "zero total": (wire(total="0.00"), "amount_not_positive", "total"),
    "minus zero": (raw("total", "-0.0"), "amount_not_positive", "total"),
    "negative void": (wire(type="VOID", total="-0.01"), "amount_negative", "total"),
    "negative limit": (wire(approval_limit=-1), "amount_negative", "approval_limit"),
    "a third of a penny": (wire(total="24.999"), "amount_too_precise", "total"),
    "sen": (wire(currency="JPY", total="24.99"), "amount_too_precise", "total"),
    "four decimals of dinars": (wire(currency="KWD", total=1.2345), "amount_too_precise", "total"),
    "a precise limit": (wire(approval_limit="0.001"), "amount_too_precise", "approval_limit"),
    "a precise price": (
        wire(lines=[{}, {"unit_price": "0.00001"}]),
        "amount_too_precise",
        "lines[1].unit_price",
    ),
    "a precise quantity": (
        wire(lines=[{"quantity": 0.0625}]),
        "amount_too_precise",
        "lines[0].quantity",
    ),
    "thousands separators": (wire(total="1,024.00"), "amount_not_decimal", "total"),
    "a currency sign": (wire(total="£5"), "amount_not_decimal", "total"),
    "no digits": (wire(total=""), "amount_not_decimal", "total"),
    "arabic digits": (wire(total="٥"), "amount_not_decimal", "total"),
    # Times.
    "no offset": (wire(occurred_at="2026-01-05T10:31:07"), "time_without_offset", "occurred_at"),
    "a date alone": (wire(occurred_at="2026-01-05"), "time_invalid", "occurred_at"),
    "no such day": (wire(occurred_at="2026-02-30T00:00:00Z"), "time_invalid", "occurred_at"),
    "a leap second": (wire(occurred_at="2016-12-31T23:59:60Z"), "time_invalid", "occurred_at"),
    "an offset of a day": (
        wire(occurred_at="2026-01-05T10:31:07+24:00"),
        "time_invalid",
        "occurred_at",
    ),
    "empty time": (wire(occurred_at=""), "time_invalid", "occurred_at"),
    "epoch seconds": (wire(occurred_at=1_767_609_067), "wrong_type", "occurred_at"),
    "year 1": (wire(occurred_at="0001-01-01T00:00:00Z"), "occurred_too_long_ago", "occurred_at"),
    "before year 1": (
        wire(occurred_at="0001-01-01T00:00:00+14:00"),
        "occurred_too_long_ago",
        "occurred_at",
    ),
    "1999": (wire(occurred_at="2000-01-01T00:59:59+01:00"), "occurred_too_long_ago", "occurred_at"),
    "year 9999": (wire(occurred_at="9999-12-31T23:59:59Z"), "occurred_in_future", "occurred_at"),
    "after year 9999": (
        wire(occurred_at="9999-12-31T23:59:59-14:00"),
        "occurred_in_future",
        "occurred_at",
    ),
    "after year 9999 by rounding": (
        wire(occurred_at="9999-12-31T23:59:59.9999999Z"),
        "time_invalid",
        "occurred_at",
    ),
    "the day after tomorrow": (
        wire(occurred_at="2026-01-07T10:31:07Z"),
        "occurred_in_future",
        "occurred_at",
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_it_is_rejected_with_its_reason_and_field(name: str) -> None:
    data, reason, field = RECORDS[name]
    rejection = rejected(data)
    assert (rejection.reason, rejection.field) == (reason, field)
    assert rejection.stage == STAGE
    assert (rejection.position, rejection.data) == (POSITION, data)
    assert rejection.arrived_at == ARRIVED_AT
    assert rejection.detail
    assert len(rejection.detail) < 300


@pytest.mark.parametrize("name", ["year 9999", "after year 9999", "year 1", "before year 1"])
def test_the_ends_of_the_calendar_are_rejected_without_an_arrival_too(name: str) -> None:
    data, reason, _ = RECORDS[name]
    assert rejected(data, arrived_at=None).reason == reason


def test_every_reason_has_its_input() -> None:
    from events.parse_reason import ParseReason

    assert {reason for _, reason, _ in RECORDS.values()} == {str(reason) for reason in ParseReason}


LARGE: dict[str, tuple[bytes, str]] = {
    "a description": (wire(lines=[{"description": "x" * TEN_MIB}]), "too_long"),
    "escapes": (raw("reason", '"' + r"\u00e9" * (TEN_MIB // 6) + '"'), "too_long"),
    "surrogates": (raw("reason", '"' + r"\ud800" * (TEN_MIB // 6) + '"'), "lone_surrogate"),
    "an unknown text": (wire(extra="x" * TEN_MIB), "unknown_fields_too_large"),
    "unknown brackets": (
        raw("extra", "[" + "[]," * (TEN_MIB // 3) + "0]"),
        "unknown_fields_too_large",
    ),
    "lines": (raw("lines", "[" + "{}," * (TEN_MIB // 3) + "{}]"), "too_many_lines"),
    "one key": (b"{" + b'"total":1,' * (TEN_MIB // 10) + wire()[1:], "duplicate_key"),
    "digits": (raw("total", "9" * TEN_MIB), "amount_out_of_range"),
    "decimals": (raw("total", "0." + "9" * TEN_MIB), "amount_out_of_range"),
    "unknown decimals": (raw("extra", "0." + "9" * TEN_MIB), "unknown_fields_too_large"),
    "open brackets": (b"[" * TEN_MIB, "too_deep"),
    "open braces": (b'{"a":' * (TEN_MIB // 5), "too_deep"),
    "quotes": (b'"' * TEN_MIB, "not_object"),
    "escaped quotes": (b'{"' + b'\\"' * (TEN_MIB // 2), "not_json"),
    "escaped quotes between brackets": (b"[" * 40 + b'"' + b'\\"' * (TEN_MIB // 2), "too_deep"),
    "backslashes": (b'{"' + b"\\" * TEN_MIB, "not_json"),
    "blanks": (b" " * TEN_MIB, "empty_record"),
    "high bytes": (b"\xff" * TEN_MIB, "not_utf8"),
}


@pytest.mark.parametrize("name", LARGE)
@pytest.mark.timeout(60)
def test_ten_mebibytes_are_one_rejection(name: str) -> None:
    data, reason = LARGE[name]
    assert len(data) > 0.99 * TEN_MIB
    assert rejected(data).reason == reason


def test_a_large_receipt_is_a_transaction() -> None:
    lines = [{"item_id": str(number), "description": "x" * TEXT_MAX} for number in range(LINES_MAX)]
    data = wire(lines=lines)
    assert len(data) > 5 * 2**20
    assert len(accepted(data).lines) == LINES_MAX


@pytest.mark.parametrize(
    ("data", "shop_id"),
    [
        (wire(total=-1), "shop-017"),
        (latin1(), "shop-017"),
        (raw("transaction_id", r'"\ud800"'), "shop-017"),
        (wire(schema=2), "shop-017"),
        (wire(extra="x" * UNKNOWN_BYTES_MAX), "shop-017"),
        (wire(total=-1, shop_id="店"), "店"),
        (wire(total=-1, shop_id="x" * SHOP_ID_MAX), "x" * SHOP_ID_MAX),
        (wire(shop_id="x" * (SHOP_ID_MAX + 1)), None),
        (wire(shop_id="a\nb"), None),
        (wire(shop_id=""), None),
        (wire(shop_id=17), None),
        (raw("shop_id", r'"shop-\ud800"'), None),
        (wire(shop_id=ABSENT), None),
        (wire()[:-1], None),
        (raw("extra", nested(NESTING_MAX)), None),
    ],
)
def test_the_shop_is_named_where_it_can_be_read(data: bytes, shop_id: str | None) -> None:
    assert rejected(data).shop_id == shop_id


@pytest.mark.parametrize("depth", range(NESTING_MAX - 3, NESTING_MAX + 3))
@pytest.mark.parametrize("shape", [nested, objects])
def test_nesting_is_counted_exactly(depth: int, shape: Callable[[int], str]) -> None:
    # The record itself is one level.
    result = parse(raw("extra", shape(depth)))
    assert isinstance(result, Transaction) == (depth + 1 <= NESTING_MAX)


def test_brackets_in_texts_are_no_nesting() -> None:
    assert accepted(wire(reason='[{"' * 300, extra='\\"[' * 300)).reason == '[{"' * 300


@pytest.mark.parametrize(
    ("data", "deep"),
    [
        (b"[]" * 100, False),
        (b"[{}]" * 100, False),
        (b"]" * 100 + b"[" * NESTING_MAX, False),
        (b"]" * 100 + b"[" * (NESTING_MAX + 1), True),
        (b'"' + b"[" * 100, False),
        (b'"\\' + b"[" * 100, False),
        (b'"\\\\"' + b"[" * 100, True),
    ],
)
def test_nesting_of_what_is_no_json(data: bytes, deep: bool) -> None:  # noqa: FBT001 -- a table's column
    assert too_deep(data) is deep


@pytest.mark.parametrize("depth", [500, 900, 950, 990, 2_000])
@pytest.mark.parametrize("field", ["total", "extra", "payment", "shop_id"])
def test_the_answer_does_not_hang_on_the_callers_stack(depth: int, field: str) -> None:
    literal = nested(depth) if field != "payment" else f'{{"x":{nested(depth)}}}'
    data = raw(field, literal)

    def called_at(frames: int) -> Transaction | Rejection:
        return called_at(frames - 1) if frames else parse(data)

    room = sys.getrecursionlimit() - 400
    assert called_at(0) == called_at(room // 2) == called_at(room)


SECRETS = ["4111-1111", "ada@example.org", "Ada Lovelace"]


@pytest.mark.parametrize(
    "change",
    [
        {"payment": {"card_token": ["4111-1111"]}},
        {"payment": {"card_token": "4111-1111" * 200}},
        {"contact": {"email": {"ada@example.org": 1}}},
        {"contact": {"name": "Ada Lovelace" * 200}},
        {"contact": ["ada@example.org", "Ada Lovelace"]},
        {"payment": "4111-1111"},
        {"total": "4111-1111"},
        {"type": "4111-1111"},
        {"occurred_at": "ada@example.org"},
        {"currency": "Ada Lovelace"},
        {"ada@example.org": "4111-1111" * 5_000},
    ],
)
def test_the_detail_quotes_nothing_that_came(change: dict[str, Any]) -> None:
    rejection = rejected(wire(**change))
    for secret in SECRETS:
        assert secret not in rejection.detail
        assert secret not in (rejection.field or "")
