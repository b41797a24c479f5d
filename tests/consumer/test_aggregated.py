"""KPL's aggregates, taken apart as KCL takes them apart."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.aggregated import user_records
from consumer.lineage import HASH_KEY_LAST, HashRange
from events.key_group import hash_key

MAGIC = bytes.fromhex("F3899AC2")
ALL = HashRange()


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def number(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def sealed(message: bytes) -> bytes:
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def aggregate(keys: list[str], records: list[tuple[int, bytes]]) -> bytes:
    message = b"".join(field(1, key.encode()) for key in keys)
    for index, data in records:
        message += field(3, number(1, index) + field(3, data))
    return sealed(message)


@given(
    st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=300)), max_size=20),
)
def test_every_user_record_is_given_back_in_order(
    keys: list[str], records: list[tuple[int, bytes]]
) -> None:
    records = [(index % len(keys), data) for index, data in records]
    found = user_records("outer", aggregate(keys, records), ALL)
    assert found == [(keys[index], data) for index, data in records]


@given(st.binary(max_size=60))
def test_what_is_no_aggregate_comes_as_it_is(data: bytes) -> None:
    for one in (data, MAGIC + data):
        assert user_records("key", one, ALL) == [("key", one)]
    assert user_records("key", MAGIC, ALL) == [("key", MAGIC)]


@pytest.mark.parametrize(
    "message",
    [
        number(1, 7),
        field(3, number(1, 7) + b"\x1a\x01a"),
        field(3, number(1, 0)),
        field(1, b"key") + field(3, field(1, b"0") + field(3, b"a")),
        field(1, b"\xff"),
        varint(1 << 3 | 5) + b"\x01\x02\x03\x04",
        varint(1 << 3 | 2) + varint(100) + b"short",
        b"\xff" * 12,
        b"\x0a",
    ],
    ids=[
        "a number as a table",
        "an index beyond the table",
        "no data",
        "an index that is no number",
        "a key that is no text",
        "a fixed field",
        "a field beyond the end",
        "a number without end",
        "an end within a field",
    ],
)
def test_a_message_that_is_none_comes_as_it_is(message: bytes) -> None:
    assert user_records("key", sealed(message), ALL) == [("key", sealed(message))]


def test_tags_and_hash_keys_are_passed_over() -> None:
    record = number(1, 0) + number(2, 0) + field(3, b"data") + field(4, field(1, b"tag"))
    message = field(1, b"key") + field(2, b"17") + field(3, record)
    assert user_records("outer", sealed(message), HashRange(17, 17)) == [("key", b"data")]
    assert user_records("outer", sealed(message), HashRange(18, HASH_KEY_LAST)) == []


def test_an_aggregate_that_reaches_beyond_the_shard_is_left_out_as_a_whole() -> None:
    place = hash_key("mine")
    data = aggregate(["mine", "theirs"], [(0, b"a"), (1, b"b")])
    assert user_records("mine", data, HashRange(place, place)) == []
    assert user_records("mine", aggregate(["mine"], [(0, b"a")]), HashRange(place, place)) == [
        ("mine", b"a")
    ]
