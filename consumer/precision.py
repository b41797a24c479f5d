"""How many of the pages that people judged were fraud, by reason: precision as it is lived. Pure.

Verdicts are the only truth there is in production. They are of the pages that somebody cared to
judge, so they are an estimate of all pages, and its interval says how good a one.
"""

from math import sqrt
from typing import Any, Final

import msgspec

from events.instant import SECOND, Instant

VERDICTS: Final = "verdicts"
PAGES: Final = "pages-*"
REASONS_MAX: Final = 32
"""Reasons that are told apart; there are eight."""

Z: Final = 1.6449
"""Of the interval that holds the truth nine times in ten."""

_TIMEOUT: Final = "3s"

Json = dict[str, Any]


class Precision(msgspec.Struct, frozen=True):
    """One reason: its pages, and of those judged how many were fraud, nothing, or policy.

    `precision` is the share of fraud among those judged, between `low` and `high` nine times in
    ten (Wilson's score interval, doi:10.1080/01621459.1927.10502953); None where none was judged.
    """

    reason: str
    pages: int
    fraud: int
    ok: int
    policy: int
    precision: float | None
    low: float | None
    high: float | None

    @property
    def judged(self) -> int:
        """Pages with a verdict."""
        return self.fraud + self.ok + self.policy


def judged_by_reason() -> Json:
    """Verdicts by reason and finding, as an aggregation."""
    return {
        "terms": {"field": "reason", "size": REASONS_MAX},
        "aggs": {"findings": {"terms": {"field": "verdict", "size": 3}}},
    }


def of_verdicts(since: Instant | None, shop_id: str | None) -> Json:
    """The verdicts given since, by reason."""
    return _body("given_at", since, shop_id, judged_by_reason())


def of_pages(since: Instant | None, shop_id: str | None) -> Json:
    """The pages opened since, by reason."""
    by_reason = {"terms": {"field": "reason", "size": REASONS_MAX}}
    return _body("opened_at", since, shop_id, by_reason)


def by_reason(verdicts: Json, pages: Json | None = None) -> tuple[Precision, ...]:
    """What answers to `of_verdicts` and `of_pages` say, the reason with most verdicts first.

    Without `pages`, those are counted that were judged.
    """
    opened = {bucket["key"]: bucket["doc_count"] for bucket in _buckets(pages or {})}
    judged = {}
    for bucket in _buckets(verdicts):
        counts = {one["key"]: one["doc_count"] for one in bucket["findings"]["buckets"]}
        judged[bucket["key"]] = counts
    made = [_of(reason, opened, judged.get(reason, {})) for reason in {**judged, **opened}]
    return tuple(sorted(made, key=lambda one: (-one.judged, -one.pages, one.reason)))


def together(some: tuple[Precision, ...]) -> Precision:
    """All reasons as one."""
    counts = {name: sum(getattr(one, name) for one in some) for name in ("fraud", "ok", "policy")}
    return _of("all", {"all": sum(one.pages for one in some)}, counts)


def interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's interval of a share of `hits` in `of`."""
    share, square = hits / of, Z * Z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = Z / (1 + square / of) * sqrt(share * (1 - share) / of + square / (4 * of * of))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _of(reason: str, opened: dict[str, int], counts: dict[str, int]) -> Precision:
    fraud, ok, policy = (counts.get(name, 0) for name in ("fraud", "ok", "policy"))
    judged = fraud + ok + policy
    pages = max(opened.get(reason, 0), judged)
    if not judged:
        return Precision(reason, pages, 0, 0, 0, None, None, None)
    return Precision(reason, pages, fraud, ok, policy, fraud / judged, *interval(fraud, judged))


def _body(field: str, since: Instant | None, shop_id: str | None, by: Json) -> Json:
    filters: list[Json] = []
    if since is not None:
        at = {"gte": since // (SECOND // 1_000), "format": "epoch_millis"}
        filters.append({"range": {field: at}})
    if shop_id is not None:
        filters.append({"term": {"shop_id": shop_id}})
    return {
        "timeout": _TIMEOUT,
        "size": 0,
        "query": {"bool": {"filter": filters}},
        "aggs": {"reasons": by},
    }


def _buckets(answer: Json) -> list[Json]:
    buckets: list[Json] = answer.get("aggregations", {}).get("reasons", {}).get("buckets", [])
    return buckets
