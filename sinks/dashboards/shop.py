"""*Shop*: one shop, once it is chosen or a page's link has chosen it. Pure.

Lines of a receipt lie in its document side by side, so a count by item is of receipts with that
item on them, and never of pieces or of money.
"""

from sinks.dashboards import charts
from sinks.dashboards.aggregations import (
    Aggregation,
    average,
    by_time,
    by_value,
    count,
    highest,
    total,
)
from sinks.dashboards.layout import Panel, Row, dashboard
from sinks.dashboards.listing import listing
from sinks.dashboards.live import LATEST
from sinks.dashboards.patterns import (
    PAGES,
    REFUND,
    SHOP_HOUR,
    SUPPRESSIONS,
    TRANSACTIONS,
    VERDICTS,
)

_REFUNDS = "type:REFUND"
_TRADE = "type:(SALE OR REFUND)"

_shop = charts.chooser(
    "choose-shop",
    "Shop",
    TRANSACTIONS,
    {"shop_id": "Shop", "register_id": "Register", "cashier_id": "Cashier"},
)
_per_hour = charts.columns(
    "per-hour",
    "Transactions per hour",
    TRANSACTIONS,
    [
        count("per hour"),
        by_time("occurred_at", "h", "Time", per_interval=True),
        by_value("type", "Type", size=3, schema="group"),
    ],
)
_hours = charts.columns(
    "hours",
    "Refund rate by hour of the day (the till's clock)",
    TRANSACTIONS,
    [
        average(REFUND.name, "refunds of sales and refunds"),
        by_value(SHOP_HOUR.name, "Hour", size=24, schema="segment", order_by="_key", order="asc"),
    ],
    _TRADE,
)
_rates = charts.table(
    "cashier-rates",
    "Cashiers: refund rate",
    TRANSACTIONS,
    [
        average(REFUND.name, "Refund rate"),
        count("Sales and refunds"),
        by_value("cashier_id", "Cashier", size=50),
    ],
    _TRADE,
)


def _refunded(field: str, label: str) -> list[Aggregation]:
    """Refunds by a field and currency: amounts of two currencies are never added up."""
    return [
        count("Refunds"),
        total("total", "Refunded"),
        highest("score.value", "Highest score"),
        by_value(field, label, size=50),
        by_value("currency", "Currency", size=3),
    ]


_cashiers = charts.table(
    "cashier-refunds",
    "Cashiers: refunds",
    TRANSACTIONS,
    _refunded("cashier_id", "Cashier"),
    _REFUNDS,
)
_cards = charts.table(
    "cards",
    "Cards (keyed hashes): refunds",
    TRANSACTIONS,
    _refunded("card_token", "Card, hashed"),
    _REFUNDS,
)
_items = charts.bars(
    "items",
    "Items on refunds",
    TRANSACTIONS,
    [count("refunds"), by_value("lines.item_id", "Item", size=15, schema="segment")],
    _REFUNDS,
)
_categories = charts.bars(
    "categories",
    "Categories on refunds",
    TRANSACTIONS,
    [count("refunds"), by_value("lines.category", "Category", size=15, schema="segment")],
    _REFUNDS,
)
_pages = listing(
    "pages",
    "Pages",
    PAGES,
    [
        "status",
        "severity",
        "reason",
        "entity.kind",
        "entity.id",
        "refunds",
        "observed",
        "expected",
        "refunded_total",
        "currency",
        "summary",
    ],
    sort=[("opened_at", "desc")],
)
_verdicts = listing(
    "verdicts-given",
    "Verdicts on pages",
    VERDICTS,
    ["verdict", "reason", "page_id", "by", "note"],
    sort=[("given_at", "desc")],
)
_rules = listing(
    "rules-given",
    "Rules: which pages nobody is told of (30 days)",
    SUPPRESSIONS,
    ["action", "entity.kind", "entity.id", "reason", "since", "until", "by", "note"],
    sort=[("given_at", "desc")],
)

SHOP = dashboard(
    "shop",
    "Tillwatch: Shop",
    "One shop: its hours, cashiers, cards (as keyed hashes) and items. Choose it above.",
    [
        Row(8, (Panel(_shop, 48),)),
        Row(15, (Panel(_per_hour, 24), Panel(_hours, 24))),
        Row(12, (Panel(_pages, 48),)),
        Row(10, (Panel(_verdicts, 24), Panel(_rules, 24, "now-30d"))),
        Row(18, (Panel(_rates, 16), Panel(_cashiers, 32))),
        Row(18, (Panel(_cards, 48),)),
        Row(15, (Panel(_items, 24), Panel(_categories, 24))),
        Row(20, (Panel(LATEST, 48),)),
    ],
    since="now-24h",
    refresh_seconds=0,
)
OBJECTS = (
    _shop,
    _per_hour,
    _hours,
    _rates,
    _cashiers,
    _cards,
    _items,
    _categories,
    _pages,
    _verdicts,
    _rules,
    SHOP,
)
