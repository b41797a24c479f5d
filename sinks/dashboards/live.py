"""*Live*: what happens in all shops now. Pure."""

from sinks.dashboards import charts
from sinks.dashboards.aggregations import average, by_query, by_time, by_value, count, total
from sinks.dashboards.layout import Panel, Row, dashboard
from sinks.dashboards.listing import listing
from sinks.dashboards.patterns import PAGES, REFUND, TRANSACTIONS

OPEN = "status:(open OR updated)"
NOT_NORMAL = "type:REFUND AND score.value:>=0.9"
"""Refunds whose score is near that of a page, which opens at about 0.95."""
_RETENTION = "now-30d"

_refunds = charts.figures(
    "refunds",
    "Transactions, refunds",
    TRANSACTIONS,
    [count("documents"), by_query({"Transactions": "*", "Refunds": "type:REFUND"})],
)
_refunded = charts.figures(
    "refunded-total",
    "Refunded, by currency",
    TRANSACTIONS,
    [total("total", "refunded"), by_value("currency", "Currency", size=3, schema="group")],
    "type:REFUND",
)
_open = charts.figures("pages-open", "Open pages", PAGES, [count("open pages")], OPEN)
_per_minute = charts.lines(
    "per-minute",
    "Transactions and refunds per minute",
    TRANSACTIONS,
    [
        count("per minute"),
        by_time("occurred_at", "m", "Time", per_interval=True),
        by_query({"Transactions": "*", "Refunds": "type:REFUND"}),
    ],
)
_rate = charts.bars(
    "refund-rate-by-shop",
    "Refund rate by shop",
    TRANSACTIONS,
    [
        average(REFUND.name, "refunds of sales and refunds"),
        by_value("shop_id", "Shop", size=20, schema="segment"),
    ],
    "type:(SALE OR REFUND)",
)
_reasons = charts.bars(
    "top-reasons",
    "Top reasons of scores from 0.9",
    TRANSACTIONS,
    [
        count("refunds"),
        by_value("score.reasons.kind", "Reason", size=10, schema="segment"),
    ],
    NOT_NORMAL,
)
_open_pages = listing(
    "open-pages",
    "Open pages, the gravest first (30 days)",
    PAGES,
    [
        "severity",
        "shop_id",
        "reason",
        "entity.kind",
        "entity.id",
        "refunds",
        "refunded_total",
        "currency",
        "score",
        "summary",
        "suppressed_by",
    ],
    query=OPEN,
    sort=[("severity", "desc"), ("opened_at", "desc")],
)
LATEST = listing(
    "latest-refunds",
    "Latest refunds",
    TRANSACTIONS,
    [
        "shop_id",
        "total",
        "currency",
        "score.value",
        "score.reasons.kind",
        "cashier_id",
        "card_token",
        "reason",
        "transaction_id",
    ],
    query="type:REFUND",
    sort=[("occurred_at", "desc")],
)

LIVE = dashboard(
    "live",
    "Tillwatch: Live",
    "All shops: what is rung up and refunded, whose refunds stand out, and which pages are open.",
    [
        Row(8, (Panel(_refunds, 18), Panel(_refunded, 18), Panel(_open, 12, _RETENTION))),
        Row(15, (Panel(_per_minute, 48),)),
        Row(18, (Panel(_rate, 24), Panel(_reasons, 24))),
        Row(15, (Panel(_open_pages, 48, _RETENTION),)),
        Row(20, (Panel(LATEST, 48),)),
    ],
    since="now-3h",
    refresh_seconds=10,
)
OBJECTS = (_refunds, _refunded, _open, _per_minute, _rate, _reasons, _open_pages, LATEST, LIVE)
