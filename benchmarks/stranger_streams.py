"""Another hand's streams as they are measured: drawn, parsed, labelled, with what was behind."""

from collections.abc import Callable, Iterator

import msgspec

from benchmarks.detection_streams import Stream
from benchmarks.stranger_chain import REFUND, Draw, Occasion, World, new_world
from benchmarks.stranger_frauds import steal
from benchmarks.stranger_occasions import befall, call_back, take_back
from benchmarks.stranger_shops import open_shop
from benchmarks.stranger_tills import Delivered, deliver, record
from benchmarks.stranger_trade import trade
from consumer.evaluation import Arrivals, Label
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.transaction import Transaction

FIRST_SEED = 501
"""The first seed that is reported; up to here the streams are there to look at."""

FRAUD = "all kinds"

SCENES: dict[str, tuple[int, Callable[[int], Draw]]] = {
    FRAUD: (0, Draw),
    "no fraud": (20, lambda seed: Draw(seed, rate=0.0)),
    "12 small shops": (30, lambda seed: Draw(seed, shops=12, small=True)),
    "without optional fields": (40, lambda seed: Draw(seed, bare=2 - seed % 2)),
    "midnight of its clock within trade": (
        50,
        lambda seed: Draw(seed, zone="America/Los_Angeles", clock="utc"),
    ),
    "receipts of no sale": (60, lambda seed: Draw(seed, foreign=True)),
}
"""By name, how far a scene's seeds are from the first one, and how a seed's stream is drawn.

Of those without optional fields every second names registers and tenders.
"""


def draws(scene: str, first: int, count: int) -> list[Draw]:
    """The streams of `scene`, from the first seed on."""
    offset, draw = SCENES[scene]
    return [draw(seed) for seed in range(first + offset, first + offset + count)]


class Stranger(msgspec.Struct):
    """A stream, and what no detector is told: each refund's tag, and what happened when.

    `tags` holds the refunds that are neither fraud nor usual trade; `rejected` counts records that
    are no transaction, of which there should be none.
    """

    stream: Stream
    tags: dict[str, str]
    occasions: list[Occasion]
    rejected: int = 0


def drawn(draw: Draw) -> tuple[World, list[Delivered]]:
    """The chain, and all that its tills delivered, in order of arrival."""
    world = new_world(draw)
    for place in range(draw.shops):
        world.shops.append(open_shop(world, place))
    call_back(world)
    for shop in world.shops:
        trade(world, shop)
    for shop in world.shops:
        take_back(world, shop)
        befall(world, shop)
    steal(world)
    return world, deliver(world)


def records(draw: Draw) -> Iterator[bytes]:
    """The stream as it is sent, one record each."""
    world, delivered = drawn(draw)
    for one in delivered:
        yield record(world, one)


def load(draw: Draw) -> Stranger:
    """Make, parse and label a stream."""
    parse = Parser(Pseudonymizer(b"tillwatch benchmarks, no secret")).parse
    world, delivered = drawn(draw)
    found = Stranger(Stream([], [], Arrivals()), {}, world.occasions)
    stream, seen = found.stream, set[str]()
    for place, one in enumerate(delivered):
        entry = one.entry
        data = record(world, one)
        parsed = parse(Record(Position("file", str(place)), data, entry.shop.shop_id, None))
        if not isinstance(parsed, Transaction):
            found.rejected += 1
            continue
        if parsed.transaction_id in seen:
            continue
        seen.add(parsed.transaction_id)
        stream.transactions.append(parsed)
        stream.arrivals.see(place, parsed)
        if entry.type != REFUND:
            continue
        if entry.campaign and entry.kind:
            label = Label(entry.transaction_id, entry.shop.shop_id, entry.campaign, entry.kind)
            stream.labels.append(label)
        elif entry.tag not in {None, "base"}:
            found.tags[entry.transaction_id] = str(entry.tag)
    return found
