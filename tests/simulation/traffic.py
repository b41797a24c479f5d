"""What the shops of a schedule send: sales, refunds, frauds, dirt, duplicates, late records."""

import json
import random
from collections.abc import Iterator

import msgspec

from events.instant import HOUR, MINUTE, Instant, to_iso

BEGIN: Instant = 1_767_600_000_000_000


class Sent(msgspec.Struct, frozen=True):
    """One record on its way to the stream."""

    data: bytes
    shop_id: str
    arrived_at: Instant


def traffic(rng: random.Random, records: int, shops: int) -> Iterator[Sent]:
    """`records` of them, in order of arrival."""
    sent: list[Sent] = []
    at, hot = BEGIN, 0
    for number in range(records):
        at += int(rng.expovariate(1.0 / (4 * MINUTE)))
        if number % 12 == 0:
            hot = rng.randrange(shops)
        shop = f"shop-{(hot + rng.choice((0, 0, 0, 1, rng.randrange(shops)))) % shops}"
        draw = rng.random()
        if draw < 0.05 and sent:
            data = rng.choice(sent[-20:])
            one = Sent(data.data, data.shop_id, at)
        elif draw < 0.08:
            one = Sent(b'{"schema": 1, "transaction_id": ', shop, at)
        elif draw < 0.10 and sent:
            # An id is looked for among those of its key group, so it is reused in its own shop.
            earlier = rng.randrange(number)
            shop = sent[earlier].shop_id
            one = Sent(_wire(rng, earlier, shop, at), shop, at)
        else:
            one = Sent(_wire(rng, number, shop, at), shop, at)
        sent.append(one)
        yield one


def _wire(rng: random.Random, number: int, shop: str, at: Instant) -> bytes:
    draw = rng.random()
    occurred = at
    if draw < 0.05:
        occurred -= rng.randrange(6 * HOUR)
    elif draw < 0.07:
        occurred += rng.randrange(5 * HOUR)
    elif draw < 0.08:
        occurred += 48 * HOUR
    refund = rng.random() < 0.35
    total = rng.choice(("950.00", "12.50", "40.00")) if refund else f"{rng.randrange(5, 30)}.25"
    return json.dumps(
        {
            "schema": 1,
            "transaction_id": f"t-{number:04}",
            "shop_id": shop,
            "cashier_id": f"c-{rng.choice((0, 0, 0, 1, 2))}",
            "type": "REFUND" if refund else rng.choice(("SALE", "SALE", "SALE", "VOID")),
            "occurred_at": to_iso(occurred),
            "currency": "GBP",
            "total": total,
        }
    ).encode()
