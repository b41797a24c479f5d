"""Rates by hour: what is expected, and what lifts it."""

from random import Random

import pytest

from anomaly.baseline import (
    CHAIN_LIFT_MAX,
    CHAIN_SURPLUS_MAX,
    CHAIN_TIMES_MAX,
    LIFT_MAX,
    LIFT_MIN,
    HourOfWeek,
)
from anomaly.booked import CLOSED_BELOW
from anomaly.state import FORMAT, GroupState

FIRST = 500_000 // 24 * 24


def _grown(hours: int) -> HourOfWeek:
    rng, shop = Random(hours), HourOfWeek(GroupState(FORMAT))
    for hour in range(FIRST, FIRST + hours):
        shop.learn_one({"hour": hour, "sales": rng.randrange(30), "refunds": rng.random() * 3})
    return shop


def test_what_was_expected_is_spent_once_and_without_what_is_owed() -> None:
    shop = _grown(400)
    owed = shop.rate(shop.state.hour)
    shop.spend(0.0)
    for hour in range(1, 5):
        shop.reach(FIRST + 399 + hour)
    four = shop.state.unspent
    assert four > owed > 0.0
    assert shop.spend(owed) == pytest.approx(four - owed)
    assert shop.spend(0.0) == 0.0
    shop.reach(FIRST + 405)
    assert shop.spend(1e9) == 0.0


def test_returns_that_are_booked_at_opening_are_expected_then_whenever_that_is() -> None:
    shop = HourOfWeek(GroupState(FORMAT))
    for day in range(28):
        opens = FIRST + 24 * day + (9 if day % 7 < 6 else 11)
        for hour in range(opens, opens + 6):
            refunds = 5.0 if hour == opens else 0.5
            shop.learn_one({"hour": hour, "sales": 10, "refunds": refunds})
    sunday = FIRST + 24 * 34 + 11
    shop.reach(sunday)
    assert shop.rate(sunday) > 2.5
    shop.reach(sunday + 1)
    assert shop.rate(sunday + 1) < 1.5


def test_returns_that_are_booked_before_anything_is_sold_are_expected_then() -> None:
    shop = HourOfWeek(GroupState(FORMAT))
    for day in range(28):
        early = FIRST + 24 * day + 7
        shop.learn_one({"hour": early, "sales": 0, "refunds": 5.0})
        for hour in range(early + 2, early + 10):
            shop.learn_one({"hour": hour, "sales": 10, "refunds": 0.5})
    early = FIRST + 24 * 28 + 7
    shop.reach(early)
    assert 3.0 < shop.rate(early) < 6.0
    assert shop.refunds_rate(early) > CLOSED_BELOW * shop.hourly_sales()
    assert shop.rate(early + 12) < 0.5


@pytest.mark.parametrize("zone", [0, 8, 16])
def test_midnight_on_the_records_clock_may_fall_into_trade(zone: int) -> None:
    shop = HourOfWeek(GroupState(FORMAT))
    for day in [day for day in range(35) if day % 7 < 6]:
        opens = FIRST + 24 * day + 9 + zone
        for hour in range(opens, opens + 10):
            shop.learn_one({"hour": hour, "sales": 9, "refunds": 5.0 if hour == opens else 0.2})
    monday = FIRST + 24 * 35 + 9 + zone
    shop.reach(monday)
    assert shop.rate(monday) > 3.0
    shop.reach(monday + 1)
    assert shop.rate(monday + 1) < 1.0


def test_a_shop_without_nights_opens_every_day_at_the_same_hour() -> None:
    shop = _grown(24 * 9 + 5)
    assert shop.state.opened == FIRST + 24 * 9


def test_one_shop_s_hour_is_not_the_chain() -> None:
    shop = _grown(400)
    chain = shop._chain
    before = chain.lift_seen
    ordinary = shop.rates(shop.state.hour).ordinary
    allowed = int(CHAIN_TIMES_MAX * ordinary + CHAIN_SURPLUS_MAX)
    for _ in range(allowed + 50):
        shop.come(ordinary)
    assert chain.lift_seen == before + allowed


def test_a_shop_s_own_refunds_do_not_lift_what_is_expected_of_it() -> None:
    chain = GroupState(FORMAT)
    mine, other = HourOfWeek(chain), HourOfWeek(chain)
    for hour in range(FIRST, FIRST + 400):
        for shop in (mine, other):
            shop.learn_one({"hour": hour, "sales": 40, "refunds": 1.0})
            shop.come(shop.rates(hour).ordinary)
    before = mine.chain_lift()
    for _ in range(6):
        mine.come(mine.rates(FIRST + 399).ordinary)
    assert mine.chain_lift() == pytest.approx(before)
    assert other.chain_lift() > 1.2
    mine.reach(FIRST + 440)
    assert other.chain_lift() < 1.2  # the chain went on without it


def test_what_a_closed_day_leaves_to_the_next_is_learnt() -> None:
    shop = HourOfWeek(GroupState(FORMAT))
    for day in range(35):
        for hour in range(FIRST + 24 * day + 9, FIRST + 24 * day + 18):
            refunds = 4.0 if day % 7 == 1 else 0.8
            if day % 7:
                shop.learn_one({"hour": hour, "sales": 20, "refunds": refunds})
    tuesday = FIRST + 24 * 36 + 12
    assert shop.weekday(tuesday) > 2.0 * shop.weekday(tuesday + 24)


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
    assert shop.sales_lift() * shop.chain_lift() == pytest.approx(lift)
