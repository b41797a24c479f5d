"""A usual day in one shop of the sample stream: sales, voids, and what is brought back."""

from bisect import bisect
from datetime import date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from events.instant import HOUR, MINUTE, SECOND, Instant, from_datetime
from local.sample_drawer import Drawer
from local.sample_shops import Customer, Item, Shop, new_card

RETURN_DAYS_MAX = 30
"""How long after a sale goods come back, at most."""

RECEIPTS_MAX = 400
"""Recent sales of one shop whose receipts lie about, at most."""

_MILLISECOND = SECOND // 1_000
_REASONS = ("UNWANTED", "DAMAGED", "WRONG_SIZE", "FAULTY", "PRICE_MATCH")
_REASON_WEIGHTS = (45, 60, 80, 94, 100)

LineDraft = tuple[Item, int, int]
"""An article, how many, and the price of one in minor units."""


class Draft(msgspec.Struct, gc=False):
    """A transaction before it has a number.

    `label` names the campaign that a refund belongs to,
    `returns` how likely it comes back against the average, `delay` how long its delivery takes.
    """

    shop: Shop
    occurred_at: Instant
    offset_minutes: int
    type: str
    register_id: str
    cashier_id: str
    lines: tuple[LineDraft, ...]
    method: str
    card: str | None = None
    customer_id: str | None = None
    original: "Draft | None" = None
    reason: str | None = None
    label: str | None = None
    returns: float = 1.0
    delay: Instant = 0
    transaction_id: str = ""

    @property
    def total(self) -> int:
        """What was paid or paid back, minor units."""
        return worth(self.lines)


class Mood(msgspec.Struct):
    """What is out of the ordinary at one shop on one day; 1.0 is as usual."""

    sales: float = 1.0
    returns: float = 1.0
    brought_back: float = 1.0
    open_until: int | None = None


class Day(msgspec.Struct):
    """One day of one shop while it is made: who works when, and when midnight is."""

    shop: Shop
    number: int
    weekday: int
    midnight: Instant
    offset_minutes: int
    opens: int
    closes: int
    weights: list[float]
    on_shift: list[list[tuple[str, str]]]

    def moment(self, rng: Random, hour: int) -> Instant:
        """A moment in that hour of the shop's own clock, or just after closing: milliseconds."""
        moment = self.midnight + hour * HOUR + int(rng.random() * 3_600_000) * _MILLISECOND
        if hour == self.closes - 1 and rng.random() < 0.02:  # the last customers in the queue
            moment = self.midnight + self.closes * HOUR
            moment += int(rng.random() ** 2 * 900_000) * _MILLISECOND
        return moment

    def staffed_hour(self, rng: Random) -> int:
        """An hour that the shop is open, busy hours more often."""
        return rng.choices(range(24), self.weights)[0]

    def cashier(self, rng: Random, hour: int) -> tuple[str, str]:
        """(cashier, register) of somebody who works in that hour, or who closes up after it."""
        staff = self.on_shift[hour] or self.on_shift[self.closes - 1]
        return staff[int(rng.random() * len(staff))]


def begin_day(rng: Random, shop: Shop, number: int, on: date, mood: Mood) -> Day | None:
    """Who works at `shop` on that day; None when it is closed."""
    hours = shop.hours[on.weekday()]
    if hours is None or number < shop.opens_on:
        return None
    opens, closes = hours[0], mood.open_until or hours[1]
    weights = [w if opens <= h < closes else 0.0 for h, w in enumerate(shop.weights)]
    last = max(weights)
    weights[hours[1] : closes] = [last * 0.6] * (closes - hours[1])
    weights[opens] = weights[opens] or last * 0.3
    local = datetime(on.year, on.month, on.day, tzinfo=ZoneInfo(shop.zone))
    noon = local + timedelta(hours=12)
    offset = noon.utcoffset() or timedelta(0)
    # Shops are closed when clocks change, so one offset serves the whole day.
    midnight = from_datetime(noon) - 12 * HOUR
    return Day(
        shop=shop,
        number=number,
        weekday=on.weekday(),
        midnight=midnight,
        offset_minutes=offset // timedelta(minutes=1),
        opens=opens,
        closes=closes,
        weights=weights,
        on_shift=_shifts(rng, shop, opens, closes),
    )


def _shifts(rng: Random, shop: Shop, opens: int, closes: int) -> list[list[tuple[str, str]]]:
    """For every hour, the (cashier, register) pairs that work; never nobody while open."""
    present = rng.sample(shop.cashiers, max(2, round(len(shop.cashiers) * 0.6)))
    middle = (opens + closes) // 2
    on_shift: list[list[tuple[str, str]]] = [[] for _ in range(24)]
    for place, cashier in enumerate(present):
        start, end = ((opens, middle + 1), (middle, closes), (opens, closes))[place % 3]
        for hour in range(start, end):
            on_shift[hour].append((cashier, f"r{place % shop.registers + 1}"))
    return on_shift


class Trade:
    """The usual business of one shop, day after day.

    `brought_back` holds by day the sales whose goods come back then; `receipts` the last sales;
    `drawer` receipts that lie about for months.
    """

    def __init__(self, shop: Shop, rng: Random) -> None:
        self.shop = shop
        self.rng = rng
        self.brought_back: dict[int, list[Draft]] = {}
        self.receipts: list[Draft] = []
        self.drawer: Drawer[Draft] = Drawer()

    def sales(self, day: Day, mood: Mood) -> list[Draft]:
        """That day's sales and voids, in no order of time; notes what of them will come back."""
        shop, rng = self.shop, self.rng
        expected = shop.sales_per_day * mood.sales * shop.season(day.number)
        expected *= shop.weekdays[day.weekday] * rng.lognormvariate(0, 0.1)
        drafts = []
        for hour in rng.choices(range(24), day.weights, k=draw_count(rng, expected)):
            sale = self.sale(day, day.moment(rng, hour), hour)
            drafts.append(sale)
            if rng.random() < 0.004:  # four sales in a thousand are voided
                sale.type = "VOID"
            else:
                self._note(sale, day.number, mood)
        return drafts

    def sale(self, day: Day, occurred_at: Instant, hour: int) -> Draft:
        """One sale to somebody."""
        shop, rng = self.shop, self.rng
        cashier, register = day.cashier(rng, hour)
        method, customer = self._payer()
        lines = self.basket()
        return Draft(
            shop=shop,
            occurred_at=occurred_at,
            offset_minutes=day.offset_minutes,
            type="SALE",
            register_id=register,
            cashier_id=cashier,
            lines=lines,
            method=method,
            card=customer.card if customer and method == "CARD" else None,
            customer_id=customer.customer_id if customer else None,
            returns=lines[0][0].returns * (customer.returns if customer else 1.0),
        )

    def basket(self) -> tuple[LineDraft, ...]:
        """One to six lines; now and then a price is cut by hand."""
        shop, rng = self.shop, self.rng
        draw = rng.random()
        count = 1 if draw < 0.62 else 2 if draw < 0.86 else 3 + int(rng.random() * 4)
        lines = []
        for _ in range(count):
            item = shop.items[bisect(shop.item_weights, rng.random() * shop.item_weights[-1])]
            draw = rng.random()
            quantity = 1 if draw < 0.87 else 2 + int(draw * 100) % 3
            price = item.price
            if draw * 1_000 % 1 < 0.04:  # share of prices cut by hand
                price = max(1, int(price * rng.uniform(0.5, 0.95)))
            lines.append((item, quantity, price))
        return tuple(lines)

    def returns(self, day: Day, mood: Mood) -> list[Draft]:
        """That day's refunds of what was sold before; all of it usual."""
        rng = self.rng
        sold = self.brought_back.pop(day.number, [])
        for _ in range(draw_count(rng, len(sold) * (mood.brought_back - 1.0))):
            more = self.take_receipt()
            sold += [more] if more else []
        hours = rng.choices(range(24), day.weights, k=len(sold))
        return [
            self.refund(day, day.moment(rng, hour), hour, sale)
            for hour, sale in zip(hours, sold, strict=True)
        ]

    def before_the_stream(self, day: Day) -> list[Draft]:
        """Sales of a day before day 0 that matter later: what comes back, and some receipts."""
        shop, rng = self.shop, self.rng
        drafts = []
        for hour in rng.choices(
            range(24), day.weights, k=draw_count(rng, shop.sales_per_day * 0.1)
        ):
            sale = self.sale(day, day.moment(rng, hour), hour)
            # A tenth of the sales is made here, so each of them comes back ten times as likely.
            if rng.random() < 10 * shop.refund_share * sale.returns:
                back = day.number + draw_return_days(rng)
                if back >= 0:
                    self.bring_back(sale, back)
            else:
                self.remember(sale)
                self.drawer.put(day.number, sale)
            drafts.append(sale)
        return drafts

    def closed(self, number: int) -> None:
        """On a closed day nothing comes back; it does on the next one."""
        if number in self.brought_back:
            self.brought_back.setdefault(number + 1, []).extend(self.brought_back.pop(number))

    def refund(self, day: Day, occurred_at: Instant, hour: int, sale: Draft) -> Draft:
        """Somebody brings `sale`, or some of it, back, mostly with its receipt."""
        rng = self.rng
        cashier, register = day.cashier(rng, hour)
        occurred_at = max(occurred_at, sale.occurred_at + 5 * MINUTE)
        lines = part_of(rng, sale.lines)
        has_receipt = rng.random() >= self.shop.no_receipt_share
        method, card = sale.method, sale.card
        # Without a receipt the till cannot know how it was paid; with one it may be asked to.
        if rng.random() < (0.08 if has_receipt else 0.5):
            method, card = ("CASH", None) if rng.random() < 0.7 else ("CARD", new_card(rng))
        return Draft(
            shop=self.shop,
            occurred_at=occurred_at,
            offset_minutes=day.offset_minutes,
            type="REFUND",
            register_id=register,
            cashier_id=cashier,
            lines=lines,
            method=method,
            card=card,
            customer_id=sale.customer_id if has_receipt else None,
            original=sale if has_receipt else None,
            reason=draw_reason(rng),
        )

    def remember(self, sale: Draft) -> None:
        """Keep the receipt of `sale` among the recent ones."""
        if len(self.receipts) < RECEIPTS_MAX:
            self.receipts.append(sale)
        else:
            self.receipts[int(self.rng.random() * RECEIPTS_MAX)] = sale

    def take_receipt(self) -> Draft | None:
        """A recent sale that nobody brought back yet, for somebody to; None: there is none."""
        if not self.receipts:
            return None
        return self.receipts.pop(int(self.rng.random() * len(self.receipts)))

    def bring_back(self, sale: Draft, number: int) -> None:
        """Have `sale` come back on that day of the stream, or the next that the shop is open."""
        self.brought_back.setdefault(number, []).append(sale)

    def _note(self, sale: Draft, number: int, mood: Mood) -> None:
        rng = self.rng
        if rng.random() < self.shop.refund_share * mood.returns * sale.returns:
            self.bring_back(sale, number + draw_return_days(rng))
        elif rng.random() < 0.2:  # enough receipts for whoever looks for one
            self.remember(sale)
        else:
            self.drawer.put(number, sale)

    def _payer(self) -> tuple[str, Customer | None]:
        """(how it was paid, who paid); half of all buyers are regulars, whose habits differ."""
        rng = self.rng
        draw = rng.random()
        method = "CARD" if draw < 0.7 else "CASH" if draw < 0.96 else "GIFT_CARD"
        regulars = self.shop.regulars
        if rng.random() < 0.5:
            return method, regulars[int(rng.random() ** 2 * len(regulars))]
        return method, Customer(new_card(rng), None, 1.0) if method == "CARD" else None


def draw_count(rng: Random, expected: float) -> int:
    """How many of something happen: Poisson, by its normal approximation where that is good."""
    if expected > 30:
        return max(0, round(rng.gauss(expected, expected**0.5)))
    count, reached = -1, 0.0
    while reached < expected:
        count += 1
        reached += rng.expovariate(1.0)
    return max(count, 0)


def part_of(rng: Random, lines: tuple[LineDraft, ...]) -> tuple[LineDraft, ...]:
    """What is brought back of a purchase: most keep something of several things."""
    if len(lines) > 1 and rng.random() < 0.6:
        return tuple(rng.sample(lines, rng.randint(1, len(lines) - 1)))
    return lines


def worth(lines: tuple[LineDraft, ...]) -> int:
    """What `lines` add up to, minor units."""
    return sum(quantity * price for _, quantity, price in lines)


def draw_reason(rng: Random) -> str:
    """What the till was told about a refund."""
    return rng.choices(_REASONS, cum_weights=_REASON_WEIGHTS)[0]


def draw_return_days(rng: Random) -> int:
    """How many days goods stay away: some come back the same day, most within two weeks."""
    if rng.random() < 0.08:
        return 0
    return min(RETURN_DAYS_MAX, 1 + int(rng.expovariate(1 / 6)))
