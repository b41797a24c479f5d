"""The index templates: how OpenSearch maps the documents of sinks/document.py.

`dynamic: strict` everywhere: a field that is not named here is an error, not a guess. They hold for
OpenSearch 2.7 and later (`flat_object`) and 3.x.
"""

from fnmatch import fnmatchcase
from typing import Any

import msgspec

from sinks import measurement

TEXT_CHARACTERS_MAX = 1_024
"""Longer values stay in the document and are not searchable; Lucene refuses terms over 32 KiB."""

Json = dict[str, Any]

_KEYWORD: Json = {"type": "keyword", "ignore_above": TEXT_CHARACTERS_MAX}
_DATE: Json = {"type": "date", "format": "strict_date_optional_time"}

DATE_FORMAT_BEFORE = "strict_date_optional_time"
"""What times of transactions were mapped by before; it takes, finds and shows the same."""

# The format before reads a time with many things that may be missing, and copies what it has at
# each: two times of a document took a tenth of the node's time. We write one of these three, in
# which nothing may be missing, for a few hundredths less; what only the other knows falls to that.
# The first is the one that times are shown in: as before. (`rfc3339_lenient` takes nearly nothing,
# but where it stands before another, the other reads every time too, and alone it finds no time
# without an offset, which people type.)
_SECONDS = "uuuu-MM-dd'T'HH:mm:ss"
_WRITTEN = (f"{_SECONDS}.SSSXXX", f"{_SECONDS}.SSSSSSXXX", f"{_SECONDS}XXX")
_EVERY_TIME: Json = _DATE | {"format": "||".join((*_WRITTEN, DATE_FORMAT_BEFORE))}
_MONEY: Json = {"type": "scaled_float", "scaling_factor": 10_000}
_LONG: Json = {"type": "long"}
_INTEGER: Json = {"type": "integer"}
_FLOAT: Json = {"type": "double"}
_SHOWN_ONLY: Json = {"type": "keyword", "index": False, "doc_values": False}


def _object(**properties: Json) -> Json:
    return {"dynamic": "strict", "properties": properties}


# No two records share a sequence number of 56 digits: an index of them took a fourteenth of the
# node's time. It is found by its values, a moment slower.
_SEQUENCE_NUMBER = _KEYWORD | {"index": False}
_POSITION = _object(shard_id=_KEYWORD, sequence_number=_SEQUENCE_NUMBER, sub_sequence_number=_LONG)

_TRANSACTIONS = _object(
    transaction_id=_KEYWORD,
    shop_id=_KEYWORD,
    type=_KEYWORD,
    occurred_at=_EVERY_TIME,
    utc_offset_minutes={"type": "short"},
    currency=_KEYWORD,
    total=_MONEY,
    position=_POSITION,
    arrived_at=_EVERY_TIME,
    register_id=_KEYWORD,
    cashier_id=_KEYWORD,
    payment_method=_KEYWORD,
    card_token=_KEYWORD,
    customer_id=_KEYWORD,
    contact_name=_KEYWORD,
    contact_email=_KEYWORD,
    original_transaction_id=_KEYWORD,
    reason=_KEYWORD,
    approval_limit=_MONEY,
    lines=_object(
        item_id=_KEYWORD,
        description=_KEYWORD,
        category=_KEYWORD,
        quantity={"type": "scaled_float", "scaling_factor": 1_000},
        unit_price=_MONEY,
    ),
    unknown={"type": "flat_object"},
    score=_object(
        value=_FLOAT,
        model_version=_KEYWORD,
        reasons=_object(
            kind=_KEYWORD,
            entity_kind=_KEYWORD,
            entity_id=_KEYWORD,
            expected=_FLOAT,
            observed=_FLOAT,
            unit=_KEYWORD,
            share=_FLOAT,
        ),
    ),
)

_PAGES = _object(
    page_id=_KEYWORD,
    status=_KEYWORD,
    revision=_INTEGER,
    shop_id=_KEYWORD,
    opened_at=_DATE,
    updated_at=_DATE,
    reason=_KEYWORD,
    entity=_object(kind=_KEYWORD, id=_KEYWORD),
    severity=_INTEGER,
    after_transaction_id=_KEYWORD,
    evidence=_KEYWORD,
    refunds=_LONG,
    observed=_FLOAT,
    expected=_FLOAT,
    refunded_total=_MONEY,
    currency=_KEYWORD,
    score=_FLOAT,
    model_version=_KEYWORD,
    summary={"type": "text"},
    window_seconds=_INTEGER,
    first_at=_DATE,
    last_at=_DATE,
    suppressed_by=_KEYWORD,
)

_VERDICTS = _object(
    page_id=_KEYWORD,
    shop_id=_KEYWORD,
    reason=_KEYWORD,
    verdict=_KEYWORD,
    given_at=_DATE,
    by=_KEYWORD,
    note=_SHOWN_ONLY,
)

_SUPPRESSIONS = _object(
    rule_id=_KEYWORD,
    shop_id=_KEYWORD,
    action=_KEYWORD,
    given_at=_DATE,
    since=_DATE,
    until=_DATE,
    entity=_object(kind=_KEYWORD, id=_KEYWORD),
    reason=_KEYWORD,
    by=_KEYWORD,
    note=_SHOWN_ONLY,
)

_REJECTIONS = _object(
    position=_POSITION,
    stage=_KEYWORD,
    reason=_KEYWORD,
    data_bytes=_LONG,
    detail=_SHOWN_ONLY,
    field=_KEYWORD,
    arrived_at=_DATE,
    shop_id=_KEYWORD,
    model_version=_KEYWORD,
)

_OPERATIONS = _object(
    shard_id=_KEYWORD,
    records=_LONG,
    transactions=_LONG,
    pages=_LONG,
    rejections=_LONG,
    position=_POSITION,
    written_at=_DATE,
    behind_millis=_LONG,
    last_event_at=_DATE,
)

_MAPPINGS = {
    "transactions": ("transactions-*", _TRANSACTIONS),
    "pages": ("pages-*", _PAGES),
    "verdicts": ("verdicts", _VERDICTS),
    "suppressions": ("suppressions", _SUPPRESSIONS),
    "rejections": ("rejections-*", _REJECTIONS),
    "operations": ("operations", _OPERATIONS),
    "measurements": (measurement.INDEX_PATTERN, measurement.MAPPING),
}


class Kept(msgspec.Struct, frozen=True):
    """How a cluster keeps the indices.

    Without a refresh interval OpenSearch refreshes an index every second while somebody searches
    it, and otherwise when somebody does: a stream that nobody looks at takes the node a sixth less.
    best_compression takes it a tenth to a quarter more, and three tenths less of the disk.
    """

    shards: int = 1
    """Primary shards of a day's transactions; everything else has one."""
    replicas: int = 0
    refresh_seconds: int | None = None
    codec: str | None = None


LOCAL = Kept()
"""One node on this machine."""

VERSION = (2, 7)
"""The oldest OpenSearch that the templates hold for."""

REFUNDS_ALIAS = "tillwatch-refunds"


def templates(kept: Kept | None = LOCAL) -> dict[str, Json]:
    """The index templates by name; without `kept` the cluster sees to all of that itself."""
    return {
        f"tillwatch-{name}": {
            "index_patterns": [pattern],
            "priority": PRIORITY,
            "template": {
                "aliases": aliases(name),
                "mappings": mappings,
                **({} if kept is None else {"settings": {"index": _settings(name, kept)}}),
            },
        }
        for name, (pattern, mappings) in _MAPPINGS.items()
    }


PRIORITY = 100
"""A template of somebody else that matches our names must have a lower one."""


def _settings(name: str, kept: Kept) -> Json:
    settings: Json = {
        "number_of_shards": kept.shards if name == "transactions" else 1,
        "number_of_replicas": kept.replicas,
    }
    if kept.refresh_seconds is not None:
        settings["refresh_interval"] = f"{kept.refresh_seconds}s"
    if kept.codec is not None:
        settings["codec"] = kept.codec
    return settings


def aliases(name: str) -> Json:
    """The aliases of every index of a kind: names that stay where indices come and go."""
    made: Json = {f"tillwatch-{name}": {}}
    if name == "transactions":
        made[REFUNDS_ALIAS] = {"filter": {"term": {"type": "REFUND"}}}
    return made


def patterns() -> dict[str, str]:
    """The pattern of index names of every kind."""
    return {name: pattern for name, (pattern, _) in _MAPPINGS.items()}


def kind_of(index: str) -> str | None:
    """Which kind of index `index` is by its name; None if it is none of ours."""
    return next((name for name, of in patterns().items() if fnmatchcase(index, of)), None)


def declared_for(index: str) -> Json | None:
    """The mapping that the index `index` should have; None if it is none of ours."""
    kind = kind_of(index)
    return None if kind is None else _MAPPINGS[kind][1]


def apply(client: Any, kept: Kept = LOCAL) -> None:
    """Put every template; putting them again changes nothing that exists.

    For the embedded stack and tests; `tillwatch opensearch apply` does the same and more.
    `client` is what sinks.opensearch_client.connect gave.

    Raises:
        TransportError of opensearch-py: the cluster refuses, or does not answer.
    """
    for name, body in templates(kept).items():
        client.indices.put_index_template(name=name, body=body)
