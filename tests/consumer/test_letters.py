from typing import Any

import pytest

from consumer.letters import Found, Selection, as_json, summary, table
from events.instant import DAY, SECOND
from sinks.letter import Letter, letter_of, message
from tests.sinks.made import NOON, rejection


def letter(number: int, sent_at: int = NOON, **fields: Any) -> Letter:
    return letter_of("m-1", message(rejection(number, **fields)), sent_at)


ONE = letter(1, shop_id="shop-1", arrived_at=NOON)
TWO = letter(2, shop_id="shop-2", arrived_at=NOON + DAY, reason="not_utf8")
THREE = letter(3, shop_id=None, arrived_at=None, sent_at=NOON + 2 * DAY, stage="score")


@pytest.mark.parametrize(
    ("selection", "taken"),
    [
        (Selection(), [ONE, TWO, THREE]),
        (Selection(ids=frozenset({ONE.letter_id})), [ONE]),
        (Selection(ids=frozenset({TWO.record_id, "other"})), [TWO]),
        (Selection(reasons=frozenset({"not_utf8", "other"})), [TWO]),
        (Selection(stages=frozenset({"parse"})), [ONE, TWO]),
        (Selection(stages=frozenset({"parse"}), shops=frozenset({"shop-2"})), [TWO]),
        (Selection(shops=frozenset({"shop-"})), []),
        (Selection(since=NOON + 1), [TWO, THREE]),
        (Selection(since=NOON, until=NOON + DAY), [ONE]),
        (Selection(until=NOON + DAY + 1), [ONE, TWO]),
        (Selection(since=NOON + 2 * DAY), [THREE]),
    ],
)
def test_a_selection_takes_what_fits_everything(selection: Selection, taken: list[Letter]) -> None:
    assert [one for one in (ONE, TWO, THREE) if selection.takes(one)] == taken
    assert selection.everything == (taken == [ONE, TWO, THREE])


def test_what_has_no_time_fits_no_bound_of_time() -> None:
    timeless = letter_of("m", message(rejection(1, arrived_at=None)))
    assert not Selection(since=0).takes(timeless)
    assert not Selection(until=9 * NOON).takes(timeless)


def test_copies_are_one_letter_and_its_bytes_are_not_kept() -> None:
    found = Found()
    for one in (TWO, ONE, ONE, THREE, ONE):
        found.add(one)
    assert [one.letter_id for one in found] == [one.letter_id for one in (ONE, TWO, THREE)]
    assert len(found) == 3
    assert found.copies[ONE.letter_id] == 3
    assert all(one.data is None for one in found)
    assert found.by_reason() == [
        ("parse", "not_json", 1),
        ("parse", "not_utf8", 1),
        ("score", "not_json", 1),
    ]
    assert Selection(ids=frozenset({ONE.letter_id, TWO.record_id, "x"})).missing(found) == ["x"]


def test_a_table_is_in_order_of_arrival_and_nothing_in_it_is_personal() -> None:
    found = Found()
    found.add(letter(4, shop_id="jane@example.org", arrived_at=NOON - DAY, field="x\x1b[31m"))
    found.add(ONE)
    lines = table(found, found.copies)
    assert lines[0].split() == [
        *("LETTER", "ARRIVED", "SHOP", "STAGE", "REASON", "FIELD", "BYTES", "COPIES")
    ]
    assert "‹16 characters, masked›" in lines[1]
    assert "2026-01-04T12:00:00.000Z" in lines[1]
    assert "\x1b" not in "".join(lines)
    assert lines[2].split()[0] == ONE.letter_id
    assert table([], found.copies) == []


def test_a_summary_counts_and_says_when_the_oldest_goes() -> None:
    found = Found()
    for one in (ONE, ONE, TWO, letter(5)):
        found.add(one)
    assert summary(found, 14 * DAY // SECOND) == [
        "3 letters, and 1 more copies of them",
        "       2  parse/not_json",
        "       1  parse/not_utf8",
        "the queue keeps them 14 days: the oldest goes at 2026-01-19T12:00:00.000Z",
    ]
    assert summary(Found(), 0) == ["0 letters"]


def test_a_machine_is_told_everything_but_the_record() -> None:
    told = as_json(TWO, 2)
    assert told == {
        "letter_id": TWO.letter_id,
        "record_id": TWO.record_id,
        "stage": "parse",
        "reason": "not_utf8",
        "field": None,
        "detail": "the record is not JSON",
        "shop_id": "shop-2",
        "model_version": None,
        "arrived_at": "2026-01-06T12:00:00.000Z",
        "sent_at": "2026-01-05T12:00:00.000Z",
        "data_bytes": TWO.data_bytes,
        "data_key": None,
        "copies": 2,
    }
