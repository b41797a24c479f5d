"""What the live view shows at one moment: the values that its one JSON answer is made of.

Times are Instants where they take part in arithmetic and ISO 8601 text in UTC where they are only
shown. Amounts are decimals of the currency's unit, as OpenSearch holds them.
"""

from typing import Any

import msgspec

from consumer.precision import Precision


class Newest(msgspec.Struct, frozen=True):
    """The page's now: the newest event time. `ahead` transactions claim a later one."""

    instant: int
    ahead: int


class Amount(msgspec.Struct, frozen=True):
    """Money of one currency; `amount` in its unit."""

    currency: str
    amount: float


class Totals(msgspec.Struct, frozen=True):
    """What lies in the window; `normal_rate` is the refund rate of all shops before it."""

    transactions: int
    sales: int
    refunds: int
    voids: int
    refunded: tuple[Amount, ...]
    refund_rate: float | None
    normal_rate: float | None
    shops: int


class Rates(msgspec.Struct, frozen=True):
    """Per minute, bucket by bucket: `at` is each bucket's start in epoch seconds."""

    bucket_seconds: int
    at: tuple[int, ...]
    transactions: tuple[float, ...]
    refunds: tuple[float, ...]


class ShopCount(msgspec.Struct, frozen=True):
    """Sales and refunds of one shop over some stretch; voids are left out."""

    sales: int
    refunds: int


class ShopRate(msgspec.Struct, frozen=True):
    """One shop's refunds as a share of its sales and refunds, against its normal.

    `normal` is the same share over the four weeks before the window, None without enough of them;
    `deviation` how many standard deviations more refunds there are than normal gives.
    """

    shop_id: str
    sales: int
    refunds: int
    rate: float
    normal: float | None
    deviation: float | None


class Snoozed(msgspec.Struct, frozen=True):
    """The rule for which nobody is told of a page now, until `until` in event time."""

    rule_id: str
    until: str
    by: str | None
    note: str | None


class PageRow(msgspec.Struct, frozen=True):
    """One page, as a person reads it.

    `observed` and `expected` count refunds over `window_seconds`; where `of_money`, they are money
    of the currency of `refunded` instead. `suppressed_by` is the rule for which nobody was told of
    its last revision; `snoozed` is the one that holds now. `links` as in sinks/page_links.py.
    """

    page_id: str
    status: str
    shop_id: str
    reason: str
    entity_kind: str
    entity_id: str
    severity: int
    summary: str
    opened_at: str
    updated_at: str
    refunds: int
    observed: float
    expected: float
    refunded: Amount
    score: float
    model_version: str
    evidence: tuple[str, ...]
    verdict: str | None = None
    window_seconds: int | None = None
    of_money: bool = False
    suppressed_by: str | None = None
    snoozed: Snoozed | None = None
    links: dict[str, str] = {}


class Verdicts(msgspec.Struct, frozen=True):
    """What people said of pages so far: how many of each finding. `open` when more are taken."""

    fraud: int
    ok: int
    policy: int
    open: bool
    by_reason: tuple[Precision, ...] = ()


class RejectionRow(msgspec.Struct, frozen=True):
    """One record that is not a valid transaction."""

    stage: str
    reason: str
    field: str | None
    detail: str
    shop_id: str | None
    arrived_at: str | None
    position: str


class ShardRow(msgspec.Struct, frozen=True):
    """What one shard's worker last said of itself.

    `records` and `rejections` count its last batch; `written_at` is the worker's wall clock,
    `last_event_at` event time.
    """

    shard_id: str
    records: int
    rejections: int
    behind_millis: int | None
    written_at: str
    last_event_at: str | None


class EvidenceRow(msgspec.Struct, frozen=True):
    """One transaction behind a page; `found` is False where OpenSearch no longer has it."""

    transaction_id: str
    found: bool
    type: str | None = None
    occurred_at: str | None = None
    total: Amount | None = None
    score: float | None = None
    register_id: str | None = None
    cashier_id: str | None = None
    payment_method: str | None = None
    original_transaction_id: str | None = None
    reason: str | None = None


class Live(msgspec.Struct, frozen=True):
    """Everything on the page. `now` is event time; `served_at` is the server's wall clock.

    `indexed` counts the transactions that OpenSearch holds, of all times.
    `complete` is False when OpenSearch ran out of time or a part of an index did not answer.
    """

    window: str
    served_at: str
    now: str | None
    since: str | None
    ahead: int
    complete: bool
    totals: Totals
    rates: Rates
    shops: tuple[ShopRate, ...]
    shops_total: int
    open_pages: tuple[PageRow, ...]
    open_total: int
    closed_pages: tuple[PageRow, ...]
    closed_total: int
    verdicts: Verdicts
    rejections: tuple[RejectionRow, ...]
    rejections_total: int
    shards: tuple[ShardRow, ...]
    indexed: int


class Evidence(msgspec.Struct, frozen=True):
    """The transactions behind one page, worst first."""

    page_id: str
    transactions: tuple[EvidenceRow, ...]


Json = dict[str, Any]
"""A body or an answer of OpenSearch, as json gives it."""
