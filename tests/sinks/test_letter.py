import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.position import Position
from events.rejection import Rejection
from sinks.letter import UNREADABLE, letter_of, message
from tests.sinks.made import NOON, rejection

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
REJECTIONS = st.builds(
    Rejection,
    position=st.builds(
        Position, st.just("shardId-1"), st.from_regex(r"[1-9]\d{0,55}", fullmatch=True)
    ),
    data=st.binary(max_size=80),
    stage=TEXTS,
    reason=TEXTS,
    field=st.none() | TEXTS,
    detail=TEXTS,
    arrived_at=st.none() | st.integers(0, 2**50).map(lambda seconds: seconds // 1_000 * 1_000),
    shop_id=st.none() | TEXTS,
    model_version=st.none() | TEXTS,
)


@given(REJECTIONS, st.none() | st.just("dead-letters/1"))
def test_a_letter_says_what_the_rejection_said(entry: Rejection, key: str | None) -> None:
    letter = letter_of("m-1", message(entry, key), 7)
    for name in ("position", "stage", "reason", "field", "detail", "arrived_at", "shop_id"):
        assert getattr(letter, name) == getattr(entry, name)
    assert letter.model_version == entry.model_version
    assert letter.data_bytes == len(entry.data)
    assert (letter.data, letter.data_key) == (None if key else entry.data, key)
    assert letter.sent_at == 7


def test_a_letter_written_twice_is_one_and_two_stages_are_two() -> None:
    first = letter_of("m-1", message(rejection(1)), 1)
    assert letter_of("m-2", message(rejection(1)), 2).letter_id == first.letter_id
    others = [rejection(2), rejection(1, stage="parquet"), rejection(1, reason="not_utf8")]
    ids = {letter_of("m-3", message(entry)).letter_id for entry in others}
    assert len(ids) == 3
    assert first.letter_id not in ids
    assert len(first.letter_id) == 16
    assert first.record_id == json.loads(message(rejection(1)))["id"]


def test_what_has_no_time_of_arrival_goes_by_the_queues() -> None:
    assert letter_of("m", message(rejection(1)), 5).at == NOON  # in milliseconds
    assert letter_of("m", message(rejection(1, arrived_at=None)), 5).at == 5


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "[]",
        "{}",
        '{"Type": "Notification", "Message": "x"}',
        message(rejection(1)).replace('"data":"', '"data":"*'),
        message(rejection(1)).replace('"data":', '"other":'),
        message(rejection(1)).replace('"position":{', '"position":{"shard_id":7,'),
        message(rejection(1)).replace("2026-01-05T12", "lately"),
        "[" * 100_000,
    ],
)
def test_what_is_no_letter_of_ours_is_told_apart_and_kept_whole(text: str) -> None:
    letter = letter_of("m-1", text, 5)
    assert letter.stage == UNREADABLE
    assert letter.data == text.encode()
    assert letter.letter_id != letter_of("m-2", text, 5).letter_id
