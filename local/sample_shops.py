"""The chain of the sample stream: its catalogue, its shops, who works and who buys there."""

import math
from itertools import accumulate
from random import Random

import msgspec

APPROVAL_LIMITS = (5_000, 10_000, None)
"""Minor units that a cashier may refund alone; None: the shop's tills send no limit."""

REGULARS_MAX = 4_000
"""Known customers of one shop at most."""

_CATEGORIES = {
    # category: (typical price in pounds, spread of its logarithm, weight, returns against average)
    "books": (9, 0.5, 10, 0.5),
    "clothing": (28, 0.6, 22, 2.2),
    "electronics": (55, 0.9, 8, 1.5),
    "food": (4, 0.6, 18, 0.1),
    "garden": (18, 0.7, 6, 0.8),
    "home": (16, 0.7, 14, 0.9),
    "shoes": (45, 0.5, 7, 2.0),
    "stationery": (5, 0.6, 8, 0.3),
    "toys": (15, 0.7, 7, 0.9),
}

_SHAPES = (
    # opens, closes, Sunday's hours or None, sales by hour from opening, by day (0: closed)
    (9, 18, (11, 16), (3, 5, 7, 9, 9, 8, 7, 6, 4), (0.8, 0.8, 0.9, 1.0, 1.2, 1.6, 0.7)),
    (8, 19, None, (3, 3, 4, 7, 12, 12, 7, 4, 6, 7, 4), (1.1, 1.1, 1.1, 1.1, 1.1, 0.5, 0.0)),
    (10, 22, (10, 20), (2, 3, 5, 6, 6, 6, 7, 8, 9, 9, 7, 4), (0.8, 0.8, 0.9, 1.0, 1.2, 1.5, 1.2)),
    (7, 21, (9, 18), (5, 7, 5, 5, 6, 6, 5, 5, 6, 8, 9, 9, 6, 4), (1, 0.9, 0.9, 1, 1.2, 1.2, 0.8)),
    # At a station: two rushes, hardly a weekend.
    (
        6,
        22,
        (8, 21),
        (8, 12, 11, 6, 4, 4, 6, 6, 4, 4, 6, 11, 12, 8, 5, 3),
        (1.2, 1.1, 1.1, 1.1, 1.3, 0.7, 0.5),
    ),
    # An outlet out of town: closed on Mondays, lives on weekends.
    (11, 20, (11, 19), (4, 6, 8, 10, 10, 9, 8, 6, 3), (0.0, 0.4, 0.4, 0.5, 1.0, 2.2, 1.9)),
)

_ZONES = ("Europe/London", "Europe/London", "Europe/London", "Europe/Dublin", "Europe/Berlin")


class Item(msgspec.Struct, frozen=True, gc=False):
    """One article; `price` in minor units, `returns` its share of returns against the average."""

    item_id: str
    category: str
    price: int
    returns: float


class Customer(msgspec.Struct, frozen=True, gc=False):
    """A regular; `returns` is how much more than others they bring back."""

    card: str
    customer_id: str | None
    returns: float


class Shop(msgspec.Struct, frozen=True):
    """What one shop is like; nothing here changes while the stream runs.

    `hours` holds (opens, closes) by weekday from Monday, None when closed; `weights` the share of
    each hour of the day; `weekdays` how a day compares with the average one; `trend` what a day
    adds, and `swell`, `swell_days`, `swell_phase` how business comes and goes; `opens_on` the
    day of the stream on which the shop first trades.
    """

    shop_id: str
    zone: str
    currency: str
    sales_per_day: float
    opens_on: int
    hours: tuple[tuple[int, int] | None, ...]
    weights: tuple[float, ...]
    weekdays: tuple[float, ...]
    trend: float
    swell: float
    swell_days: float
    swell_phase: float
    cashiers: tuple[str, ...]
    registers: int
    approval_limit: int | None
    refund_share: float
    no_receipt_share: float
    wholesale: bool
    books_online_returns: bool
    items: tuple[Item, ...]
    item_weights: tuple[float, ...]
    regulars: tuple[Customer, ...]

    def season(self, number: int) -> float:
        """How the day `number` compares with the average one, weekdays aside."""
        wave = math.sin(2 * math.pi * (number / self.swell_days + self.swell_phase))
        return (1 + self.trend) ** number * (1 + self.swell * wave)

    @property
    def typical_basket(self) -> int:
        """The weighted middle of the shop's prices, minor units: what a usual sale is about."""
        return _middle(self.items, self.item_weights, returns=False)

    @property
    def typical_return(self) -> int:
        """The same of what is brought back: dearer things than what is sold."""
        return _middle(self.items, self.item_weights, returns=True)


SALES_MIN, SALES_MAX = 20.0, 700.0
"""Sales of a shop on an average day."""


def make_shops(rng: Random, count: int, days: int, sales_max: float = SALES_MAX) -> list[Shop]:
    """A chain of `count` shops; one in fifteen opens on the way."""
    catalogue = _make_catalogue(rng)
    return [_make_shop(rng, number, catalogue, days, sales_max) for number in range(count)]


def new_card(rng: Random) -> str:
    """A card token that nobody used before."""
    return f"k-{rng.getrandbits(40):010x}"


def _make_catalogue(rng: Random) -> list[Item]:
    names = list(_CATEGORIES)
    weights = [_CATEGORIES[name][2] for name in names]
    catalogue = []
    for number in range(500):
        category = rng.choices(names, weights)[0]
        typical, spread, _, returns = _CATEGORIES[category]
        pounds = typical * rng.lognormvariate(0.0, spread)
        catalogue.append(
            Item(
                item_id=str(1_000 + number),
                category=category,
                price=_price_point(rng, pounds),
                returns=returns * rng.uniform(0.6, 1.4),
            )
        )
    return catalogue


def _price_point(rng: Random, pounds: float) -> int:
    """A price as shops write it: mostly just under a whole pound, five or ten of them."""
    step = 1 if pounds < 20 else 5 if pounds < 80 else 10
    whole = max(step, round(pounds / step) * step) * 100
    return whole - rng.choices((1, 5, 0, 51), (60, 15, 15, 10))[0]


def _make_shop(
    rng: Random, number: int, catalogue: list[Item], days: int, sales_max: float
) -> Shop:
    opens, closes, sunday, by_hour, weekdays = rng.choice(_SHAPES)
    sales_per_day = math.exp(rng.uniform(math.log(SALES_MIN), math.log(sales_max)))
    weights = [0.0] * 24
    for hour, weight in enumerate(by_hour, start=opens):
        weights[hour] = weight * rng.uniform(0.8, 1.25)
    items = rng.sample(catalogue, rng.randint(60, 200))
    zone = rng.choice(_ZONES)
    limit = rng.choice(APPROVAL_LIMITS)
    average = sum(weekdays) / len(weekdays)
    regulars = min(REGULARS_MAX, max(60, int(sales_per_day * 8)))
    return Shop(
        shop_id=f"shop-{number:03}",
        zone=zone,
        currency="GBP" if zone == "Europe/London" else "EUR",
        sales_per_day=sales_per_day,
        opens_on=rng.randint(days // 4, days // 2) if rng.random() < 1 / 15 else 0,
        hours=(*((opens, closes) if factor else None for factor in weekdays[:6]), sunday),
        weights=tuple(weights),
        weekdays=tuple(factor / average for factor in weekdays),
        trend=rng.uniform(-0.003, 0.003),
        swell=rng.uniform(0.0, 0.25),
        swell_days=rng.uniform(18, 70),
        swell_phase=rng.random(),
        cashiers=tuple(f"c-{n}" for n in rng.sample(range(10, 100), _staff(sales_per_day))),
        registers=max(1, min(6, round(sales_per_day / 120))),
        approval_limit=limit,
        refund_share=min(0.08, max(0.02, rng.lognormvariate(math.log(0.038), 0.3))),
        no_receipt_share=rng.uniform(0.06, 0.2),
        wholesale=rng.random() < 0.2,  # one shop in five sells wholesale
        books_online_returns=rng.random() < 0.15,
        items=tuple(items),
        item_weights=tuple(accumulate(_popularity(rng, items, limit))),
        regulars=tuple(_make_customer(rng) for _ in range(regulars)),
    )


def _popularity(rng: Random, items: list[Item], limit: int | None) -> list[float]:
    """The weight of each article; one shop in four sells best what costs just under its limit."""
    weights = [rng.lognormvariate(0.0, 0.8) for _ in items]
    if rng.random() < 0.25 and limit is not None:
        under = [place for place, item in enumerate(items) if 0.88 * limit <= item.price < limit]
        for place in under[:3]:
            weights[place] = sum(weights) * rng.uniform(0.02, 0.06)
    return weights


def _staff(sales_per_day: float) -> int:
    return max(3, min(18, 3 + round(sales_per_day / 45)))


def _make_customer(rng: Random) -> Customer:
    customer_id = f"u-{rng.randrange(10_000, 1_000_000)}" if rng.random() < 0.6 else None
    draw = rng.random()  # some simply return a lot, a few most of what they buy
    returns = 12.0 if draw < 0.003 else 6.0 if draw < 0.02 else 0.9
    return Customer(card=new_card(rng), customer_id=customer_id, returns=returns)


def _middle(items: tuple[Item, ...], cumulative: tuple[float, ...], *, returns: bool) -> int:
    shares = [after - before for before, after in zip((0.0, *cumulative), cumulative, strict=False)]
    weighted = sorted(
        (item.price, share * (item.returns if returns else 1.0))
        for item, share in zip(items, shares, strict=True)
    )
    half = sum(weight for _, weight in weighted) / 2
    reached = accumulate(weight for _, weight in weighted)
    return next(
        price for (price, _), so_far in zip(weighted, reached, strict=True) if so_far >= half
    )
