"""What a transaction is made of."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from events.instant import DAY, HOUR, to_iso
from events.parse import OCCURRED_END, OCCURRED_MIN, TEXTS_SHARED_MAX, Parser
from events.pseudonym import Pseudonymizer
from events.rejection import Rejection
from events.transaction import Line, Transaction
from events.wire import LINES_MAX
from tests.events.example import (
    ABSENT,
    ARRIVED_AT,
    FULL,
    KEY,
    LEAST,
    accepted,
    parse,
    raw,
    record,
    rejected,
    wire,
)

NAMES = Pseudonymizer(KEY)


def test_every_field_arrives() -> None:
    assert accepted(wire()) == Transaction(
        transaction_id="t-000001",
        shop_id="shop-017",
        type="REFUND",
        occurred_at=ARRIVED_AT - 750_000,
        utc_offset_minutes=0,
        currency="GBP",
        total=2499,
        register_id="r2",
        cashier_id="c-41",
        payment_method="CARD",
        card_token=NAMES.card_token("k-93ab"),
        customer_id="u-5521",
        contact_name=NAMES.contact_name("Ada Example"),
        contact_email=NAMES.contact_email("ada@example.org"),
        original_transaction_id="t-000000",
        reason="DAMAGED",
        approval_limit=10_000,
        lines=(Line("101", "Item One", "toys", 1_000, 249_900),),
        unknown=None,
    )


def test_the_required_fields_are_enough() -> None:
    transaction = accepted(json.dumps(LEAST).encode())
    assert transaction.total == 2499
    assert (transaction.cashier_id, transaction.card_token, transaction.unknown) == (None,) * 3
    assert transaction.lines == ()


def test_null_is_absent() -> None:
    nothing = dict.fromkeys(FULL.keys() - LEAST.keys())
    assert accepted(wire(**nothing)) == accepted(json.dumps(LEAST | {"type": "REFUND"}).encode())
    hollow = wire(payment={"method": None}, contact={"name": None, "email": None}, lines=[{}])
    assert accepted(hollow).lines == (Line(),)
    assert accepted(hollow).card_token is None


def test_blank_contacts_are_absent_so_that_strangers_are_not_one_person() -> None:
    transaction = accepted(wire(contact={"name": " ", "email": ""}))
    assert transaction.contact_name is transaction.contact_email is None


def test_nothing_clear_is_left_of_contact_and_card() -> None:
    shown = repr(accepted(wire(contact={"name": "Ada", "email": "ada@x.org", "phone": "555"})))
    assert "Ada" not in shown
    assert "ada@" not in shown
    assert "k-93ab" not in shown
    assert "555" not in shown


@pytest.mark.parametrize(
    ("currency", "literal", "total"),
    [
        ("GBP", "24.99", 2499),
        ("GBP", '"24.99"', 2499),
        ("GBP", "0.1", 10),
        ("GBP", "29", 2900),
        ("GBP", "1e2", 10_000),
        ("JPY", "2499", 2499),
        ("JPY", '"2499.00"', 2499),
        ("KWD", "1.234", 1234),
        ("CLF", '"1.2345"', 12_345),
        ("GBP", '"9999999999999.99"', 10**15 - 1),
    ],
)
def test_totals_are_exact_in_every_currency(currency: str, literal: str, total: int) -> None:
    data = raw("total", literal).replace(b'"GBP"', json.dumps(currency).encode())
    assert accepted(data.replace(b'"100.00"', b"null")).total == total


def test_no_float_ever_stands_between_wire_and_units() -> None:
    for cents in range(1, 2_000):
        literal = str(Decimal(cents).scaleb(-2))
        assert accepted(raw("total", literal)).total == cents


def test_lines_may_be_discounts_and_corrections() -> None:
    lines = [
        {"quantity": -2, "unit_price": "1.2345"},
        {"quantity": 0.125, "unit_price": "-3"},
        {"quantity": "0", "unit_price": 0},
    ]
    assert accepted(wire(lines=lines)).lines == (
        Line(quantity_thousandths=-2_000, unit_price_e4=12_345),
        Line(quantity_thousandths=125, unit_price_e4=-30_000),
        Line(quantity_thousandths=0, unit_price_e4=0),
    )


def test_a_void_may_come_to_nothing_and_a_limit_to_zero() -> None:
    transaction = accepted(wire(type="VOID", total=0, approval_limit=0))
    assert (transaction.total, transaction.approval_limit) == (0, 0)


@pytest.mark.parametrize("count", [1_000, LINES_MAX])
def test_a_thousand_lines_and_more_are_a_receipt(count: int) -> None:
    lines = accepted(wire(lines=[{"item_id": str(number)} for number in range(count)])).lines
    assert [line.item_id for line in lines] == [str(number) for number in range(count)]


@pytest.mark.parametrize(
    ("text", "utc", "offset"),
    [
        ("2026-01-05T10:31:07Z", "2026-01-05T10:31:07.000Z", 0),
        ("2026-01-05T10:31:07.25+05:30", "2026-01-05T05:01:07.250Z", 330),
        ("2026-01-05t10:31:07-03:30", "2026-01-05T14:01:07.000Z", -210),
        ("2000-01-01T00:00:00Z", "2000-01-01T00:00:00.000Z", 0),
    ],
)
def test_times_are_utc_and_keep_the_shops_own_clock(text: str, utc: str, offset: int) -> None:
    transaction = accepted(wire(occurred_at=text))
    assert to_iso(transaction.occurred_at) == utc
    assert transaction.utc_offset_minutes == offset


def test_a_shops_clock_may_run_ahead_as_far_as_is_set() -> None:
    parser = Parser(NAMES, future_max=HOUR)
    occurred_at = accepted(wire()).occurred_at
    assert isinstance(parser.parse(record(wire(), occurred_at - HOUR)), Transaction)
    late = parser.parse(record(wire(), occurred_at - HOUR - 1))
    assert isinstance(late, Rejection)
    assert late.reason == "occurred_in_future"
    assert isinstance(Parser(NAMES).parse(record(wire(), occurred_at - DAY)), Transaction)


def test_without_an_arrival_the_centurys_end_is_the_future() -> None:
    last = wire(occurred_at="2099-12-31T23:59:59.999999Z")
    assert accepted(last, arrived_at=None).occurred_at == OCCURRED_END - 1
    after = rejected(wire(occurred_at="2100-01-01T00:00:00Z"), arrived_at=None)
    assert (after.reason, after.field) == ("occurred_in_future", "occurred_at")
    far = rejected(wire(occurred_at="2100-01-01T00:00:00Z"), arrived_at=OCCURRED_END)
    assert far.reason == "occurred_in_future"
    assert to_iso(OCCURRED_MIN) == "2000-01-01T00:00:00.000Z"


REQUIRABLE: dict[str, dict[str, Any]] = {
    "register_id": {"register_id": ABSENT},
    "cashier_id": {"cashier_id": None},
    "payment": {"payment": {}},
    "payment.method": {"payment": {"card_token": "k"}},
    "payment.card_token": {"payment": {"method": "CASH"}},
    "customer_id": {"customer_id": ABSENT},
    "contact": {"contact": {"name": ""}},
    "contact.name": {"contact": {"email": "a@b"}},
    "contact.email": {"contact": {"name": "Ada"}},
    "original_transaction_id": {"original_transaction_id": None},
    "reason": {"reason": ""},
    "approval_limit": {"approval_limit": None},
    "lines": {"lines": []},
}


@pytest.mark.parametrize("field", REQUIRABLE)
def test_a_source_can_be_held_to_its_optional_fields(field: str) -> None:
    parser = Parser(NAMES, required_fields=(field,))
    assert isinstance(parser.parse(record(wire())), Transaction)
    assert isinstance(parse(wire(**REQUIRABLE[field])), Transaction)
    rejection = parser.parse(record(wire(**REQUIRABLE[field])))
    assert isinstance(rejection, Rejection)
    assert (rejection.reason, rejection.field) == ("missing_field", field)


def test_a_required_limit_of_zero_is_there() -> None:
    parser = Parser(NAMES, required_fields=("approval_limit",))
    assert isinstance(parser.parse(record(wire(approval_limit=0))), Transaction)


def test_a_required_field_that_no_source_can_send_is_a_mistake_of_settings() -> None:
    with pytest.raises(ValueError, match="contacts, total"):
        Parser(NAMES, required_fields=("total", "contacts"))


def test_unknown_fields_are_kept_aside_as_they_came() -> None:
    data = wire(
        till={"version": "4.2", "flags": [1, None, True]}, lines=[{"vat": 20, "item_id": "1"}]
    )
    data = data.replace(b'"4.2"', b"4.20")
    assert accepted(data).unknown == (
        b'{"till":{"version":4.20,"flags":[1,null,true]},"lines":{"0":{"vat":20}}}'
    )
    assert accepted(data).lines == (Line(item_id="1"),)


def test_unknown_fields_of_payment_and_contact_are_dropped() -> None:
    data = wire(payment={"method": "CARD", "pan": "4111"}, contact={"phone": "555"})
    transaction = accepted(data)
    assert transaction.payment_method == "CARD"
    assert transaction.unknown is None


def test_unknown_numbers_that_few_can_hold_become_texts() -> None:
    big, small, long = str(2**63), str(-(2**63)), "0." + "1" * 70
    data = raw("extra", f"[{big}, {small}, 1e400, {long}, 1e2]")
    assert accepted(data).unknown == (
        f'{{"extra":["{big}",{small},"1e400","{long}",1e2]}}'.encode()
    )


def test_one_unknown_field_changes_nothing_else() -> None:
    known = accepted(wire())
    with_more = accepted(wire(extra="é"))
    assert with_more.unknown == '{"extra":"é"}'.encode()
    assert msgspec.structs.replace(with_more, unknown=None) == known


@pytest.mark.parametrize(
    "extra", [{"extra": {"total": 1}}, {"extra": "total"}, {"reason": "type"}, {"x": "caf\\u00e9"}]
)
def test_what_only_looks_like_a_second_key_is_none(extra: dict[str, Any]) -> None:
    assert accepted(wire(**extra)).total == 2499


def test_escaped_keys_and_texts_are_what_they_spell() -> None:
    data = wire(reason="café ☕ 😀").replace(b'"total"', b'"t\\u006ftal"')
    transaction = accepted(data)
    assert (transaction.total, transaction.reason) == (2499, "café ☕ 😀")


def test_elsewhere_the_last_of_two_keys_wins() -> None:
    data = wire().replace(b'"reason":', b'"reason": "LATE", "reason":')
    assert accepted(data).reason == "DAMAGED"
    nested = wire().replace(b'"item_id":', b'"item_id": "0", "item_id":')
    assert accepted(nested).lines[0].item_id == "101"


def test_identifiers_may_be_of_any_script() -> None:
    transaction = accepted(wire(transaction_id="é" * 256, shop_id="店-" + "é" * 126))
    assert len(transaction.transaction_id.encode()) == 512
    assert len(transaction.shop_id) == 128
    quoted = accepted(wire(transaction_id='a"b\\c', lines=[{"item_id": None}]))
    assert quoted.transaction_id == 'a"b\\c'


def test_transactions_share_one_copy_of_what_repeats_and_the_copies_are_bounded() -> None:
    parser = Parser(NAMES)
    one, other = (parser.parse(record(wire(transaction_id=id_))) for id_ in ("t-1", "t-2"))
    assert isinstance(one, Transaction)
    assert isinstance(other, Transaction)
    assert one.shop_id is other.shop_id
    assert one.lines[0].category is other.lines[0].category
    for number in range(TEXTS_SHARED_MAX + 100):
        parser.parse(record(wire(cashier_id=f"c-{number}")))
    assert 100 <= len(parser._people) <= TEXTS_SHARED_MAX
