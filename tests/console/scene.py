"""What the tests of the live view put into OpenSearch, by the sink that a worker uses."""

import itertools
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from events.batch import Batch, Scored
from events.instant import MINUTE, SECOND, Instant, from_datetime
from events.page import Entity, Page, PageStatus
from events.position import Position
from events.rejection import Rejection
from events.score import Reason, Score
from events.suppression import Lift, Suppression
from events.transaction import Transaction, TransactionType
from events.verdict import Verdict
from sinks.opensearch import OpenSearchSink

NOW = from_datetime(datetime(2026, 3, 2, 16, 40, 30, tzinfo=UTC))
WRITTEN_AT = from_datetime(datetime(2026, 3, 2, 16, 41, tzinfo=UTC))
SHARD = "shardId-000000000000"
MODEL = "test-1"

_sequence = itertools.count(1)


def transaction(
    transaction_id: str,
    *,
    shop_id: str = "shop-001",
    type_: TransactionType = "SALE",
    at: Instant = NOW,
    total: int = 1_999,
    currency: str = "GBP",
    cashier_id: str | None = "c-1",
    score: float = 0.1,
    original: str | None = None,
) -> Scored:
    reason = Reason("volume", "shop", shop_id, 1.0, 4.0, "refunds", 1.0)
    return Scored(
        position=Position(SHARD, str(next(_sequence))),
        transaction=Transaction(
            transaction_id=transaction_id,
            shop_id=shop_id,
            type=type_,
            occurred_at=at,
            utc_offset_minutes=0,
            currency=currency,
            total=total,
            register_id="r-1",
            cashier_id=cashier_id,
            payment_method="CARD",
            original_transaction_id=original,
        ),
        score=Score(score, (reason,), MODEL) if type_ == "REFUND" else None,
        data=b"{}",
        arrived_at=at + SECOND,
    )


def sales_and_refunds(
    shop_id: str, *, sales: int, refunds: int, until: Instant, every: Instant = MINUTE
) -> list[Scored]:
    """So many of each, one `every`, the last at `until`, refunds first in time."""
    count = sales + refunds
    return [
        transaction(
            f"{shop_id}-{until}-{index}",
            shop_id=shop_id,
            type_="REFUND" if index < refunds else "SALE",
            at=until - (count - 1 - index) * every,
        )
        for index in range(count)
    ]


def page(
    page_id: str,
    evidence: Sequence[str],
    *,
    shop_id: str = "shop-001",
    status: PageStatus = "open",
    revision: int = 0,
    opened_at: Instant = NOW - 10 * MINUTE,
    entity: tuple[str, str] = ("cashier", "c-1"),
    severity: int = 3,
    summary: str = "Cashier c-1 refunded 3 times in 10 minutes; 0.4 is normal.",
    refunded_total: int = 123_450,
    currency: str = "GBP",
) -> Page:
    return Page(
        page_id=page_id,
        status=status,
        revision=revision,
        shop_id=shop_id,
        opened_at=opened_at,
        updated_at=opened_at + 5 * MINUTE,
        reason="cashier",
        entity=Entity(*entity),
        severity=severity,
        after_transaction_id=evidence[0] if evidence else "none",
        evidence=tuple(evidence),
        refunds=len(evidence),
        observed=float(len(evidence)),
        expected=0.4,
        refunded_total=refunded_total,
        currency=currency,
        score=0.973,
        model_version=MODEL,
        summary=summary,
    )


def rejection(
    reason: str = "amount_not_positive",
    *,
    field: str | None = "total",
    detail: str = "The total is negative.",
    arrived_at: Instant | None = NOW,
    shop_id: str | None = "shop-002",
) -> Rejection:
    return Rejection(
        position=Position(SHARD, str(next(_sequence))),
        data=b"{}",
        stage="parse",
        reason=reason,
        field=field,
        detail=detail,
        arrived_at=arrived_at,
        shop_id=shop_id,
    )


def put(
    client: Any,
    *,
    scored: Sequence[Scored] = (),
    pages: Sequence[Page] = (),
    rejections: Sequence[Rejection] = (),
    verdicts: Sequence[Verdict] = (),
    suppressions: Sequence[Suppression | Lift] = (),
    shard_id: str = SHARD,
    behind_millis: int | None = 1_200,
    written_at: Instant = WRITTEN_AT,
) -> None:
    """Index a batch of these and make them searchable."""
    positions = [item.position for item in (*scored, *rejections)]
    last = Position(shard_id, (positions[-1] if positions else Position("", "1")).sequence_number)
    sink = OpenSearchSink(client, threading.Event(), clock=lambda: written_at)
    sink.write(
        Batch(
            scored=tuple(scored),
            pages=tuple(pages),
            rejections=tuple(rejections),
            first=positions[0] if positions else last,
            last=last,
            records=len(positions),
            behind_millis=behind_millis,
            verdicts=tuple(verdicts),
            suppressions=tuple(suppressions),
        )
    )
    client.indices.refresh(
        index="transactions-*,pages-*,rejections-*,operations,verdicts*,suppressions*"
    )
