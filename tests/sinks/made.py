"""Batches made for tests: every field filled where it costs nothing, ids by number."""

import random
from typing import Any

from events.batch import Batch, Scored
from events.instant import HOUR, Instant
from events.page import Entity, Page, PageStatus
from events.position import Position
from events.record import Record
from events.rejection import Rejection
from events.score import Reason, Score
from events.transaction import Line, Transaction

SHARD = "shardId-000000000007"
NOON: Instant = 1_767_614_400_000_000  # 2026-01-05T12:00Z
_SEQUENCE = 49_590_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000


def position(n: int) -> Position:
    return Position(SHARD, str(_SEQUENCE + n), n % 3)


def transaction(n: int, **fields: Any) -> Transaction:
    values: dict[str, Any] = {
        "transaction_id": f"t-{n:06d}",
        "shop_id": f"shop-{n % 7:03d}",
        "type": "SALE",
        "occurred_at": NOON + n * 1_250_000,
        "utc_offset_minutes": 60,
        "currency": "GBP",
        "total": 2_499 + n,
        "cashier_id": f"c-{n % 5}",
        "lines": (Line("101", "Item One", "toys", 1_000, 249_900),),
    }
    return Transaction(**(values | fields))


def scored(n: int, *, score: Score | None = None, **fields: Any) -> Scored:
    return Scored(
        position(n), transaction(n, **fields), score, b'{"n":%d}' % n, NOON + n * 1_300_000
    )


def score(value: float = 0.875) -> Score:
    reasons = (
        Reason("volume", "shop", "shop-001", 0.5, 9.0, "refunds", 0.75),
        Reason("receipt", "cashier", "c-1", 0.2, 1.0, "share", 0.25),
    )
    return Score(value, reasons, "m1")


def page(revision: int = 0, status: PageStatus = "open", **fields: Any) -> Page:
    values: dict[str, Any] = {
        "page_id": "p-0001",
        "status": status,
        "revision": revision,
        "shop_id": "shop-001",
        "opened_at": NOON,
        "updated_at": NOON + HOUR // 2,
        "reason": "volume",
        "entity": Entity("cashier", "c-1"),
        "severity": 4,
        "after_transaction_id": "t-000001",
        "evidence": ("t-000001", "t-000008"),
        "refunds": 14 + revision,
        "observed": 14.0,
        "expected": 0.5,
        "refunded_total": 128_400,
        "currency": "GBP",
        "score": 0.98,
        "model_version": "m1",
        "summary": "14 refunds, 1,284.00 GBP, in 26 minutes at shop-001",
    }
    return Page(**(values | fields))


def rejection(n: int, data: bytes = b"\xff not a transaction", **fields: Any) -> Rejection:
    values: dict[str, Any] = {
        "position": position(n),
        "data": data,
        "stage": "parse",
        "reason": "not_json",
        "field": None,
        "detail": "the record is not JSON",
        "arrived_at": NOON + n,
    }
    return Rejection(**(values | fields))


def batch(
    *items: Scored, pages: tuple[Page, ...] = (), rejections: tuple[Rejection, ...] = ()
) -> Batch:
    """A batch of `items` and more, in stream order; at least one of them or of `rejections`."""
    positions = [item.position for item in items] + [entry.position for entry in rejections]
    positions = sorted(positions, key=lambda place: place.order) or [position(0)]
    return Batch(
        scored=items,
        pages=pages,
        rejections=rejections,
        first=positions[0],
        last=positions[-1],
        records=len(items) + len(rejections),
        behind_millis=40,
        raw=tuple(
            Record(it.position, it.data, "a shop's key", it.arrived_at)
            for it in sorted((*items, *rejections), key=lambda it: it.position.order)
        ),
    )


def trade(count: int, seed: int = 1, hours: int = 3) -> list[Scored]:
    """`count` transactions over some hours and shops, refunds scored, some fields missing."""
    rng = random.Random(seed)
    made = []
    for n in range(count):
        refund = rng.random() < 0.2
        made.append(
            scored(
                n,
                score=score(rng.random()) if refund else None,
                type="REFUND" if refund else "SALE",
                shop_id=f"shop-{rng.randrange(9):03d}",
                occurred_at=NOON + rng.randrange(hours * 3_600) * 1_000_000,
                currency=rng.choice(["GBP", "JPY", "KWD"]),
                approval_limit=rng.choice([None, 10_000]),
                unknown=rng.choice([None, b'{"till":"left"}']),
                lines=tuple(
                    Line(f"{rng.randrange(50)}", None, None, rng.randrange(-3, 9) * 500, None)
                    for _ in range(rng.randrange(4))
                ),
            )
        )
    return made
