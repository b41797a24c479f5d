"""What is shown of a record holds no contact data and no card token, whatever the record holds."""

import json

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from consumer.masking import masked_record, neighbourhood, shown
from events.parse_reason import ParseReason
from events.pseudonym import Pseudonymizer
from tests.consumer.world import wire

PSEUDONYMIZE = Pseudonymizer(b"a key for tests only")
SECRET = "qzvkw7xjq"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("abc", max_size=8) | st.just(SECRET),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "email", "card_token", "x"]), inner)
    ),
    max_leaves=10,
)
PERSONAL = st.sampled_from(["payment", "contact", "note", "customer", "card"])


def masked(data: bytes) -> str:
    text = masked_record(data, PSEUDONYMIZE)
    assert text is not None
    return text


def test_known_fields_show_and_personal_ones_show_as_pseudonyms() -> None:
    data = wire(
        7,
        total="-5.00",
        contact={"name": "Jane Smith", "email": "Jane@example.org", "phone": "0123"},
        payment={"method": "CARD", "card_token": "k-93ab", "pan": "4111"},
        customer_id="u-1",
        lines=[{"item_id": "1", "unit_price": 1.5, "colour": "red"}, 7],
        approval_limit=None,
        note={"by": "Jane"},
        weight=12.5,
    )
    record = json.loads(masked(data))
    assert record["transaction_id"] == "t-000007"
    assert record["total"] == "-5.00"
    assert record["customer_id"] == "u-1"
    assert record["approval_limit"] is None
    assert record["contact"] == {
        "name": PSEUDONYMIZE.contact_name("jane smith"),
        "email": PSEUDONYMIZE.contact_email("jane@example.org"),
        "phone": "‹4 characters, masked›",
    }
    assert record["payment"] == {
        "method": "CARD",
        "card_token": PSEUDONYMIZE.card_token("k-93ab"),
        "pan": "‹4 characters, masked›",
    }
    assert record["lines"] == [
        {"item_id": "1", "unit_price": 1.5, "colour": "‹3 characters, masked›"},
        "‹number of 1 characters, masked›",
    ]
    assert record["note"] == "‹object of 1 fields, masked›"
    assert record["weight"] == "‹number of 4 characters, masked›"


def test_a_number_shows_as_the_number_it_is() -> None:
    assert '"total": 12.340' in masked(b'{"total":12.340,"shop_id":7}')
    assert '"shop_id": 7' in masked(b'{"total":12.340,"shop_id":7}')


@pytest.mark.parametrize(
    "text",
    [
        "Mrs Smith asked",
        "JANE",
        "write to a@b.example",
        "card 4111 1111 1111 1111",
        "4111-1111-1111-1111",
        "378282246310005",
        "token K-93AB",
    ],
)
@pytest.mark.parametrize("field", ["reason", "transaction_id", "shop_id", "cashier_id"])
def test_personal_data_in_a_field_that_shows_is_masked(field: str, text: str) -> None:
    data = wire(1, contact={"name": "Jane Smith"}, payment={"card_token": "k-93ab"}, reason="x")
    document = json.loads(data) | {field: text}
    assert json.loads(masked(json.dumps(document).encode()))[field] == (
        f"‹{len(text)} characters, masked›"
    )


@pytest.mark.parametrize(
    "text",
    ["shardId-000000000000", "4006381333931", "4111111111111112", "20260105103107251", "7" * 30],
)
def test_other_digits_show(text: str) -> None:
    assert shown(text) == text


def test_names_of_fields_may_hold_data_too() -> None:
    shown_names = json.loads(masked(b'{"jane@example.org": 1, "J S": 2, "a": 3}'))
    assert list(shown_names) == [
        "‹name of 16 characters, masked›",
        "‹name of 3 characters, masked›",
        "a",
    ]


@given(PERSONAL, JSON, st.sampled_from(["reason", "shop_id", "total", "lines", "currency"]), JSON)
def test_what_personal_fields_hold_shows_nowhere(
    personal: str, value: object, plain: str, other: object
) -> None:
    assume(other != SECRET or (personal in {"payment", "contact"} and SECRET in json.dumps(value)))
    data = json.dumps({personal: value, plain: other}).encode()
    assert SECRET not in masked(data)


@given(st.text(max_size=20))
def test_what_is_shown_cannot_steer_a_terminal(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown("x" * 500)) < 130


@pytest.mark.parametrize("data", [b"", b"[1]", b"7", b"{", b"\xff", b"[" * 99, b"\xef\xbb\xbf{}"])
def test_what_is_no_object_is_not_shown(data: bytes) -> None:
    assert masked_record(data, PSEUDONYMIZE) is None


def test_around_a_fault_are_kinds_and_the_schemas_own_names() -> None:
    data = b'{"total": 12.50, "contact": {"name": "Jane \xe9 Smith", "jane": 1}}'
    at = data.index(b"\xe9")
    assert neighbourhood(data, f"{ParseReason.NOT_UTF8.meaning} (at byte {at})") == (
        'byte 43 is 0xe9, of bytes 3 to 64: xxxx": 99.99, "contact": {"name": "xxxx · xxxxx",'
        ' "xxxx": 9}}'
    )


def test_without_a_byte_there_is_no_neighbourhood() -> None:
    assert neighbourhood(b"abc", "total: it is below zero") is None
    assert neighbourhood(b"abc", "JSON is malformed (byte 900)") is None
    assert neighbourhood(b"", "truncated (byte 0)") == "byte 0, of bytes 0 to 0: "


@given(st.text(st.characters(codec="ascii"), min_size=1, max_size=60), st.integers(0, 60))
def test_a_neighbourhood_holds_no_word_but_the_schemas(text: str, at: int) -> None:
    assume(at <= len(text))
    told = neighbourhood(text.encode(), f"malformed (byte {at})")
    assert told is not None
    shape = told.partition(": ")[2]
    assert all(sign in "x9·" or not sign.isalnum() for sign in shape)
