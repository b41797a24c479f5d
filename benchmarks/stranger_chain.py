"""What the chains of another hand's streams are made of: shops, tills, articles, receipts.

The streams were written from a list of frauds and of innocent occasions alone, without the sample
stream and without the detector, so that what is wrong with both may show here. Nothing is tuned on
them. Every number is drawn from one generator, in one order: who draws once more changes them all.
"""

import math
from datetime import date, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DAY = 86_400
"""Seconds: times here are a shop's own clock, in seconds since the stream's first midnight."""

BEFORE = 35
"""Days of trade before the stream begins, which its receipts may come from."""

START = date(2026, 3, 2)
"""A Monday; six weeks from here hold the change of the clocks."""

ARTICLES = 400

SALE, REFUND, VOID = "SALE", "REFUND", "VOID"

_BASE32 = np.array(list("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))


class Chain(msgspec.Struct, frozen=True):
    """How a chain writes its records: money, time, ids, and what is paid with.

    `scale` is what costs one of the currency in the dearest chain; `clock` is "utc" or "local".
    """

    currency: str
    scale: float
    decimals: int
    zones: tuple[str, ...]
    clock: str
    ids: str
    tenders: tuple[str, str, str]

    @property
    def unit(self) -> int:
        """Minor units of one of the currency."""
        return int(10**self.decimals)


_AMERICA = ("America/New_York", "America/Chicago")

CHAINS = (
    Chain("EUR", 1.1, 2, ("Europe/Berlin",), "local", "uuid", ("Karte", "Bar", "Gutschein")),
    Chain("USD", 1.2, 2, _AMERICA, "utc", "date", ("credit_card", "cash", "gift_card")),
    Chain("INR", 80.0, 2, ("Asia/Kolkata",), "local", "ulid", ("CARD", "CASH", "UPI")),
    Chain("GBP", 1.0, 2, ("Europe/London",), "utc", "num", ("CARD", "CASH", "GIFT_CARD")),
    Chain("JPY", 150.0, 0, ("Asia/Tokyo",), "local", "date", ("card", "cash", "qr")),
    Chain("PLN", 4.5, 2, ("Europe/Warsaw",), "utc", "uuid", ("KARTA", "GOTOWKA", "BON")),
)


class Draw(msgspec.Struct, frozen=True):
    """What a stream is drawn with; the seed also says which chain it is of.

    `rate` is campaigns per shop-week, `strength` a factor on what thieves take. `bare` 1 leaves
    cashiers, cards, customers, receipts, limits and lines out, 2 registers and tenders as well.
    With `foreign` no receipt is the id of a sale.
    """

    seed: int
    shops: int = 20
    days: int = 42
    small: bool = False
    rate: float = 0.25
    strength: float = 1.0
    zone: str | None = None
    clock: str | None = None
    bare: int = 0
    foreign: bool = False

    @property
    def chain(self) -> Chain:
        """The chain that the stream is of."""
        chain = CHAINS[self.seed % len(CHAINS)]
        if self.zone is not None:
            chain = msgspec.structs.replace(chain, zones=(self.zone,))
        if self.clock is not None:
            chain = msgspec.structs.replace(chain, clock=self.clock)
        return chain


class Line(NamedTuple):
    """One article of a receipt."""

    item: str
    category: str
    quantity: int
    price: int


class Shift(NamedTuple):
    """Who is at which till on a day, by place among the shop's staff, from hour to hour."""

    who: int
    begins: float
    ends: float
    register: str


class Promotion(NamedTuple):
    """An article just under the approval limit: from day to day, its price, its share of sales."""

    begins: int
    ends: int
    price: int
    share: float


class Web(NamedTuple):
    """Returns by post, booked each morning at `hour`, `daily` of them, from the day `begins`."""

    begins: int
    daily: float
    hour: float


class Season(NamedTuple):
    """Days on which more than usual happens in the whole chain; none where `begins` is below 0."""

    begins: int
    ends: int
    lift: float


NEVER = Season(-99, -99, 1)


class Occasion(NamedTuple):
    """Something that happens, from day to day; `shop_id` is `*` where it meets all shops."""

    shop_id: str
    kind: str
    begins: float
    ends: float


class Entry(msgspec.Struct):
    """What a till wrote. `tag` says of a refund what is behind it: `base` is usual trade."""

    transaction_id: str
    shop: "Shop"
    type: str
    at: float
    register: str
    cashier: str
    tender: str
    card: str | None
    customer: str | None
    lines: list[Line]
    original: str | None = None
    reason: str | None = None
    tag: str | None = None
    campaign: str | None = None
    kind: str | None = None

    @property
    def total(self) -> int:
        """The money of all lines, minor units."""
        return sum(line.quantity * line.price for line in self.lines)


def _no_floats() -> Floats:
    return np.zeros(0)


def _no_ints() -> Ints:
    return np.zeros(0, dtype=np.int64)


class Shop(msgspec.Struct):
    """A shop: when it is open, who works there, who buys, and what it has written so far."""

    number: int
    shop_id: str
    zone: ZoneInfo
    receipts: int
    sales_a_day: float
    refund_share: float
    without_receipt: float
    opens: float
    closes: float
    sundays: bool
    weekdays: Floats
    peaks: tuple[tuple[float, float, float], tuple[float, float, float]]
    receipts_of_day: dict[int, int] = {}
    first: int = -BEFORE
    staff: list[str] = []
    refund_weights: Floats = msgspec.field(default_factory=_no_floats)
    hired: Ints = msgspec.field(default_factory=_no_ints)
    registers: list[str] = []
    rota: dict[int, list[Shift]] = {}
    cards: list[str] = []
    customers: list[str | None] = []
    card_weights: Floats = msgspec.field(default_factory=_no_floats)
    trend: float = 0.0
    refund_lift: dict[int, float] = {}
    sale_lift: dict[int, float] = {}
    limit: int = 0
    pool: Ints = msgspec.field(default_factory=_no_ints)
    pool_weights: Floats = msgspec.field(default_factory=_no_floats)
    promotion: Promotion | None = None
    web: Web | None = None
    evenings: set[int] = set()
    sales: list[Entry] = []
    refunds: list[Entry] = []
    used: set[str] = set()
    queue: Ints = msgspec.field(default_factory=_no_ints)
    served: int = 0

    def is_open(self, day: int) -> bool:
        """Whether it trades that day."""
        return self.sundays or weekday(day) != 6

    @property
    def refunds_a_day(self) -> float:
        """About how many come back a day, those by post among them where they always did."""
        posted = self.web.daily if self.web and self.web.begins < 0 else 0
        return self.sales_a_day * self.refund_share + posted


class World(msgspec.Struct):
    """A chain for some weeks, as far as it has been drawn."""

    draw: Draw
    chain: Chain
    rng: np.random.Generator
    prices: Ints
    popularity: Floats
    items: list[str]
    categories: list[str]
    holiday: Season = NEVER
    sale: Season = NEVER
    shops: list[Shop] = []
    entries: list[Entry] = []
    occasions: list[Occasion] = []
    recalled: dict[str, tuple[int, str]] = {}
    campaigns: int = 0

    @property
    def days(self) -> int:
        """How long the stream is."""
        return self.draw.days

    def happens(self, shop_id: str, kind: str, begins: float, ends: float) -> None:
        """Note an occasion."""
        self.occasions.append(Occasion(shop_id, kind, begins, ends))

    def token(self) -> str:
        """A card that nobody has had before."""
        return "tok_" + self.rng.bytes(8).hex()


def weekday(day: int) -> int:
    """Monday is 0."""
    return (START + timedelta(days=day)).weekday()


def new_world(draw: Draw) -> World:
    """A chain with articles, holidays and sale days, and no shop yet."""
    rng, chain = np.random.default_rng([draw.seed, 911]), draw.chain
    costs = np.exp(rng.normal(math.log(11), 0.85, ARTICLES)) * chain.scale
    prices = np.array([_price_point(rng, chain, cost) for cost in costs], dtype=np.int64)
    popular = 1 / np.arange(1, ARTICLES + 1) ** 0.8
    names = ("hats", "food", "toys", "garden", "shoes", "media")
    world = World(
        draw=draw,
        chain=chain,
        rng=rng,
        prices=np.maximum(prices, 1),
        popularity=popular / popular.sum(),
        items=[f"{rng.integers(10**12, 10**13)}" for _ in range(ARTICLES)],
        categories=[names[rng.integers(6)] for _ in range(ARTICLES)],
    )
    first = int(rng.integers(17, draw.days - 6))
    if rng.random() < 0.7:
        last = first + int(rng.integers(2, 5))
        world.holiday = Season(first, last, rng.uniform(1.8, 2.8))
        world.happens("*", "holiday", first, last)
    first = int(rng.integers(3, draw.days - 3))
    if rng.random() < 0.4:
        world.sale = Season(first, first + 1, 2.2)
        world.happens("*", "sale_day", first, first + 2)
    return world


def _price_point(rng: np.random.Generator, chain: Chain, cost: Any) -> int:
    if chain.decimals == 0:
        return max(10, int(round(cost / 10) * 10 - (2 if rng.random() < 0.5 else 0)))
    step = 1 if chain.scale < 10 else 10
    whole = max(1, round(cost / step) * step)
    return int(whole * 100 - (1, 1, 1, 5, 51, 0)[rng.integers(6)])


def receipt_id(world: World, shop: Shop, at: float, register: str) -> str:
    """What the till calls its next receipt, in the way of its chain."""
    rng, ids = world.rng, world.chain.ids
    if ids == "uuid":
        text = rng.bytes(16).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
    if ids == "ulid":
        return "01J" + "".join(_BASE32[rng.integers(0, 32, 23)])
    if ids == "num":
        shop.receipts += 1
        above, below = divmod(shop.receipts, 1_000_000)
        return f"{shop.number:03d}{below:06d}{rng.integers(0, 10)}{above}"
    day = int(at // DAY)
    number = shop.receipts_of_day[day] = shop.receipts_of_day.get(day, 0) + 1
    return f"{START + timedelta(days=day):%Y%m%d}/{shop.number:04d}/{register}/{number:05d}"
