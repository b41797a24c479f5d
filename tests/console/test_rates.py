import math

from console.live import ShopCount
from console.rates import SHOPS_SHOWN_MAX, against_normal, deviation, pooled, share


def test_a_shop_at_its_normal_rate_deviates_by_nothing() -> None:
    found = deviation(ShopCount(95, 5), ShopCount(9_500, 500))
    assert abs(found) < 0.01


def test_the_deviation_is_the_binomial_one() -> None:
    rate = 500.5 / 10_001
    expected = (14 - 100 * rate) / math.sqrt(100 * rate * (1 - rate))
    assert deviation(ShopCount(86, 14), ShopCount(9_500, 500)) == expected


def test_a_shop_that_never_refunded_has_a_scale() -> None:
    assert 0 < deviation(ShopCount(99, 1), ShopCount(5_000, 0)) < math.inf


def test_shops_that_stand_out_come_first_and_unknown_ones_last() -> None:
    normal = {"a": ShopCount(950, 50), "b": ShopCount(950, 50), "d": ShopCount(10, 1)}
    current = {
        "a": ShopCount(95, 5),
        "b": ShopCount(80, 20),
        "c": ShopCount(1, 9),
        "d": ShopCount(1, 3),
    }
    rows = against_normal(current, normal)
    assert [row.shop_id for row in rows] == ["b", "a", "c", "d"]
    assert rows[0].normal == 0.05
    assert rows[0].rate == 0.2
    assert rows[2].normal is None
    assert rows[3].normal is None, "eleven events say nothing about what is normal"
    assert rows[3].deviation is None


def test_voids_alone_have_no_rate() -> None:
    (row,) = against_normal({"a": ShopCount(0, 0)}, {"a": ShopCount(950, 50)})
    assert row.rate == 0.0
    assert row.deviation is None
    assert share(ShopCount(0, 0)) is None


def test_the_list_is_bounded() -> None:
    current = {f"shop-{number}": ShopCount(1, 1) for number in range(SHOPS_SHOWN_MAX + 5)}
    assert len(against_normal(current, {})) == SHOPS_SHOWN_MAX


def test_pooled_adds_up() -> None:
    assert pooled({"a": ShopCount(1, 2), "b": ShopCount(3, 4)}) == ShopCount(4, 6)
    assert pooled({}) == ShopCount(0, 0)
