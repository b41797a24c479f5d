"""The small words: positions, instants, transactions, key groups."""

from datetime import UTC, datetime, timedelta, timezone
from hashlib import md5

import pytest

from events.batch import Batch, Scored
from events.instant import HOUR, floor_hour, from_datetime, to_datetime, to_iso
from events.key_group import HASH_BITS, hash_key, key_group
from events.page import EVIDENCE_MAX, Entity
from events.position import Position
from events.score import Reason, Score
from tests.events.example import FULL, LEAST, accepted, wire


def test_positions_of_a_shard_order_by_number_and_not_by_text() -> None:
    early, late = Position("s", "9", 3), Position("s", "10", 0)
    assert early.order < late.order
    assert late.order < Position("s", "10", 1).order
    assert early.slug == "9-3"


def test_instants_are_exact_at_both_ends_of_the_calendar() -> None:
    first = datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))
    last = datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=timezone(timedelta(hours=-14)))
    assert from_datetime(first) == -62_135_596_800_000_000 - 14 * HOUR
    assert from_datetime(last) == 253_402_300_799_999_999 + 14 * HOUR
    assert to_datetime(0) == datetime(1970, 1, 1, tzinfo=UTC)
    with pytest.raises(OverflowError):
        to_datetime(from_datetime(last))


def test_instants_in_words_and_by_the_hour() -> None:
    moment = from_datetime(datetime(2026, 1, 5, 10, 31, 7, 250_000, tzinfo=UTC))
    assert to_iso(moment) == "2026-01-05T10:31:07.250Z"
    assert to_iso(floor_hour(moment)) == "2026-01-05T10:00:00.000Z"
    assert floor_hour(-1) == -HOUR


def test_the_words_are_frozen_and_compare_by_what_they_hold() -> None:
    transaction = accepted(wire())
    position = Position("s", "10")
    reason = Reason("volume", "shop", "shop-017", 0.4, 7.0, "refunds", 1.0)
    scored = Scored(position, transaction, Score(0.9, (reason,), "v1"), wire())
    batch = Batch((scored,), (), (), position, position, 1)
    same = Scored(Position("s", "10", 0), transaction, Score(0.9, (reason,), "v1"), wire())
    assert batch == Batch((same,), (), (), position, position, 1)
    for word in (batch, scored, reason, position, transaction, Entity("shop", "1")):
        name = word.__struct_fields__[0]
        with pytest.raises(AttributeError):
            setattr(word, name, None)
    assert EVIDENCE_MAX == 25


def test_only_a_refund_is_a_refund() -> None:
    kinds = {kind: accepted(wire(type=kind)).is_refund for kind in ("SALE", "REFUND", "VOID")}
    assert kinds == {"SALE": False, "REFUND": True, "VOID": False}
    assert set(LEAST) < set(FULL)


def test_the_hash_key_is_what_kinesis_computes() -> None:
    digest = md5("Läden-7".encode(), usedforsecurity=False).hexdigest()
    assert hash_key("Läden-7") == int(digest, 16)
    assert 0 <= hash_key("") < 2**HASH_BITS


def test_key_groups_are_contiguous_ranges_that_cover_the_space() -> None:
    shops = sorted((f"shop-{number:04}" for number in range(1_000)), key=hash_key)
    for groups in (1, 4, 7, 256):
        numbers = [key_group(shop, groups) for shop in shops]
        assert numbers == sorted(numbers)
        assert (numbers[0], numbers[-1]) == (0, groups - 1)


def test_a_split_at_a_group_edge_parts_no_group() -> None:
    edge = 2**HASH_BITS // 4
    for shop in (f"shop-{number:04}" for number in range(200)):
        assert (hash_key(shop) < edge) == (key_group(shop, 4) == 0)
