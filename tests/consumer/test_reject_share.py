"""Where the share of rejects stops a shard, and where it does not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumer.reject_share import RECORDS_MIN, WINDOW_RECORDS_MAX, RejectShare, TooManyRejected

Batches = list[tuple[int, int]]


def stops_at(share: RejectShare, batches: Batches) -> int | None:
    """The index of the batch that it stops at."""
    for index, (records, rejections) in enumerate(batches):
        try:
            share.note(records, rejections)
        except TooManyRejected:
            return index
    return None


def test_few_records_are_no_reason_to_stop() -> None:
    assert stops_at(RejectShare(0.5), [(RECORDS_MIN - 1, RECORDS_MIN - 1)]) is None
    assert stops_at(RejectShare(0.5), [(RECORDS_MIN, RECORDS_MIN)]) == 0


def test_the_share_itself_is_allowed_and_one_more_is_not() -> None:
    assert stops_at(RejectShare(0.5), [(2_000, 1_000)]) is None
    assert stops_at(RejectShare(0.5), [(2_000, 1_001)]) == 0
    assert stops_at(RejectShare(0.0), [(2_000, 0), (2_000, 1)]) == 1


def test_raised_to_one_it_never_stops() -> None:
    assert stops_at(RejectShare(1.0), [(4_000, 4_000)] * 10) is None


def test_what_was_good_long_ago_does_not_excuse() -> None:
    good, bad = (4_000, 0), (4_000, 4_000)
    assert stops_at(RejectShare(0.5), [good] * 100 + [bad] * 100) == 101


def test_small_batches_stop_it_as_large_ones_do() -> None:
    batches = [(1, 0)] * WINDOW_RECORDS_MAX + [(1, 1)] * WINDOW_RECORDS_MAX
    stopped = stops_at(RejectShare(0.5), batches)
    assert stopped is not None
    half = WINDOW_RECORDS_MAX // 2
    assert half <= stopped - WINDOW_RECORDS_MAX <= half + WINDOW_RECORDS_MAX // 50


def test_a_batch_that_stops_it_is_not_counted_so_that_it_stops_again() -> None:
    share = RejectShare(0.5)
    share.note(1_000, 100)
    before = share.recent
    for _ in range(3):
        with pytest.raises(TooManyRejected, match=r"2,100 of the last 3,000.*more than 50%"):
            share.note(2_000, 2_000)
    assert share.recent == before


def test_a_new_start_does_not_bring_another_thousand_letters() -> None:
    share = RejectShare(0.5)
    bad = [(50, 50)] * 1_000
    assert stops_at(share, bad) == RECORDS_MIN // 50 - 1
    for _ in range(5):
        share = RejectShare(0.5, share.recent)
        assert stops_at(share, bad) == 0


@given(batches=st.lists(st.tuples(st.integers(1, 5_000), st.floats(0, 1)), max_size=300))
def test_restored_anywhere_it_goes_on_as_it_was_within_its_bounds(
    batches: list[tuple[int, float]],
) -> None:
    share, again = RejectShare(0.6), RejectShare(0.6)
    for records, part in batches:
        found = []
        for one in (share, again):
            try:
                one.note(records, int(records * part))
            except TooManyRejected as stopped:
                found.append(str(stopped))
        assert len(found) in (0, 2)
        assert len(set(found)) <= 1
        assert share.recent == again.recent
        assert len(share.recent) <= 66
        again = RejectShare(0.6, share.recent)
