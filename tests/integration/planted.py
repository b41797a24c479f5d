"""A person who is planted everywhere that a record can hold one, and who must come out nowhere."""

import json
import re
from collections.abc import Iterable
from random import Random
from typing import Any

from events.instant import DAY, HOUR, MINUTE
from events.pseudonym import Pseudonymizer
from tests.consumer.world import START, wire

NAME = "Zelda Quorthon"
EMAIL = "zelda.quorthon@planted.example"
PHONE = "07700 900461"
CARD_NUMBER = "4539 1488 0343 6467"
TOKEN = "tok-planted-93abf7"
CUSTOMER = "u-planted-77"
"""The retailer's own number, which is kept in the clear until it is erased."""

TEXT = f"for {EMAIL} ({PHONE}), card {CARD_NUMBER}"
CLEAR = ("quorthon", "planted.example", "07700900461", "4539148803436467", TOKEN)
"""What no place may hold, as it is looked for: small letters, digits without their separators."""

_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_SEPARATED = re.compile(r"(?<=\d)[ .\-]{1,2}(?=\d)")

NAMED_CASHIER = "jane.till@planted.example"


def found_in(data: bytes | str, needles: Iterable[str] = CLEAR) -> list[str]:
    """Which of `needles` stand in `data`, in whatever groups or escapes."""
    text = data.decode(errors="replace") if isinstance(data, bytes) else data
    text = _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)
    plain = _SEPARATED.sub("", text).casefold()
    return [needle for needle in needles if needle.casefold() in plain]


def kept_of(key: str) -> tuple[str, ...]:
    """What is kept of the person under the pseudonym key `key`, and goes with an erasure."""
    hashed = Pseudonymizer(key.encode())
    return (
        CUSTOMER,
        hashed.card_token(TOKEN),
        hashed.contact_email(EMAIL),
        hashed.contact_name(NAME),
    )


def personal(**more: Any) -> dict[str, Any]:
    """Fields of a record with the person in all of them."""
    return {
        "customer_id": CUSTOMER,
        "payment": {"method": f"CARD {CARD_NUMBER}", "card_token": TOKEN, "holder": NAME},
        "contact": {"name": NAME, "email": EMAIL, "phone": PHONE},
        "reason": TEXT,
        "lines": [
            {"item_id": "101", "description": TEXT, "quantity": 1, "engraving_text": TEXT},
            {"item_id": "4006381333931", "description": "Mug 2 @ 1.99", "category": TEXT},
        ],
        "customer_name": NAME,
        "phone": PHONE,
        "delivery": {"recipient": NAME, "note": TEXT, EMAIL: 1, "pan": 4539148803436467},
        "till_note": TEXT,
        **more,
    }


def trade() -> list[bytes]:
    """Twelve quiet days of one shop, and then the person's refunds, which somebody is told of."""
    rng = Random(7)
    midnight = START - START % DAY
    records = []
    for number in range(12 * 60):
        refund = rng.random() < 0.04
        records.append(
            wire(
                number,
                at=midnight + number // 60 * DAY + 9 * HOUR + number % 60 * 3 * MINUTE,
                kind="REFUND" if refund else "SALE",
                total=f"{5 + rng.randrange(30)}.50",
                cashier_id=f"c-{number % 4}",
                payment={"method": "CARD", "card_token": f"k-{rng.randrange(5000)}"},
                original_transaction_id=f"t-{number - 30:06}" if refund else None,
            )
        )
    return records + [
        wire(
            900 + number,
            at=midnight + 12 * DAY + 10 * HOUR + number * 40 * MINUTE,
            kind="REFUND",
            total="19.90",
            **personal(cashier_id=NAMED_CASHIER if number == 8 else f"c-{number % 4}"),
        )
        for number in range(9)
    ]


def broken() -> list[bytes]:
    """Records of the person that are rejected: each tells of its fault in another way."""
    return [
        wire(950, total="-1.00", **personal()),
        wire(951, kind=EMAIL, **personal()),
        wire(952, **personal(currency=TOKEN)),
        wire(953, shop=EMAIL, total=PHONE),
        f'{{"customer": "{NAME}", "note": "{TEXT}'.encode(),
        b"\xff" + json.dumps(personal()).encode(),
        json.dumps({"transaction_id": TEXT, "shop_id": EMAIL}).encode(),
        wire(954, **personal(total="x", padding="x" * 300_000)),  # too large for a message
    ]
