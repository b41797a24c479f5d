"""What the page asks OpenSearch: pure bodies, each bounded in size and in time."""

from console.live import Json
from console.windows import NORMAL_SPAN, Window
from consumer.precision import judged_by_reason
from consumer.rules import RULES
from events.instant import MINUTE, SECOND, Instant
from events.page import EVIDENCE_MAX

TRANSACTIONS = "transactions-*"
PAGES = "pages-*"
VERDICTS = "verdicts"
SUPPRESSIONS = RULES
REJECTIONS = "rejections-*"
OPERATIONS = "operations"

SHOPS_MAX = 2_000
OPEN_PAGES_MAX = 50
CLOSED_PAGES_MAX = 10
REJECTIONS_MAX = 20
VERDICTS_MAX = 200
"""Verdicts that are shown on their pages; all are counted."""
SHARDS_MAX = 64
NEWEST_MAX = 10

SEARCH_TIMEOUT = "3s"
"""How long OpenSearch may work on one search before it answers with what it has."""

_PAGE_OPEN = ["open", "updated"]


def newest() -> Json:
    """The latest event times, for `answers.newest`, and how many transactions there are."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": NEWEST_MAX,
        "track_total_hits": True,
        "_source": False,
        "docvalue_fields": [{"field": "occurred_at", "format": "epoch_millis"}],
        "sort": [{"occurred_at": {"order": "desc", "unmapped_type": "date"}}],
    }


def window(chosen: Window, now: Instant) -> Json:
    """Totals, rates and shops of the window that ends at `now`, in one search."""
    since = chosen.start(now)
    refunds = {"filter": {"term": {"type": "REFUND"}}}
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": 0,
        "track_total_hits": True,
        "query": {"bool": {"filter": [_occurred({"gte": _millis(since), "lte": _millis(now)})]}},
        "aggs": {
            "types": {"terms": {"field": "type", "size": 3}},
            "shop_count": {"cardinality": {"field": "shop_id"}},
            "refunded": {
                **refunds,
                "aggs": {
                    "currencies": {
                        "terms": {"field": "currency", "size": 20},
                        "aggs": {"total": {"sum": {"field": "total"}}},
                    }
                },
            },
            "buckets": {
                "date_histogram": {
                    "field": "occurred_at",
                    "fixed_interval": f"{chosen.bucket // MINUTE}m",
                    "min_doc_count": 0,
                    "extended_bounds": {"min": _millis(since), "max": _millis(now)},
                    "format": "epoch_millis",
                },
                "aggs": {"refunds": refunds},
            },
            "shops": _by_shop(),
        },
    }


def normal(chosen: Window, now: Instant) -> Json:
    """Sales and refunds by shop over the four weeks before the window."""
    since = chosen.start(now)
    before = {"gte": _millis(since - NORMAL_SPAN), "lt": _millis(since)}
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": 0,
        "track_total_hits": False,
        "query": {"bool": {"filter": [_occurred(before)]}},
        "aggs": {"shops": _by_shop()},
    }


def open_pages() -> Json:
    """The pages that wait for a person, the gravest and then the newest first."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": OPEN_PAGES_MAX,
        "track_total_hits": True,
        "query": {"terms": {"status": _PAGE_OPEN}},
        "sort": [
            {"severity": {"order": "desc", "unmapped_type": "integer"}},
            {"opened_at": {"order": "desc", "unmapped_type": "date"}},
            {"page_id": {"order": "asc", "unmapped_type": "keyword"}},
        ],
    }


def closed_pages() -> Json:
    """The pages that closed last."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": CLOSED_PAGES_MAX,
        "track_total_hits": True,
        "query": {"term": {"status": "closed"}},
        "sort": [
            {"updated_at": {"order": "desc", "unmapped_type": "date"}},
            {"page_id": {"order": "asc", "unmapped_type": "keyword"}},
        ],
    }


def verdicts() -> Json:
    """The verdicts given last, and how many there are of each finding and reason."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": VERDICTS_MAX,
        "track_total_hits": True,
        "_source": ["page_id", "verdict"],
        "sort": [{"given_at": {"order": "desc", "unmapped_type": "date"}}],
        "aggs": {
            "findings": {"terms": {"field": "verdict", "size": 3}},
            "reasons": judged_by_reason(),
        },
    }


def rejections() -> Json:
    """The rejections whose records arrived last."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": REJECTIONS_MAX,
        "track_total_hits": True,
        "sort": [{"arrived_at": {"order": "desc", "unmapped_type": "date", "missing": "_last"}}],
    }


def operations() -> Json:
    """What each shard's worker last said of itself."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": SHARDS_MAX,
        "track_total_hits": False,
        "sort": [{"written_at": {"order": "desc", "unmapped_type": "date"}}],
    }


def page(page_id: str) -> Json:
    """The page of that id; of the verdicts, the one on it."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": 1,
        "track_total_hits": False,
        "query": {"term": {"page_id": page_id}},
    }


def evidence(transaction_ids: tuple[str, ...]) -> Json:
    """The transactions of those ids, `EVIDENCE_MAX` at most."""
    return {
        "timeout": SEARCH_TIMEOUT,
        "size": EVIDENCE_MAX,
        "track_total_hits": False,
        "query": {"terms": {"transaction_id": list(transaction_ids[:EVIDENCE_MAX])}},
    }


def _by_shop() -> Json:
    return {
        "terms": {"field": "shop_id", "size": SHOPS_MAX},
        "aggs": {
            "sales": {"filter": {"term": {"type": "SALE"}}},
            "refunds": {"filter": {"term": {"type": "REFUND"}}},
        },
    }


def _occurred(bounds: Json) -> Json:
    return {"range": {"occurred_at": {**bounds, "format": "epoch_millis"}}}


def _millis(instant: Instant) -> int:
    return instant // (SECOND // 1_000)
