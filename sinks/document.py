"""What OpenSearch indexes: one document per transaction, page, verdict, rejection, shard. Pure.

Fields are named as in events/. Contact data and card tokens arrive here as keyed hashes; raw bytes
are never indexed. sinks/templates.py maps every field named here.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

import msgspec

from events.batch import Batch, Scored
from events.instant import DAY, SECOND, Instant, to_datetime
from events.page import Entity, Page
from events.position import Position
from events.rejection import Rejection
from events.score import Score
from events.suppression import Lift, Suppression
from events.transaction import Line
from events.verdict import Verdict
from sinks.amount import money_json, quantity_json, unit_price_json
from sinks.document_said import SuppressionDocument, VerdictDocument, said_document

OPERATIONS = "operations"
REJECTIONS_UNDATED = "rejections-undated"
"""Where rejections go whose record has no time of arrival, as from a file."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Target(msgspec.Struct, gc=False):
    _index: str
    _id: str


class _VersionedTarget(msgspec.Struct, gc=False):
    _index: str
    _id: str
    version: int
    version_type: str = "external_gte"


class Action(msgspec.Struct, gc=False):
    """The line of a bulk body above a document: where it goes."""

    index: _Target | _VersionedTarget


class LineDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """One line of a receipt."""

    item_id: str | None = None
    description: str | None = None
    category: str | None = None
    quantity: msgspec.Raw | None = None
    unit_price: msgspec.Raw | None = None


class TransactionDocument(msgspec.Struct, omit_defaults=True, gc=False):
    """One transaction; `_id` is its transaction_id, so that writing it again changes nothing."""

    transaction_id: str
    shop_id: str
    type: str
    occurred_at: datetime
    utc_offset_minutes: int
    currency: str
    total: msgspec.Raw
    position: Position
    arrived_at: datetime | None = None
    register_id: str | None = None
    cashier_id: str | None = None
    payment_method: str | None = None
    card_token: str | None = None
    customer_id: str | None = None
    contact_name: str | None = None
    contact_email: str | None = None
    original_transaction_id: str | None = None
    reason: str | None = None
    approval_limit: msgspec.Raw | None = None
    lines: list[LineDocument] | None = None
    unknown: msgspec.Raw | None = None
    score: Score | None = None


class PageDocument(msgspec.Struct, omit_defaults=True):
    """One page as it stands after its latest revision."""

    page_id: str
    status: str
    revision: int
    shop_id: str
    opened_at: datetime
    updated_at: datetime
    reason: str
    entity: Entity
    severity: int
    after_transaction_id: str
    evidence: tuple[str, ...]
    refunds: int
    observed: float
    expected: float
    refunded_total: msgspec.Raw
    currency: str
    score: float
    model_version: str
    summary: str
    window_seconds: int | None = None
    first_at: datetime | None = None
    last_at: datetime | None = None
    suppressed_by: str | None = None


class RejectionDocument(msgspec.Struct, omit_defaults=True):
    """A rejection without its bytes, of which only the number is kept."""

    position: Position
    stage: str
    reason: str
    data_bytes: int
    detail: str
    field: str | None = None
    arrived_at: datetime | None = None
    shop_id: str | None = None
    model_version: str | None = None


class StatusDocument(msgspec.Struct, omit_defaults=True):
    """What a shard's worker last did; `_id` is the shard, so there is one per shard."""

    shard_id: str
    records: int
    transactions: int
    pages: int
    rejections: int
    position: Position
    written_at: datetime
    behind_millis: int | None = None
    last_event_at: datetime | None = None


Source = Scored | Page | Verdict | Suppression | Lift | Rejection | Position
"""What a document was built from; a status document from the position that it reports."""


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One item of a bulk body: its two lines, and what they were built from."""

    action: Action
    document: (
        TransactionDocument
        | PageDocument
        | VerdictDocument
        | SuppressionDocument
        | RejectionDocument
        | StatusDocument
    )
    source: Source


def transaction(item: Scored) -> Entry:
    """The entry of one transaction. On the hot path, where sinks/_bodies.c writes what it says.

    A field that is added here, or that is written otherwise, is so there too.

    Raises:
        KeyError: its currency is none of ISO 4217.
    """
    it = item.transaction
    limit = it.approval_limit
    arrived = item.arrived_at
    return Entry(
        Action(_Target(_transactions_index(it.occurred_at // DAY), it.transaction_id)),
        TransactionDocument(
            it.transaction_id,
            it.shop_id,
            it.type,
            _EPOCH + timedelta(0, 0, it.occurred_at),
            it.utc_offset_minutes,
            it.currency,
            money_json(it.total, it.currency),
            item.position,
            None if arrived is None else _EPOCH + timedelta(0, 0, arrived),
            it.register_id,
            it.cashier_id,
            it.payment_method,
            it.card_token,
            it.customer_id,
            it.contact_name,
            it.contact_email,
            it.original_transaction_id,
            it.reason,
            None if limit is None else money_json(limit, it.currency),
            [_line(line) for line in it.lines] if it.lines else None,
            None if it.unknown is None else msgspec.Raw(it.unknown),
            item.score,
        ),
        item,
    )


def page(item: Page) -> Entry:
    """The entry of one page.

    Its version is the revision, so that a replay never puts an older revision over a newer one:
    OpenSearch answers 409 then, which is as good as written.
    """
    month = _dotted(to_datetime(item.opened_at))[: len("2026.01")]
    target = _VersionedTarget(f"pages-{month}", item.page_id, item.revision + 1)
    document = PageDocument(
        page_id=item.page_id,
        status=item.status,
        revision=item.revision,
        shop_id=item.shop_id,
        opened_at=to_datetime(item.opened_at),
        updated_at=to_datetime(item.updated_at),
        reason=item.reason,
        entity=item.entity,
        severity=item.severity,
        after_transaction_id=item.after_transaction_id,
        evidence=item.evidence,
        refunds=item.refunds,
        observed=item.observed,
        expected=item.expected,
        refunded_total=money_json(item.refunded_total, item.currency),
        currency=item.currency,
        score=item.score,
        model_version=item.model_version,
        summary=item.summary,
        window_seconds=item.window // SECOND or None,
        first_at=to_datetime(item.first_at) if item.first_at else None,
        last_at=to_datetime(item.last_at) if item.last_at else None,
        suppressed_by=item.suppressed_by,
    )
    return Entry(Action(target), document, item)


def latest(pages: tuple[Page, ...]) -> list[Page]:
    """Each page once, as its highest revision among `pages` has it, in order of first mention."""
    newest: dict[str, Page] = {}
    for item in pages:
        known = newest.get(item.page_id)
        if known is None or item.revision >= known.revision:
            newest[item.page_id] = item
    return list(newest.values())


def said(item: Verdict | Suppression | Lift) -> Entry:
    """The entry of what a person said: the latest stands, in whatever order they are written."""
    index, id_, document = said_document(item)
    version = item.given_at // (SECOND // 1_000)
    return Entry(Action(_VersionedTarget(index, id_, version)), document, item)


def rejection(item: Rejection) -> Entry:
    """The entry of one rejection, in the index of the day its record arrived."""
    arrived = None if item.arrived_at is None else to_datetime(item.arrived_at)
    index = REJECTIONS_UNDATED if arrived is None else f"rejections-{_dotted(arrived)}"
    target = _Target(index, f"{item.position.shard_id}-{item.position.slug}")
    document = RejectionDocument(
        position=item.position,
        stage=item.stage,
        reason=item.reason,
        data_bytes=len(item.data),
        detail=item.detail,
        field=item.field,
        arrived_at=arrived,
        shop_id=item.shop_id,
        model_version=item.model_version,
    )
    return Entry(Action(target), document, item)


def status(batch: Batch, written_at: Instant) -> Entry:
    """The entry that says how far the batch's shard has come."""
    events = [item.transaction.occurred_at for item in batch.scored]
    document = StatusDocument(
        shard_id=batch.last.shard_id,
        records=batch.records,
        transactions=len(batch.scored),
        pages=len(batch.pages),
        rejections=len(batch.rejections),
        position=batch.last,
        written_at=to_datetime(written_at),
        behind_millis=batch.behind_millis,
        last_event_at=to_datetime(max(events)) if events else None,
    )
    return Entry(Action(_Target(OPERATIONS, batch.last.shard_id)), document, batch.last)


def _line(line: Line) -> LineDocument:
    quantity = line.quantity_thousandths
    price = line.unit_price_e4
    return LineDocument(
        line.item_id,
        line.description,
        line.category,
        None if quantity is None else quantity_json(quantity),
        None if price is None else unit_price_json(price),
    )


@lru_cache(maxsize=4_096)
def _transactions_index(day: int) -> str:
    return f"transactions-{_dotted(to_datetime(day * DAY))}"


def _dotted(moment: datetime) -> str:
    """The day as 2026.01.05; strftime does not pad the years before 1000."""
    return moment.date().isoformat().replace("-", ".")
