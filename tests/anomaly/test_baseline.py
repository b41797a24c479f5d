from random import Random

import pytest

from anomaly.baseline import CHAIN_LIFT_MAX, LIFT_MAX, LIFT_MIN, HourOfWeek
from anomaly.state import FORMAT, PAST_HOURS, GroupState
from events.instant import HOUR, MINUTE

FIRST = 500_000


def _grown(hours: int) -> HourOfWeek:
    rng, shop = Random(hours), HourOfWeek(GroupState(FORMAT))
    for hour in range(FIRST, FIRST + hours):
        shop.learn_one({"hour": hour, "sales": rng.randrange(30), "refunds": rng.random() * 3})
    return shop


@pytest.mark.parametrize("hours", [1, 2, 20, 30, 400])
@pytest.mark.parametrize("ago", [-3, 0, 1, 15, 30, 60])
def test_what_is_expected_of_a_window_is_the_sum_of_its_hours(hours: int, ago: int) -> None:
    """Whatever part of it lies before the shop's first hour, after its last, or is long gone."""
    shop = _grown(hours)
    state = shop.state
    until = (state.hour - ago) * HOUR + 25 * MINUTE
    for span in (2, 24):
        total, part = 0.0, 35 / 60
        for hour in range(until // HOUR - span, until // HOUR + 1):
            kept = hour >= state.first and state.hour - PAST_HOURS <= hour < state.hour
            total += part * (state.past[hour % PAST_HOURS] if kept else shop.rate(hour))
            part = 1.0
        assert shop.expected(until - span * HOUR, until) == pytest.approx(total, rel=1e-12)


@pytest.mark.parametrize(
    ("sold", "refunded", "lift"),
    [
        (0.0, 0.0, LIFT_MIN),
        (10_000.0, 0.0, LIFT_MAX),
        (100.0, 10_000.0, CHAIN_LIFT_MAX),
    ],
)
def test_a_lively_day_lifts_what_is_expected_within_bounds(
    sold: float, refunded: float, lift: float
) -> None:
    shop = HourOfWeek(GroupState(FORMAT, lift_seen=refunded, lift_expected=100.0))
    shop.state.lift_seen, shop.state.lift_expected = sold, 100.0
    assert shop.lift() == pytest.approx(lift)
