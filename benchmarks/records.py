"""The records that everything is measured on: 350 bytes, 4 % refunds, 200 shops, seeded."""

import json
from random import Random

from events.instant import SECOND, Instant, to_iso

SHOPS = 200
REFUND_SHARE = 0.04
START: Instant = 1_767_600_000 * SECOND
"""2026-01-05T08:00Z."""
RECORDS_PER_SECOND = 25
"""Event time passes so that 90,000 records are an hour of the chain."""


def wire_records(
    count: int, seed: int = 1, shops: int = SHOPS, per_second: int = RECORDS_PER_SECOND
) -> list[tuple[str, bytes]]:
    """`count` records in event-time order, each with its partition key."""
    random = Random(seed)
    prices = [
        f"{random.randint(1, 60)}.{random.choice(('00', '49', '50', '99'))}" for _ in range(400)
    ]
    records = []
    for number in range(count):
        shop = f"shop-{random.randrange(shops):03}"
        refund = random.random() < REFUND_SHARE
        price = random.choice(prices)
        record = {
            "schema": 1,
            "transaction_id": f"t-{number:09}",
            "shop_id": shop,
            "register_id": f"r{random.randrange(6)}",
            "cashier_id": f"c-{random.randrange(14)}",
            "type": "REFUND" if refund else "SALE",
            "occurred_at": to_iso(START + number * SECOND // per_second),
            "currency": "GBP",
            "total": price,
            "payment": {"method": "CARD", "card_token": f"k-{random.randrange(60_000):05x}"},
            "lines": [
                {
                    "item_id": f"{random.randrange(400):03}",
                    "description": "Item",
                    "category": random.choice(("toys", "food", "home", "wear")),
                    "quantity": 1,
                    "unit_price": price,
                }
            ],
        }
        if refund and random.random() < 0.8:
            record["original_transaction_id"] = (
                f"t-{max(0, number - random.randrange(1, 90_000)):09}"
            )
        records.append((shop, json.dumps(record, separators=(",", ":")).encode()))
    return records
