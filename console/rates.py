"""A shop's refund rate against its normal."""

import math

from console.live import ShopCount, ShopRate

NORMAL_COUNT_MIN = 50
"""Fewer sales and refunds than this in four weeks say nothing about what is normal."""

SHOPS_SHOWN_MAX = 60


def against_normal(
    current: dict[str, ShopCount], normal: dict[str, ShopCount]
) -> tuple[ShopRate, ...]:
    """The `SHOPS_SHOWN_MAX` shops of `current` that stand out most, the furthest first.

    Shops without a normal come last, by refunds; ties are in order of shop id.
    """
    rates = [_rate(shop_id, count, normal.get(shop_id)) for shop_id, count in current.items()]
    rates.sort(key=_standing_out)
    return tuple(rates[:SHOPS_SHOWN_MAX])


def pooled(counts: dict[str, ShopCount]) -> ShopCount:
    """All shops as if they were one."""
    return ShopCount(
        sum(count.sales for count in counts.values()),
        sum(count.refunds for count in counts.values()),
    )


def share(count: ShopCount) -> float | None:
    """Refunds as a share of sales and refunds; None where there are neither."""
    both = count.sales + count.refunds
    return count.refunds / both if both else None


def deviation(current: ShopCount, normal: ShopCount) -> float:
    """Standard deviations by which refunds exceed what the normal rate gives.

    A binomial count with the Jeffreys estimate of the normal rate, (r + ½) / (n + 1), so that a
    shop which never refunded anything has a scale too.
    """
    both = current.sales + current.refunds
    rate = (normal.refunds + 0.5) / (normal.sales + normal.refunds + 1)
    return (current.refunds - both * rate) / math.sqrt(both * rate * (1 - rate))


def _rate(shop_id: str, count: ShopCount, normal: ShopCount | None) -> ShopRate:
    known = normal is not None and normal.sales + normal.refunds >= NORMAL_COUNT_MIN
    rate = share(count)
    return ShopRate(
        shop_id=shop_id,
        sales=count.sales,
        refunds=count.refunds,
        rate=rate if rate is not None else 0.0,
        normal=share(normal) if known and normal is not None else None,
        deviation=(
            deviation(count, normal) if known and normal is not None and rate is not None else None
        ),
    )


def _standing_out(rate: ShopRate) -> tuple[bool, float, int, str]:
    """The sort key: known normal first, then the deviation, then refunds."""
    return rate.deviation is None, -(rate.deviation or 0.0), -rate.refunds, rate.shop_id
