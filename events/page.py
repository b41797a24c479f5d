"""One incident that a person is told of."""

from typing import Literal

import msgspec

from events.instant import Instant

PageStatus = Literal["open", "updated", "closed"]

EVIDENCE_MAX = 25


class Entity(msgspec.Struct, frozen=True):
    """Whom a page is about: a shop, cashier, register, card, customer or receipt."""

    kind: str
    id: str


class Page(msgspec.Struct, frozen=True):
    """One incident at one moment: the same `page_id` is opened, updated and closed.

    `revision` counts from 0 at opening; `evidence` are transaction ids, worst first, at most
    `EVIDENCE_MAX`; `refunded_total` is minor units of `currency`; `severity` 1 low to 4 critical;
    `summary` is the sentence a person reads first. `observed` and `expected` are counts of refunds
    over `window` microseconds, or, where the reason is `amount`, minor units of one refund's total
    and no window. `first_at` and `last_at` are when its first and its last refund occurred.
    `suppressed_by` names the rule for which nobody is told of this revision.
    """

    page_id: str
    status: PageStatus
    revision: int
    shop_id: str
    opened_at: Instant
    updated_at: Instant
    reason: str
    entity: Entity
    severity: int
    after_transaction_id: str
    evidence: tuple[str, ...]
    refunds: int
    observed: float
    expected: float
    refunded_total: int
    currency: str
    score: float
    model_version: str
    summary: str
    window: Instant = 0
    first_at: Instant = 0
    last_at: Instant = 0
    suppressed_by: str | None = None
