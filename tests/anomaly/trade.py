"""Made-up trade for the tests: a few shops, day after day, repeatable by seed."""

from collections.abc import Iterable, Iterator
from random import Random

from anomaly.detector import Detector
from events.instant import DAY, HOUR, MINUTE, Instant
from events.page import Page
from events.score import Score
from events.transaction import Transaction

MONDAY: Instant = 20_458 * DAY
"""2026-01-05, midnight."""


def transaction(
    number: int,
    kind: str = "SALE",
    at: Instant = MONDAY,
    total: int = 2_000,
    shop: str = "shop-1",
    **more: object,
) -> Transaction:
    """One transaction with what the test leaves out filled in."""
    more = {"utc_offset_minutes": 0, "currency": "GBP", **more}
    return Transaction(f"{shop}-{number}", shop, kind, at, total=total, **more)


def trade(
    seed: int, days: int, shops: int = 1, daily: int = 120, *, lift_on: tuple[int, ...] = ()
) -> Iterator[Transaction]:
    """Ordinary days from 9 to 19 o'clock, 4 % refunds, in time order; thrice as many on `lift_on`.

    Five cashiers a shop, three of them on duty; a fifth of the refunds without receipt.
    """
    rng = Random(seed)
    number = 0
    for day in range(days):
        drafts = []
        for shop in range(shops):
            duty = rng.sample([f"c-{shop}-{one}" for one in range(5)], 3)
            count = daily * (3 if day in lift_on else 1)
            for _ in range(int(rng.gauss(count, count**0.5))):
                refund = rng.random() < 0.04
                drafts.append(
                    (
                        MONDAY + day * DAY + int((9 + 10 * rng.betavariate(2, 2)) * HOUR),
                        f"shop-{shop + 1}",
                        "REFUND" if refund else "SALE",
                        int(100 * rng.lognormvariate(3, 0.6)) + 1,
                        rng.choice(duty),
                        f"k-{rng.randrange(10_000)}" if rng.random() < 0.6 else None,
                        f"old-{rng.randrange(10_000)}" if refund and rng.random() < 0.8 else None,
                    )
                )
        for at, shop_id, kind, total, cashier, card, receipt in sorted(drafts, key=lambda d: d[0]):
            number += 1
            yield transaction(
                number,
                kind,
                at,
                total,
                shop_id,
                cashier_id=cashier,
                card_token=card,
                original_transaction_id=receipt,
                approval_limit=10_000 if kind == "REFUND" else None,
            )


def burst(
    day: int,
    count: int,
    hour: float = 13.0,
    shop: str = "shop-1",
    total: int = 3_000,
    **more: object,
) -> list[Transaction]:
    """`count` refunds without receipt, two minutes apart."""
    start = MONDAY + day * DAY + int(hour * HOUR)
    return [
        transaction(
            900_000 + 1_000 * day + one, "REFUND", start + 2 * one * MINUTE, total, shop, **more
        )
        for one in range(count)
    ]


def watch(
    detector: Detector, transactions: Iterable[Transaction]
) -> tuple[list[Score], list[Page]]:
    """All scores and pages that `transactions` give."""
    scores, pages = [], []
    for one in transactions:
        seen = detector.observe(one)
        if seen is not None:
            pages += seen.pages
            if seen.score is not None:
                scores.append(seen.score)
    return scores, pages
