"""A page as machines read it: what SNS carries and what `backtest` writes a line of. Pure."""

from collections.abc import Mapping

import msgspec

from events.instant import to_iso
from events.page import Entity, Page
from sinks.amount import money_text
from sinks.page_links import Subject, links_of


class PageMessage(msgspec.Struct, frozen=True):
    """The page format; the total is a decimal string, times are ISO 8601 in UTC."""

    page_id: str
    status: str
    revision: int
    shop_id: str
    opened_at: str
    updated_at: str
    reason: str
    entity: Entity
    severity: int
    after_transaction_id: str
    evidence: tuple[str, ...]
    refunds: int
    observed: float
    expected: float
    refunded_total: str
    currency: str
    score: float
    model_version: str
    summary: str
    links: dict[str, str]
    suppressed_by: str | msgspec.UnsetType = msgspec.UNSET
    """The rule for which nobody is told of it; such a page is in no message of SNS."""


def page_json(page: Page, links: Mapping[str, str] | None = None) -> bytes:
    """`page` as one line of JSON without the newline.

    `links` by name, as page_links.links_of gives them; without, those that need no address.

    Raises:
        KeyError: its currency is none of ISO 4217.
    """
    message = PageMessage(
        page_id=page.page_id,
        status=page.status,
        revision=page.revision,
        shop_id=page.shop_id,
        opened_at=to_iso(page.opened_at),
        updated_at=to_iso(page.updated_at),
        reason=page.reason,
        entity=page.entity,
        severity=page.severity,
        after_transaction_id=page.after_transaction_id,
        evidence=page.evidence,
        refunds=page.refunds,
        observed=page.observed,
        expected=page.expected,
        refunded_total=money_text(page.refunded_total, page.currency),
        currency=page.currency,
        score=page.score,
        model_version=page.model_version,
        summary=page.summary,
        links=dict(links_of(Subject.of(page)) if links is None else links),
        suppressed_by=page.suppressed_by or msgspec.UNSET,
    )
    return msgspec.json.encode(message)
