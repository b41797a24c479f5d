from random import Random

import msgspec
import pytest
from river import base

from anomaly.state import NO_PEAK, PeaksState
from anomaly.threshold import BINS, BUDGET, LEAST, SEEN_MAX, SHIFT_MAX, SHIFT_MIN, PeakThreshold

WEEKLY = 0.02


def _peaks(seed: int, count: int, scale: float) -> list[float]:
    rng = Random(seed)
    return [rng.expovariate(1.0 / scale) - 8.0 for _ in range(count)]


def _taught(peaks: list[float]) -> PeakThreshold:
    threshold = PeakThreshold(WEEKLY)
    for peak in peaks:
        threshold.update(peak)
    return threshold


def test_it_is_one_of_river_s_and_a_clone_starts_anew() -> None:
    threshold = _taught([3.0] * 50)
    assert isinstance(threshold, base.Base)
    assert threshold.clone().get() == PeakThreshold(WEEKLY).get()


def test_it_is_passed_as_often_as_the_budget_says() -> None:
    threshold = _taught(_peaks(1, 6_000, scale=2.0))
    passed = sum(peak >= threshold.get() for peak in _peaks(2, 70_000, scale=2.0))
    assert 0.3 * 70_000 / 7 * WEEKLY < passed < 3.0 * 70_000 / 7 * WEEKLY


def test_a_few_days_of_fraud_do_not_move_it() -> None:
    quiet = _peaks(1, 3_000, scale=1.5)
    fraud = [30.0] * 30
    assert _taught(quiet + fraud).get() - _taught(quiet).get() < 1.5


def test_a_smaller_budget_needs_more() -> None:
    assert PeakThreshold(0.001).get() > PeakThreshold(0.01).get() > PeakThreshold(0.05).get()


@pytest.mark.parametrize(("peak", "level"), [(LEAST, SHIFT_MIN), (39.0, SHIFT_MAX)])
def test_no_stream_drags_it_beyond_its_limits(peak: float, level: float) -> None:
    threshold = PeakThreshold(BUDGET)
    for _ in range(9_000):
        threshold.update(peak)
    assert threshold.get() == level
    assert len(threshold.state.counts) == BINS


def test_a_day_without_refunds_counts_as_the_quietest() -> None:
    threshold = PeakThreshold(BUDGET)
    threshold.update(NO_PEAK)
    assert threshold.state.counts[0] == 1


def test_a_changed_stream_is_followed_and_memory_stays_bounded() -> None:
    threshold = _taught(_peaks(1, 2 * SEEN_MAX, scale=2.0))
    before = threshold.get()
    for peak in _peaks(3, 2 * SEEN_MAX, scale=0.8):
        threshold.update(peak)
    assert threshold.get() < before
    assert threshold.state.seen < SEEN_MAX
    assert len(msgspec.msgpack.encode(threshold.state)) < 1_000


def test_a_restored_state_gives_the_same_level_and_goes_on_alike() -> None:
    threshold = _taught(_peaks(1, 500, scale=2.0))
    restored = PeakThreshold(WEEKLY)
    restored.state = msgspec.msgpack.decode(
        msgspec.msgpack.encode(threshold.state), type=PeaksState
    )
    for peak in _peaks(2, 100, scale=3.0):
        threshold.update(peak)
        restored.update(peak)
    assert restored.get() == threshold.get()
    assert restored.state == threshold.state
