"""Where a transaction stands, with its score: its document in OpenSearch, or its row in Parquet."""

import threading
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from events.instant import Instant, from_datetime
from events.position import Position
from events.score import Reason, Score
from sinks.opensearch_client import TransportError  # type: ignore[attr-defined] # of the wrapper
from sinks.retry import Retry, Transient

_SHOWN = (
    *("transaction_id", "shop_id", "type", "currency", "register_id", "cashier_id"),
    *("payment_method", "original_transaction_id", "reason"),
)
"""Columns that are shown as they are; contact data and cards are not among them."""


class NotFound(Exception):  # noqa: N818 -- says what happened
    """The transaction stands nowhere that could be asked; the message says where was looked."""


class Story(msgspec.Struct, frozen=True):
    """A page that a transaction has to do with."""

    page_id: str
    status: str
    reason: str
    severity: int
    opened_at: str
    summary: str
    how: str
    """`opened it`, `evidence`, or `meanwhile`: the shop had it open, and tells of 25 at most."""


class Standing(msgspec.Struct, frozen=True):
    """What is known of one transaction."""

    where: str
    position: Position
    occurred_at: Instant
    arrived_at: Instant | None
    total: str
    fields: dict[str, Any]
    score: Score | None
    paid_by_card: bool
    has_contact: bool


def document_of(client: Any, transaction_id: str, stop: threading.Event) -> Standing | None:
    """Its document; None where OpenSearch has none.

    Raises:
        Transient, Stopped: OpenSearch does not answer, or not in time.
    """
    body = {"query": {"ids": {"values": [transaction_id]}}, "size": 1}
    hits = _hits(client, "transactions-*", body, stop)
    if not hits:
        return None
    source = hits[0]["_source"]
    found = source.get("score")
    place = source["position"]
    return Standing(
        where=f"{hits[0]['_index']} in OpenSearch",
        position=Position(
            place["shard_id"], place["sequence_number"], int(place["sub_sequence_number"])
        ),
        occurred_at=_instant(source["occurred_at"]),
        arrived_at=_instant(source["arrived_at"]) if source.get("arrived_at") else None,
        total=str(source["total"]),
        fields={name: source[name] for name in _SHOWN if source.get(name) is not None},
        score=msgspec.convert(found, Score, strict=False) if found else None,
        paid_by_card=bool(source.get("card_token")),
        has_contact=bool(source.get("contact_name") or source.get("contact_email")),
    )


def row_of(ask: Callable[[str], Any], transaction_id: str) -> Standing | None:
    """Its row, through a lake's `ask`; None where there is none. Reads every file's ids."""
    quoted = transaction_id.replace("'", "''")
    answer = ask(f"SELECT * FROM transactions_now WHERE transaction_id = '{quoted}' LIMIT 1")  # noqa: S608 -- quoted
    for values in answer.rows():
        row = dict(zip(answer.names, values, strict=True))
        return Standing(
            where="Parquet",
            position=Position(
                row["shard_id"], row["sequence_number"], int(row["sub_sequence_number"])
            ),
            occurred_at=from_datetime(row["occurred_at"]),
            arrived_at=from_datetime(row["arrived_at"]) if row["arrived_at"] else None,
            total=f"{row['total'].normalize():f}",
            fields={name: row[name] for name in _SHOWN if row.get(name) is not None},
            score=_score_of(row),
            paid_by_card=bool(row["card_token"]),
            has_contact=bool(row["contact_name"] or row["contact_email"]),
        )
    return None


def stories_of(client: Any, found: Standing, stop: threading.Event) -> list[Story]:
    """The pages that tell of it, or that its shop had open then."""
    transaction_id, shop_id = found.fields["transaction_id"], found.fields["shop_id"]
    at = found.occurred_at // 1_000
    meanwhile = [
        {"term": {"shop_id": shop_id}},
        {"range": {"opened_at": {"lte": at, "format": "epoch_millis"}}},
        {"range": {"updated_at": {"gte": at, "format": "epoch_millis"}}},
    ]
    body = {
        "query": {
            "bool": {
                "should": [
                    {"term": {"evidence": transaction_id}},
                    {"term": {"after_transaction_id": transaction_id}},
                    {"bool": {"filter": meanwhile}},
                ]
            }
        },
        "size": 20,
        "sort": ["opened_at"],
    }
    stories = []
    for hit in _hits(client, "pages-*", body, stop):
        page = hit["_source"]
        how = "meanwhile"
        if page["after_transaction_id"] == transaction_id:
            how = "opened it"
        elif transaction_id in page["evidence"]:
            how = "evidence"
        stories.append(
            Story(
                page_id=page["page_id"],
                status=page["status"],
                reason=page["reason"],
                severity=page["severity"],
                opened_at=page["opened_at"],
                summary=page["summary"],
                how=how,
            )
        )
    return stories


def _hits(client: Any, index: str, body: Any, stop: threading.Event) -> list[Any]:
    def ask() -> list[Any]:
        try:
            answer = client.search(
                index=index,
                body=body,
                params={"ignore_unavailable": "true", "allow_no_indices": "true"},
            )
        except TransportError as error:
            raise Transient(f"OpenSearch does not answer ({type(error).__name__})") from error
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise Transient("OpenSearch could not look everywhere")
        found: list[Any] = answer["hits"]["hits"]
        return found

    return Retry("opensearch", stop, wait_seconds_max=2.0).call(ask)


def _score_of(row: dict[str, Any]) -> Score | None:
    if row["score"] is None:
        return None
    reasons = tuple(Reason(**reason) for reason in row["score_reasons"] or ())
    return Score(row["score"], reasons, row["model_version"])


def _instant(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text))
