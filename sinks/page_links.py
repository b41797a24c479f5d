"""Where a person looks on from a page: live view, its refunds by SQL, its stretch again. Pure."""

from shlex import quote
from typing import Final
from urllib.parse import quote as url_quote

import msgspec

from events.instant import HOUR, SECOND, Instant, to_datetime, to_iso
from events.page import Entity, Page

_MARGIN: Final[Instant] = SECOND
"""Times are told in whole milliseconds, and a stretch ends before its second time."""

_LATE: Final[Instant] = HOUR
"""So much later than they occurred refunds may arrive to be in the stretch that is taken again."""

_COLUMN: Final = {
    "cashier": "coalesce(cashier_id, register_id)",
    "register": "register_id",
    "card": "card_token",
    "customer": "customer_id",
    "receipt": "original_transaction_id",
}


class Subject(msgspec.Struct, frozen=True):
    """What of a page its links need."""

    page_id: str
    shop_id: str
    entity: Entity
    evidence: tuple[str, ...]
    first_at: Instant
    last_at: Instant

    @classmethod
    def of(cls, page: Page) -> "Subject":
        """That of `page`."""
        first_at = page.first_at or page.opened_at
        return cls(
            page.page_id,
            page.shop_id,
            page.entity,
            page.evidence,
            min(first_at, page.opened_at),
            page.last_at or max(page.updated_at, page.opened_at),
        )


def links_of(
    subject: Subject, live_view: str | None = None, dashboards: str | None = None
) -> dict[str, str]:
    """The links by name: `live_view` and `dashboard`, where known, `replay` and `athena`.

    `athena` is a query that Athena and `tillwatch sql` take, `replay` a command; `dashboards` is
    the address of OpenSearch Dashboards.
    """
    links = {}
    if live_view:
        links["live_view"] = f"{live_view.rstrip('/')}/#page={url_quote(subject.page_id, safe='')}"
    if dashboards:
        from sinks.dashboards.link import shop_link

        links["dashboard"] = shop_link(
            dashboards, subject.shop_id, subject.entity, subject.first_at, subject.last_at
        )
    links["replay"] = replay(subject)
    links["athena"] = query(subject)
    return links


def query(subject: Subject) -> str:
    """SQL for the refunds of a page: its evidence first, then the others of its entity in its time.

    It names the days, so that Athena reads no others.
    """
    ids = ", ".join(map(_text, subject.evidence or ("",)))
    first, last = subject.first_at, subject.last_at + _MARGIN
    columns = (
        f"SELECT transaction_id IN ({ids}) AS evidence, transaction_id, occurred_at, total,"
        " currency, cashier_id, register_id, card_token, customer_id, original_transaction_id,"
        " score"
    )
    where = [
        f"shop_id = {_text(subject.shop_id)}",
        "type = 'REFUND'",
        f"date BETWEEN {_day(first)} AND {_day(last)}",
        f"occurred_at BETWEEN {_moment(first)} AND {_moment(last)}",
    ]
    refunds = f"{columns} FROM transactions_now WHERE {' AND '.join(where)}"
    column = _COLUMN.get(subject.entity.kind)
    about = "" if column is None else f" WHERE evidence OR {column} = {_text(subject.entity.id)}"
    order = " ORDER BY evidence DESC, total DESC"
    return f"SELECT * FROM ({refunds}) AS refunds{about}{order}"  # noqa: S608 -- texts are quoted


def replay(subject: Subject) -> str:
    """The command that takes the page's stretch of the stream again, into a folder of its own.

    A stretch is of arrivals, a page of event times: what came later than `_LATE` is not in it.
    """
    return (
        f"tillwatch replay --shop {quote(subject.shop_id)} --from {to_iso(subject.first_at)}"
        f" --to {to_iso(subject.last_at + _LATE)} --out {quote(subject.page_id)}"
    )


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _day(instant: Instant) -> str:
    return f"DATE '{to_datetime(instant).date().isoformat()}'"


def _moment(instant: Instant) -> str:
    return f"TIMESTAMP '{to_iso(instant)[:-1].replace('T', ' ')}'"
