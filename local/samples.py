"""The sample stream: a chain of shops, thieves among the cashiers, and much that only looks odd."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from random import Random

import click
import msgspec

from events.instant import DAY, Instant, from_datetime, to_datetime, to_iso
from local.jsonl import open_jsonl
from local.sample_incidents import (
    KINDS,
    MORE_KINDS,
    Campaign,
    campaign_day,
    plan_campaigns,
)
from local.sample_occasions import MORE_KINDS as MORE_OCCASIONS
from local.sample_occasions import (
    Occasion,
    delay_deliveries,
    delivered_again,
    extra_trade,
    mood_of,
    plan_occasions,
)
from local.sample_shops import SALES_MAX, SALES_MIN, Shop, make_shops
from local.sample_trade import RETURN_DAYS_MAX, Draft, Mood, Trade, begin_day
from local.sample_wire import garble, to_wire

START: Instant = 20_458 * DAY
"""2026-01-05T00:00Z, a Monday."""

GARBLED_SHARE = 0.001
"""Records that no transaction can be read from."""

CAMPAIGNS_PER_SHOP_WEEK = 0.5
WARM_UP_DAYS_MAX = 14


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One record of the stream: bytes for the partition key `shop_id`, due at `arrives_at`.

    `label` is "<campaign>:<kind>" for a refund of a thief, and None for everything else.
    """

    data: bytes
    shop_id: str
    occurred_at: Instant
    arrives_at: Instant
    transaction_id: str
    label: str | None


def sample_stream(
    seed: int,
    *,
    shops: int = 40,
    days: int = 28,
    start: Instant = START,
    warm_up_days: int | None = None,
    campaigns_per_shop_week: float = CAMPAIGNS_PER_SHOP_WEEK,
    occasions_often: float = 1.0,
    intensity: float = 1.0,
    kinds: tuple[str, ...] = KINDS,
    more_occasions: tuple[str, ...] = (),
    sales_max: float = SALES_MAX,
    bare: bool = False,
) -> Iterator[Sample]:
    """Samples of `days` days from the UTC midnight of `start`, in order of arrival.

    The same arguments give the same samples. No campaign starts in the first `warm_up_days`, which
    are 14 or half the stream, whichever is less. `occasions_often` scales how often something
    happens that only looks odd, `intensity` how much each thief takes, `kinds` which there are,
    `more_occasions` what else looks odd only, `sales_max` bounds what a shop sells on an average
    day. `bare` leaves out cashier, customer, card, receipt and limit. A day is made at a time, so
    memory does not grow with `days`.
    """
    start -= start % DAY
    if warm_up_days is None:
        warm_up_days = min(WARM_UP_DAYS_MAX, days // 2)
    chain = make_shops(Random(f"{seed} shops"), shops, days, sales_max)
    occasions = plan_occasions(
        Random(f"{seed} occasions"), chain, days, occasions_often, more_occasions
    )
    campaigns = plan_campaigns(
        Random(f"{seed} campaigns"),
        chain,
        days,
        warm_up_days,
        campaigns_per_shop_week,
        intensity,
        kinds,
    )
    shop_days = [
        _ShopDays(
            shop,
            Random(f"{seed} {shop.shop_id}"),
            [o for o in occasions if o.shop_id in {None, shop.shop_id}],
            [c for c in campaigns if c.shop_id == shop.shop_id],
            bare=bare,
        )
        for shop in chain
    ]
    waiting: list[tuple[Instant, Sample]] = []
    for number in range(-RETURN_DAYS_MAX, days):
        for one in shop_days:
            waiting += [(sample.arrives_at, sample) for sample in one.day(number, start)]
        waiting.sort(key=itemgetter(0))
        # Shops open well after midnight: what arrives today is known before any of tomorrow's.
        tomorrow = start + (number + 1) * DAY
        due = next((n for n, (at, _) in enumerate(waiting) if at >= tomorrow), len(waiting))
        yield from map(itemgetter(1), waiting[:due])
        del waiting[:due]
    yield from map(itemgetter(1), waiting)


class _ShopDays:
    """One shop's records, day after day."""

    def __init__(
        self,
        shop: Shop,
        rng: Random,
        occasions: list[Occasion],
        campaigns: list[Campaign],
        *,
        bare: bool,
    ) -> None:
        self._shop = shop
        self._rng = rng
        self._trade = Trade(shop, rng)
        self._occasions = occasions
        self._campaigns = campaigns
        self._bare = bare
        self._numbered = rng.randrange(1_000, 400_000)

    def day(self, number: int, start: Instant) -> list[Sample]:
        """The samples of the day `number` after `start`; none before day 0 or when closed."""
        shop, rng, trade = self._shop, self._rng, self._trade
        on = (to_datetime(start) + timedelta(days=number)).date()
        if number < 0:
            past = begin_day(rng, shop, number, on, Mood()) if not shop.opens_on else None
            if past is not None:
                self._number(trade.before_the_stream(past), gap_max=18)
            return []
        occasions = [o for o in self._occasions if o.holds(shop.shop_id, number)]
        mood = mood_of(occasions, shop, on.weekday())
        day = begin_day(rng, shop, number, on, mood)
        if day is None:
            trade.closed(number)
            return []
        drafts = trade.sales(day, mood) + trade.returns(day, mood)
        drafts += extra_trade(occasions, trade, day)
        for campaign in self._campaigns:
            if campaign.first_day <= number < campaign.first_day + campaign.days:
                drafts += campaign_day(campaign, trade, day)
        self._number(drafts, gap_max=1)
        delay_deliveries(occasions, drafts, day, rng)
        return self._samples(drafts)

    def _number(self, drafts: list[Draft], gap_max: int) -> None:
        """Number in order of time, as a shop's tills do: thieves' refunds like all others."""
        drafts.sort(key=_occurred_at)
        for draft in drafts:
            self._numbered += 1 if gap_max == 1 else self._rng.randint(1, gap_max)
            draft.transaction_id = f"{self._shop.shop_id[5:]}-{self._numbered:07}"

    def _samples(self, drafts: list[Draft]) -> list[Sample]:
        rng = self._rng
        samples = []
        for draft in drafts:
            data = to_wire(draft, bare=self._bare)
            if draft.label is None and rng.random() < GARBLED_SHARE:
                data = garble(rng, data)
            sample = Sample(
                data=data,
                shop_id=self._shop.shop_id,
                occurred_at=draft.occurred_at,
                arrives_at=draft.occurred_at + draft.delay,
                transaction_id=draft.transaction_id,
                label=draft.label,
            )
            samples.append(sample)
            again = delivered_again(rng, draft)
            if again is not None:
                late = sample.arrives_at + again
                samples.append(msgspec.structs.replace(sample, arrives_at=late))
        return samples


def _occurred_at(draft: Draft) -> Instant:
    return draft.occurred_at


@click.command()
@click.option(
    "--seed", type=int, default=1, show_default=True, help="What the stream is drawn from."
)
@click.option("--shops", type=click.IntRange(1, 999), default=40, show_default=True)
@click.option("--days", type=click.IntRange(1, 3_660), default=28, show_default=True)
@click.option(
    "--campaigns-per-shop-week",
    type=click.FloatRange(0, 7),
    default=CAMPAIGNS_PER_SHOP_WEEK,
    show_default=True,
    help="Incidents of fraud; 0 gives a stream without.",
)
@click.option(
    "--occasions-often",
    type=click.FloatRange(0, 20),
    default=1.0,
    show_default=True,
    help="How often something happens that only looks odd, against the usual.",
)
@click.option(
    "--intensity",
    type=click.FloatRange(0.1, 20),
    default=1.0,
    show_default=True,
    help="How many refunds each thief takes, and how large a huge one is, against the usual.",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice((*KINDS, *MORE_KINDS)),
    multiple=True,
    default=KINDS,
    help=f"Kinds of thieves, alike in number; all but {' and '.join(MORE_KINDS)} unless set.",
)
@click.option(
    "--occasion",
    "more_occasions",
    type=click.Choice(MORE_OCCASIONS),
    multiple=True,
    help="More that only looks odd.",
)
@click.option(
    "--sales-max",
    type=click.FloatRange(SALES_MIN, 10_000),
    default=SALES_MAX,
    show_default=True,
    help="What a shop sells on an average day, at most.",
)
@click.option("--start", type=click.DateTime(["%Y-%m-%d"]), help="The first day; 2026-01-05.")
@click.option("--bare", is_flag=True, help="Without cashier, customer, card, receipt and limit.")
@click.option("--output", type=click.Path(path_type=Path), required=True, help="JSONL, .gz or not.")
@click.option("--labels", type=click.Path(path_type=Path), help="JSONL of the thieves' refunds.")
def samples(
    *,
    seed: int,
    shops: int,
    days: int,
    campaigns_per_shop_week: float,
    occasions_often: float,
    intensity: float,
    kinds: tuple[str, ...],
    more_occasions: tuple[str, ...],
    sales_max: float,
    start: datetime | None,
    bare: bool,
    output: Path,
    labels: Path | None,
) -> None:
    """Write a stream of made-up shops, thieves included, as wire JSONL in order of arrival."""
    stream = sample_stream(
        seed,
        shops=shops,
        days=days,
        start=START if start is None else from_datetime(start.replace(tzinfo=UTC)),
        campaigns_per_shop_week=campaigns_per_shop_week,
        occasions_often=occasions_often,
        intensity=intensity,
        kinds=kinds,
        more_occasions=more_occasions,
        sales_max=sales_max,
        bare=bare,
    )
    written = labelled = 0
    with ExitStack() as files:
        out = files.enter_context(open_jsonl(output))
        notes = files.enter_context(open_jsonl(labels)) if labels else None
        for sample in stream:
            # A garbled record may hold a line break, which would make two lines of it.
            out.write(sample.data.replace(b"\n", b" ") + b"\n")
            written += 1
            if sample.label is not None:
                labelled += 1
                if notes:
                    notes.write(label_line(sample))
    click.echo(f"{written} records, {labelled} of them fraudulent refunds: {output}", err=True)


def label_line(sample: Sample) -> bytes:
    """What the labels file says of one fraudulent refund."""
    campaign, _, kind = (sample.label or "").partition(":")
    line = {
        "transaction_id": sample.transaction_id,
        "shop_id": sample.shop_id,
        "campaign_id": campaign,
        "kind": kind,
        "occurred_at": to_iso(sample.occurred_at),
    }
    return msgspec.json.encode(line) + b"\n"
