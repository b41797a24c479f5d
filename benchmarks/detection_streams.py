"""The streams that detection is measured on, and the seeds they are drawn from."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec

from consumer.evaluation import Arrivals, Label
from events.instant import Instant, from_datetime
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.transaction import Transaction
from local.sample_incidents import KINDS
from local.sample_shops import SALES_MAX
from local.samples import START, sample_stream

TUNING_SEEDS = (60_001, 60_002, 60_003, 60_004)
"""Streams that thresholds of the baselines are set on, and nothing is reported of."""

TEST_SEEDS = tuple(range(70_001, 70_011))
"""Streams that are reported, and that nothing was ever tuned on."""

PROTOCOL = 2.0
"""The thieves' intensity at which the known ways find about what the targets' comparison says.

Set by their recall alone, on streams that are not reported: the table is in docs/detection.md.
"""

SPRING: Instant = from_datetime(datetime(2026, 3, 9, tzinfo=UTC))
"""Six weeks from here hold the change of the clocks."""


class Spec(msgspec.Struct, frozen=True):
    """What a stream is drawn with; `bare` is without the optional fields."""

    seed: int
    shops: int = 40
    days: int = 42
    campaigns_per_shop_week: float = 0.25
    occasions_often: float = 1.0
    intensity: float = 1.0
    kinds: tuple[str, ...] = KINDS
    more_occasions: tuple[str, ...] = ()
    start: Instant = START
    sales_max: float = SALES_MAX
    bare: bool = False


class Stream(msgspec.Struct):
    """A stream as it is after parsing: each transaction once, in order of arrival."""

    transactions: list[Transaction]
    labels: list[Label]
    arrivals: Arrivals
    digest: str = ""
    """Of all records and labels: equal streams have equal ones."""


def load(spec: Spec) -> Stream:
    """Make, parse and label the stream of `spec`."""
    parse = Parser(Pseudonymizer(b"tillwatch benchmarks, no secret")).parse
    stream = Stream([], [], Arrivals())
    seen: set[str] = set()
    digest = sha256()
    samples = sample_stream(
        spec.seed,
        shops=spec.shops,
        days=spec.days,
        start=spec.start,
        campaigns_per_shop_week=spec.campaigns_per_shop_week,
        occasions_often=spec.occasions_often,
        intensity=spec.intensity,
        kinds=spec.kinds,
        more_occasions=spec.more_occasions,
        sales_max=spec.sales_max,
        bare=spec.bare,
    )
    for place, sample in enumerate(samples):
        digest.update(sample.data)
        digest.update((sample.label or "").encode())
        parsed = parse(Record(Position("file", str(place)), sample.data, sample.shop_id, None))
        if not isinstance(parsed, Transaction) or parsed.transaction_id in seen:
            continue
        seen.add(parsed.transaction_id)
        stream.transactions.append(parsed)
        stream.arrivals.see(place, parsed)
        if sample.label is not None:
            campaign, _, kind = sample.label.partition(":")
            stream.labels.append(Label(parsed.transaction_id, parsed.shop_id, campaign, kind))
    stream.digest = digest.hexdigest()
    return stream


def _of(**changes: object) -> Callable[[int], Spec]:
    return lambda seed: msgspec.convert({"seed": seed, **changes}, Spec)


SCENES: dict[str, Callable[[int], Spec]] = {
    "all kinds": _of(),
    "no fraud": _of(campaigns_per_shop_week=0.0),
    "12 small shops": _of(shops=12, sales_max=80.0),
    "without the optional fields": _of(bare=True),
    "thrice the confounders": _of(occasions_often=3.0),
    "spring, twice the fraud": _of(start=SPRING, campaigns_per_shop_week=0.5),
    "all kinds, protocol strength": _of(intensity=PROTOCOL),
    "12 small shops, protocol strength": _of(shops=12, sales_max=80.0, intensity=PROTOCOL),
    "one receipt, customer or closed shop": _of(
        kinds=("same_receipt", "same_customer", "after_closing"), campaigns_per_shop_week=0.5
    ),
    "receipts that do not fit": _of(
        kinds=("above_sale", "late_return"), campaigns_per_shop_week=0.5, days=56
    ),
    "without the optional fields, protocol strength": _of(bare=True, intensity=PROTOCOL),
}
"""By name, how a seed's stream is drawn; each scene draws streams of its own, by its place here."""


def specs(scene: str, seeds: tuple[int, ...]) -> list[Spec]:
    """The streams of `scene`: no two scenes share a seed."""
    tens, place = divmod(list(SCENES).index(scene), 10)
    offset = 1_000 * place + 500 * tens  # ten thousands on are the streams that are reported
    return [SCENES[scene](seed + offset) for seed in seeds]
