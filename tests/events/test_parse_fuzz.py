"""Whatever the bytes, parsing ends in exactly one transaction or rejection, each time alike."""

import json
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from events.decode import NESTING_MAX
from events.money import AMOUNT_MAX, EXPONENTS
from events.parse import OCCURRED_END, OCCURRED_MIN, Parser
from events.parse_reason import ParseReason
from events.pseudonym import Pseudonymizer
from events.rejection import Rejection
from events.transaction import Transaction
from events.unknown import UNKNOWN_BYTES_MAX
from tests.events.example import (
    ARRIVED_AT,
    FULL,
    KEY,
    LEAST,
    PARSER,
    accepted,
    parse,
    record,
    wire,
)

REASONS = {reason.value for reason in ParseReason}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(["1e400", "24.99", "\0", "", "GBP", "2026-01-05T10:31:07"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
TOKENS = [
    *(bytes([byte]) for byte in b'"\\{}[],:-0.\0\xff'),
    *(
        b"\\ud800",
        b"\\u0000",
        b"1e400",
        b"NaN",
        b"null",
        b'"total":',
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
    ),
]
paths = st.sampled_from(
    [(name,) for name in FULL]
    + [("payment", "card_token"), ("contact", "email"), ("extra",), ("contact", "extra")]
    + [("lines", 0, name) for name in FULL["lines"][0]]
    + [("lines", 0), ("lines", 1), ("lines", 0, "extra")]
)


def replaced(fields: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """A copy of `fields` with `value` at `path`."""
    step, rest = path[0], path[1:]
    if isinstance(fields, list):
        items: list[Any] = [*fields, {}][: max(len(fields), int(step) + 1)]
        items[int(step)] = replaced(items[int(step)], rest, value) if rest else value
        return items
    return {**fields, step: replaced(fields.get(step, {}), rest, value) if rest else value}


def check(data: bytes, arrived_at: int | None = ARRIVED_AT) -> None:
    """One answer, a valid one, and the same from another parser."""
    result = parse(data, arrived_at)
    again = Parser(Pseudonymizer(KEY)).parse(record(data, arrived_at))
    assert again == result
    if isinstance(result, Transaction):
        check_transaction(result)
    else:
        assert isinstance(result, Rejection)
        assert result.reason in REASONS
        assert result.data == data
        # What sinks do with it next must not fail: it is text, and short.
        msgspec.json.encode([result.reason, result.field, result.detail, result.shop_id])
        assert len(result.detail) < 400


def check_transaction(transaction: Transaction) -> None:
    assert transaction.type == "VOID" or transaction.total > 0
    assert 0 <= transaction.total < AMOUNT_MAX
    assert transaction.currency in EXPONENTS
    assert OCCURRED_MIN <= transaction.occurred_at < OCCURRED_END
    assert abs(transaction.utc_offset_minutes) < 24 * 60
    assert 0 < len(transaction.transaction_id.encode()) <= 512
    assert 0 < len(transaction.shop_id) <= 128
    for line in transaction.lines:
        assert abs(line.unit_price_e4 or 0) < AMOUNT_MAX
        assert abs(line.quantity_thousandths or 0) < AMOUNT_MAX
    encoded = msgspec.json.encode(transaction)
    assert json.loads(encoded)["shop_id"] == transaction.shop_id
    if transaction.unknown is not None:
        assert len(transaction.unknown) <= UNKNOWN_BYTES_MAX
        assert isinstance(msgspec.json.decode(transaction.unknown), dict)


@given(data=st.binary(max_size=400))
@example(b"[" * 100_000)
@example(b'{"\\ud800": 1}')
def test_any_bytes(data: bytes) -> None:
    check(data)


@given(value=json_values)
def test_any_json(value: Any) -> None:
    check(json.dumps(value).encode())


@settings(max_examples=400)
@given(changes=st.lists(st.tuples(paths, json_values), min_size=1, max_size=3))
def test_a_valid_record_with_other_values(changes: list[tuple[tuple[str | int, ...], Any]]) -> None:
    fields: Any = FULL
    for path, value in changes:
        try:
            fields = replaced(fields, path, value)
        except (AttributeError, TypeError, ValueError):
            continue  # an earlier change took away what this one would go into
    for ascii_only in (True, False):
        text = json.dumps(fields, ensure_ascii=ascii_only)
        check(text.encode("utf-8", "surrogatepass"))


@settings(max_examples=400)
@given(
    edits=st.lists(
        st.tuples(
            st.integers(0, len(wire()) - 1),
            st.integers(0, 12),
            st.binary(max_size=6) | st.sampled_from(TOKENS),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_a_valid_record_with_other_bytes(edits: list[tuple[int, int, bytes]]) -> None:
    data = wire()
    for at, cut, insert in edits:
        data = data[:at] + insert + data[at + cut :]
    check(data)


@given(at=st.integers(0, len(wire())), size=st.integers(0, len(wire())))
def test_pieces_of_a_valid_record(at: int, size: int) -> None:
    check(wire()[at : at + size])


@given(
    depth=st.integers(1, 3 * NESTING_MAX),
    opening=st.sampled_from(['{"a":', "[", '[{"a":']),
    field=st.sampled_from([*FULL, "extra"]),
)
def test_any_depth_in_any_field(depth: int, opening: str, field: str) -> None:
    closing = opening.replace('{"a":', "}").replace("[", "]")[::-1]
    literal = opening * depth + "1" + closing * depth
    check(wire(**{field: "@@"}).replace(b'"@@"', literal.encode()))


@given(arrived_at=st.none() | st.integers(0, 2 * OCCURRED_END), text=st.datetimes().map(str))
def test_any_time_and_arrival(arrived_at: int | None, text: str) -> None:
    for offset in ("", "Z", "+14:00", "-14:00"):
        check(wire(occurred_at=text.replace(" ", "T") + offset), arrived_at)


@given(order=st.permutations(list(FULL)))
def test_the_order_of_fields_does_not_matter(order: list[str]) -> None:
    data = json.dumps({name: FULL[name] for name in order}).encode()
    assert accepted(data) == accepted(wire())


def written_twice(order: list[str], absent: set[str], twice: str, value: str, place: int) -> bytes:
    """The example without the fields `absent`, in `order`, and `twice` with `value` once more."""
    pairs = [(name, json.dumps(FULL[name])) for name in order if name not in absent]
    pairs.insert(place % (len(pairs) + 1), (twice, value))
    return ("{" + ",".join(f'"{name}":{text}' for name, text in pairs) + "}").encode()


# Values of every JSON type: what a record has of strings must not hide a key that is there twice.
@given(
    order=st.permutations(list(FULL)),
    absent=st.sets(st.sampled_from(sorted(set(FULL) - set(LEAST)))),
    twice=st.sampled_from(list(LEAST)),
    value=st.none() | st.just('"24.99"') | st.sampled_from(["24.99", "7", "null", "[]", '"7"']),
    place=st.integers(0, 20),
    total=st.sampled_from(['"24.99"', "24.99", "25"]),
    limit=st.sampled_from(['"100.00"', "100.5", "100", "null"]),
)
def test_what_a_transaction_stands_on_is_never_there_twice(
    order: list[str],
    absent: set[str],
    twice: str,
    value: str | None,
    place: int,
    total: str,
    limit: str,
) -> None:
    again = json.dumps(FULL[twice]) if value is None else value
    data = written_twice(order, absent, twice, again, place)
    data = data.replace(b'"total":"24.99"', b'"total":' + total.encode(), 1)
    data = data.replace(b'"approval_limit":"100.00"', b'"approval_limit":' + limit.encode(), 1)
    assert isinstance(parse(data), Rejection)


@given(indent=st.none() | st.integers(0, 4), spaces=st.sampled_from(["", " ", "\r\n\t"]))
def test_blanks_between_tokens_do_not_matter(indent: int | None, spaces: str) -> None:
    text = json.dumps(FULL, indent=indent, separators=(spaces + ",", spaces + ":"))
    assert accepted((spaces + text + spaces).encode()) == accepted(wire())


def test_the_fuzz_can_reach_both_ends() -> None:
    assert isinstance(PARSER.parse(record(wire())), Transaction)
    assert isinstance(PARSER.parse(record(b"")), Rejection)
