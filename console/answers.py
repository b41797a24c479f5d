"""What OpenSearch answers, turned once into the values of console/live.py. Pure.

Every reader here takes the part of an answer that console/queries.py asked for, and takes an index
that does not exist yet (no aggregations, no hits) for an empty one.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime

import msgspec

from console.live import (
    Amount,
    EvidenceRow,
    Json,
    Newest,
    PageRow,
    Rates,
    RejectionRow,
    ShardRow,
    ShopCount,
    Snoozed,
    Totals,
    Verdicts,
)
from console.rates import share
from console.windows import Window
from consumer.precision import by_reason
from consumer.rules import Rule, rule_over
from events.instant import HOUR, MINUTE, SECOND, Instant, from_datetime, to_iso
from events.money import EXPONENTS
from events.page import Entity
from sinks.page_links import Subject, links_of

COMPANIONS_MIN = 4
"""So many other transactions in the hour before it make an event time believable as the newest."""

_MILLI: Instant = SECOND // 1_000


def newest(answer: Json) -> Newest | None:
    """The page's now, from the latest event times; None where there is no transaction.

    A till whose clock runs ahead would push everything else out of the window. So a time that
    stands alone, with fewer than `COMPANIONS_MIN` others within the hour before it, is passed over
    and counted as ahead, as long as a later one of the list has company.
    """
    times = [int(hit["fields"]["occurred_at"][0]) * _MILLI for hit in _hits(answer)]
    for ahead in range(len(times) - COMPANIONS_MIN):
        if times[ahead] - times[ahead + COMPANIONS_MIN] <= HOUR:
            return Newest(times[ahead], ahead)
    return Newest(times[0], 0) if times else None


def totals(answer: Json, normal: ShopCount) -> Totals:
    """The counts and sums of the window; `normal` counts all shops before it."""
    aggregations = answer.get("aggregations", {})
    types = {b["key"]: b["doc_count"] for b in aggregations.get("types", _NONE)["buckets"]}
    sales, refunds = types.get("SALE", 0), types.get("REFUND", 0)
    currencies = aggregations.get("refunded", {}).get("currencies", _NONE)["buckets"]
    return Totals(
        transactions=total(answer),
        sales=sales,
        refunds=refunds,
        voids=types.get("VOID", 0),
        refunded=tuple(Amount(b["key"], round(b["total"]["value"], 4)) for b in currencies),
        refund_rate=share(ShopCount(sales, refunds)),
        normal_rate=share(normal),
        shops=aggregations.get("shop_count", {}).get("value", 0),
    )


def rates(answer: Json, chosen: Window, now: Instant) -> Rates:
    """Transactions and refunds per minute, over the minutes that each bucket has had so far.

    A bucket that has not had its first minute is left out: it would look like a standstill.
    """
    buckets = [
        b
        for b in answer.get("aggregations", {}).get("buckets", _NONE)["buckets"]
        if b["key"] * _MILLI + MINUTE <= now
    ]
    starts = [b["key"] * _MILLI for b in buckets]
    minutes = [(min(start + chosen.bucket, now) - start) / MINUTE for start in starts]
    return Rates(
        bucket_seconds=chosen.bucket // SECOND,
        at=tuple(start // SECOND for start in starts),
        transactions=tuple(
            b["doc_count"] / length for b, length in zip(buckets, minutes, strict=True)
        ),
        refunds=tuple(
            b["refunds"]["doc_count"] / length for b, length in zip(buckets, minutes, strict=True)
        ),
    )


def shop_counts(answer: Json) -> dict[str, ShopCount]:
    """Sales and refunds by shop."""
    buckets = answer.get("aggregations", {}).get("shops", _NONE)["buckets"]
    return {
        b["key"]: ShopCount(b["sales"]["doc_count"], b["refunds"]["doc_count"]) for b in buckets
    }


def pages(
    answer: Json,
    said: Mapping[str, str] | None = None,
    rules: Iterable[Rule] = (),
    now: Instant = 0,
    dashboards: str | None = None,
) -> tuple[PageRow, ...]:
    """Pages in the order asked for, with what was `said` of them and which rule holds `now`.

    Each has a link to its dashboard where the address of `dashboards` is known.
    """
    said, rules = said or {}, tuple(rules)
    rows = (_page(hit["_source"], dashboards) for hit in _hits(answer))
    return tuple(
        msgspec.structs.replace(
            row, verdict=said.get(row.page_id), snoozed=_snoozed(row, rules, now)
        )
        for row in rows
    )


def _snoozed(row: PageRow, rules: tuple[Rule, ...], now: Instant) -> Snoozed | None:
    entity = Entity(row.entity_kind, row.entity_id)
    rule = rule_over(rules, row.shop_id, row.reason, entity, now)
    return None if rule is None else Snoozed(rule.rule_id, to_iso(rule.until), rule.by, rule.note)


def said(answer: Json) -> dict[str, str]:
    """The verdicts given last, by page."""
    return {hit["_source"]["page_id"]: hit["_source"]["verdict"] for hit in _hits(answer)}


def verdicts(answer: Json, *, is_open: bool) -> Verdicts:
    """How many verdicts there are of each finding, and how many were fraud by reason."""
    buckets = answer.get("aggregations", {}).get("findings", _NONE)["buckets"]
    counts = {b["key"]: b["doc_count"] for b in buckets}
    return Verdicts(
        counts.get("fraud", 0),
        counts.get("ok", 0),
        counts.get("policy", 0),
        open=is_open,
        by_reason=by_reason(answer),
    )


def rejections(answer: Json) -> tuple[RejectionRow, ...]:
    """Rejections in the order asked for."""
    return tuple(_rejection(hit["_source"]) for hit in _hits(answer))


def shards(answer: Json) -> tuple[ShardRow, ...]:
    """The shards by name."""
    rows = [_shard(hit["_source"]) for hit in _hits(answer)]
    return tuple(sorted(rows, key=lambda row: row.shard_id))


def evidence(answer: Json, transaction_ids: tuple[str, ...]) -> tuple[EvidenceRow, ...]:
    """One row per id, in the order of the ids."""
    found = {hit["_source"]["transaction_id"]: hit["_source"] for hit in _hits(answer)}
    return tuple(_evidence(each, found.get(each)) for each in transaction_ids)


def total(answer: Json) -> int:
    """How many documents match, beyond those that came along."""
    count: int = answer.get("hits", {}).get("total", {}).get("value", 0)
    return count


def complete(answer: Json) -> bool:
    """Whether every part of every index answered in time."""
    return not answer.get("timed_out") and not answer.get("_shards", {}).get("failed")


def iso(value: str | int) -> str:
    """A date of OpenSearch as ISO 8601 in UTC with milliseconds."""
    return to_iso(_instant(value))


_NONE: Json = {"buckets": []}


def _hits(answer: Json) -> list[Json]:
    hits: list[Json] = answer.get("hits", {}).get("hits", [])
    return hits


def _maybe_iso(value: str | int | None) -> str | None:
    return None if value is None else iso(value)


def _page(source: Json, dashboards: str | None) -> PageRow:
    entity = source.get("entity", {})
    of_money = source["reason"] == "amount"
    unit = 10 ** EXPONENTS.get(source["currency"], 0) if of_money else 1
    return PageRow(
        page_id=source["page_id"],
        status=source["status"],
        shop_id=source["shop_id"],
        reason=source["reason"],
        entity_kind=entity.get("kind", "shop"),
        entity_id=entity.get("id", source["shop_id"]),
        severity=source["severity"],
        summary=source.get("summary", ""),
        opened_at=iso(source["opened_at"]),
        updated_at=iso(source["updated_at"]),
        refunds=source.get("refunds", 0),
        observed=source["observed"] / unit,
        expected=source["expected"] / unit,
        refunded=Amount(source["currency"], source["refunded_total"]),
        score=source["score"],
        model_version=source.get("model_version", ""),
        evidence=tuple(source.get("evidence", ())),
        window_seconds=source.get("window_seconds"),
        of_money=of_money,
        suppressed_by=source.get("suppressed_by"),
        links=links_of(_subject(source), dashboards=dashboards),
    )


def _subject(source: Json) -> Subject:
    entity = source.get("entity", {})
    opened_at = _instant(source["opened_at"])
    return Subject(
        source["page_id"],
        source["shop_id"],
        Entity(entity.get("kind", "shop"), entity.get("id", source["shop_id"])),
        tuple(source.get("evidence", ())),
        _instant(source["first_at"]) if "first_at" in source else opened_at,
        _instant(source["last_at" if "last_at" in source else "updated_at"]),
    )


def _instant(value: str | int) -> Instant:
    if isinstance(value, int):
        return value * _MILLI
    return from_datetime(datetime.fromisoformat(value))


def _rejection(source: Json) -> RejectionRow:
    return RejectionRow(
        stage=source["stage"],
        reason=source["reason"],
        field=source.get("field"),
        detail=source.get("detail", ""),
        shop_id=source.get("shop_id"),
        arrived_at=_maybe_iso(source.get("arrived_at")),
        position="-".join(str(part) for part in source["position"].values()),
    )


def _shard(source: Json) -> ShardRow:
    return ShardRow(
        shard_id=source["shard_id"],
        records=source.get("records", 0),
        rejections=source.get("rejections", 0),
        behind_millis=source.get("behind_millis"),
        written_at=iso(source["written_at"]),
        last_event_at=_maybe_iso(source.get("last_event_at")),
    )


def _evidence(transaction_id: str, source: Json | None) -> EvidenceRow:
    if source is None:
        return EvidenceRow(transaction_id, found=False)
    score = source.get("score")
    return EvidenceRow(
        transaction_id,
        found=True,
        type=source["type"],
        occurred_at=iso(source["occurred_at"]),
        total=Amount(source["currency"], source["total"]),
        score=score.get("value") if isinstance(score, dict) else score,
        register_id=source.get("register_id"),
        cashier_id=source.get("cashier_id"),
        payment_method=source.get("payment_method"),
        original_transaction_id=source.get("original_transaction_id"),
        reason=source.get("reason"),
    )
