"""What people said of pages, as OpenSearch indexes it. Pure."""

from datetime import datetime

import msgspec

from events.instant import to_datetime
from events.page import Entity
from events.suppression import Lift, Suppression
from events.verdict import Verdict

VERDICTS = "verdicts"
SUPPRESSIONS = "suppressions"


class VerdictDocument(msgspec.Struct, omit_defaults=True):
    """What was said of a page last; `_id` is the page's."""

    page_id: str
    shop_id: str
    reason: str
    verdict: str
    given_at: datetime
    by: str | None = None
    note: str | None = None


class SuppressionDocument(msgspec.Struct, omit_defaults=True):
    """A rule of which pages nobody is told, or its end before its time: a document each."""

    rule_id: str
    shop_id: str
    action: str
    given_at: datetime
    since: datetime | None = None
    until: datetime | None = None
    entity: Entity | None = None
    reason: str | None = None
    by: str | None = None
    note: str | None = None


def said_document(
    item: Verdict | Suppression | Lift,
) -> tuple[str, str, VerdictDocument | SuppressionDocument]:
    """Index, id and document: of a verdict its page's id, of a rule and of its end one each."""
    if isinstance(item, Verdict):
        return VERDICTS, item.page_id, _verdict(item)
    if isinstance(item, Suppression):
        return SUPPRESSIONS, item.rule_id, _rule(item)
    return SUPPRESSIONS, f"{item.rule_id}#lift", _lift(item)


def _verdict(item: Verdict) -> VerdictDocument:
    return VerdictDocument(
        page_id=item.page_id,
        shop_id=item.shop_id,
        reason=item.reason,
        verdict=item.finding,
        given_at=to_datetime(item.given_at),
        by=item.by,
        note=item.note,
    )


def _rule(item: Suppression) -> SuppressionDocument:
    return SuppressionDocument(
        rule_id=item.rule_id,
        shop_id=item.shop_id,
        action="suppress",
        given_at=to_datetime(item.given_at),
        since=None if item.since is None else to_datetime(item.since),
        until=to_datetime(item.until),
        entity=item.entity,
        reason=item.reason,
        by=item.by,
        note=item.note,
    )


def _lift(item: Lift) -> SuppressionDocument:
    return SuppressionDocument(
        rule_id=item.rule_id,
        shop_id=item.shop_id,
        action="lift",
        given_at=to_datetime(item.given_at),
        by=item.by,
        note=item.note,
    )
