"""The views over the lake, in Athena's dialect: the one place where they are written.

A day of business is a day of the chain's time zone, or of each till's own clock. The lake is in
UTC throughout; Athena's session is, too.
"""

import re

from sinks.catalogue import (
    DATE,
    GIVEN,
    HOUR,
    MANIFEST,
    OPENED,
    SHOP_ZONE,
    Column,
    View,
    columns_of,
)
from sinks.catalogue_meanings import PAGE_MEANINGS, VERDICT_MEANINGS
from sinks.schema import PAGE_SCHEMA, VERDICT_SCHEMA

_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_MONEY = "decimal(38,4)"
_POSITION = ("shard_id", "sequence_number", "sub_sequence_number")
_STORED = {column.name: column for column in columns_of()}
_NAMES = tuple(_STORED)

_DAY = Column("business_date", "date", "Day of business on which it occurred.")
_BY_DAY = (
    _STORED["shop_id"],
    Column("date", "date", "Day of business."),
    _STORED["currency"],
)
_SALES = "Amount of the sales, refunds not taken off."
_REFUNDS = "Amount of the refunds, as a positive number."


def business_date(zone: str) -> str:
    """The day of business of `occurred_at`, as an expression.

    `zone` is a name of the IANA time zone database, or `shop`.

    Raises:
        ValueError: it has not the form of one.
    """
    if zone == SHOP_ZONE:
        return "CAST(occurred_at + utc_offset_minutes * INTERVAL '1' MINUTE AS date)"
    if not _ZONE.fullmatch(zone):
        raise ValueError(f"{zone!r} is no time zone, such as Europe/London")
    return f"CAST(occurred_at AT TIME ZONE '{zone}' AS date)"


def views(zone: str = SHOP_ZONE) -> tuple[View, ...]:
    """All views, each behind those it reads.

    Raises:
        ValueError: `zone` is no time zone.
    """
    return (
        _transactions(),
        _recent(),
        _now(business_date(zone)),
        _sales_daily(),
        _processed_table(),
        _refunds(),
        _payment_mix(),
        _line_daily("product_daily", "item", ("item_id",), ("description", "category")),
        _line_daily("category_daily", "category", ("category",), ()),
        _pages(),
        _verdicts(),
    )


def _transactions() -> View:
    """All files beside each other, and joined once: what one manifest says holds for all rows."""
    columns, both = ", ".join(_NAMES), ("date", "hour", "shard_id")
    same = " AND ".join(f"p.{name} = m.{name}" for name in both)
    day, hour = "CAST(occurred_at AS date)", "CAST(hour(occurred_at) AS integer)"
    # Sequence numbers are numbers written out: the longer one is the greater.
    number, through = "p.sequence_number", "m.through_sequence_number"
    return View(
        "transactions",
        "Every transaction of the hours that are closed, one row each.",
        f"""WITH files AS (
  SELECT {columns}, date, hour, CAST(NULL AS varchar) AS version FROM hourly_files
  UNION ALL
  SELECT {columns}, date, {hour} AS hour, version FROM daily_files
  UNION ALL
  SELECT {columns}, {day} AS date, {hour} AS hour, version FROM monthly_files
), held AS (
  SELECT date, {", ".join(column.name for column in MANIFEST)} FROM manifests
)
SELECT {", ".join(f"p.{name}" for name in _NAMES)}, p.date, p.hour
FROM files AS p LEFT JOIN held AS m ON {same}
WHERE CASE WHEN p.version IS NOT NULL THEN p.version = m.version
  ELSE m.version IS NULL
    OR length({number}) > length({through})
    OR (length({number}) = length({through}) AND ({number} > {through} OR ({number} = {through}
      AND p.sub_sequence_number > m.through_sub_sequence_number)))
  END""",
        (*_STORED.values(), DATE, HOUR),
    )


def _recent() -> View:
    same = " AND ".join(f"p.{name} = q.{name}" for name in _POSITION)
    position = ", ".join(_POSITION)
    return View(
        "recent",
        "Transactions that no published hour holds yet, one row each: what the last checkpoints "
        "brought. Rows are told apart by their Position.",
        f"""WITH parts AS (
  SELECT {", ".join(_NAMES)},
    CAST(occurred_at AS date) AS date, CAST(hour(occurred_at) AS integer) AS hour,
    row_number() OVER (PARTITION BY {position} ORDER BY arrived_at) AS copy
  FROM staged
), hours AS (
  SELECT DISTINCT date, hour FROM parts
), published AS (
  SELECT {", ".join(f"t.{name}" for name in _POSITION)}
  FROM transactions AS t JOIN hours AS h ON t.date = h.date AND t.hour = h.hour
)
SELECT {", ".join(f"p.{name}" for name in _NAMES)}, p.date, p.hour
FROM parts AS p LEFT JOIN published AS q ON {same}
WHERE p.copy = 1 AND q.shard_id IS NULL""",
        (*_STORED.values(), DATE, HOUR),
    )


def _now(day: str) -> View:
    columns = ", ".join((*_NAMES, "date", "hour"))
    return View(
        "transactions_now",
        "Every transaction up to the last checkpoint, published or not, one row each.",
        f"""SELECT {columns}, {day} AS business_date FROM transactions
UNION ALL
SELECT {columns}, {day} AS business_date FROM recent""",
        (*_STORED.values(), DATE, HOUR, _DAY),
    )


def _of(kind: str, amount: str = "total", decimals: str = _MONEY) -> str:
    return f"CAST(coalesce(sum(CASE WHEN type = '{kind}' THEN {amount} END), 0) AS {decimals})"


def _sales_daily() -> View:
    sales, refunds = _of("SALE"), _of("REFUND")
    return View(
        "sales_daily",
        "What each shop sold and gave back on each day of business.",
        f"""SELECT shop_id, date, currency, total_sales, refunds,
  CAST(refunds AS double) / nullif(CAST(total_sales AS double), 0) AS refund_rate,
  transactions, sale_count, refund_count
FROM (
  SELECT shop_id, business_date AS date, currency,
    {sales} AS total_sales, {refunds} AS refunds, count(*) AS transactions,
    CAST(count_if(type = 'SALE') AS bigint) AS sale_count,
    CAST(count_if(type = 'REFUND') AS bigint) AS refund_count
  FROM transactions_now
  GROUP BY shop_id, business_date, currency
) AS days""",
        (
            *_BY_DAY,
            Column("total_sales", _MONEY, _SALES),
            Column("refunds", _MONEY, _REFUNDS),
            Column("refund_rate", "double", "Refunds as a share of total_sales; absent without."),
            Column("transactions", "bigint", "Sales, refunds and voids."),
            Column("sale_count", "bigint", "Sales."),
            Column("refund_count", "bigint", "Refunds."),
        ),
    )


def _processed_table() -> View:
    return View(
        "processed_table",
        "Sales by shop and day of business, under the name that older queries ask for. A shop that "
        "sells in several currencies has a row for each.",
        "SELECT shop_id, date, total_sales FROM sales_daily",
        (*_BY_DAY[:2], Column("total_sales", _MONEY, _SALES)),
    )


def _refunds() -> View:
    kept = [
        name
        for name in _NAMES
        if name not in {"type", "lines", "unknown", "utc_offset_minutes", *_POSITION}
    ]
    return View(
        "refunds",
        "Every refund, with its score.",
        f"""SELECT {", ".join(kept)}, business_date AS date,
  original_transaction_id IS NULL AS without_receipt,
  coalesce(total > approval_limit, false) AS over_limit
FROM transactions_now WHERE type = 'REFUND'""",
        (
            *(_STORED[name] for name in kept),
            _BY_DAY[1],
            Column("without_receipt", "boolean", "It names no sale."),
            Column("over_limit", "boolean", "It is more than the cashier's approval limit."),
        ),
    )


def _payment_mix() -> View:
    return View(
        "payment_mix",
        "How the sales of each shop and day of business were paid.",
        f"""SELECT shop_id, date, currency, payment_method, sale_count, total_sales,
  CAST(total_sales AS double) / nullif(CAST(sum(total_sales)
    OVER (PARTITION BY shop_id, date, currency) AS double), 0) AS share
FROM (
  SELECT shop_id, business_date AS date, currency,
    coalesce(payment_method, 'UNKNOWN') AS payment_method,
    count(*) AS sale_count, CAST(sum(total) AS {_MONEY}) AS total_sales
  FROM transactions_now WHERE type = 'SALE'
  GROUP BY shop_id, business_date, currency, coalesce(payment_method, 'UNKNOWN')
) AS methods""",
        (
            *_BY_DAY,
            Column("payment_method", "varchar", "How it was paid; UNKNOWN where nobody said."),
            Column("sale_count", "bigint", "Sales paid so."),
            Column("total_sales", _MONEY, "Amount of these sales."),
            Column("share", "double", "Its share of the day's sales, by amount."),
        ),
    )


def _line_daily(name: str, what: str, by: tuple[str, ...], told: tuple[str, ...]) -> View:
    from sinks.catalogue import nested

    lines = {column.name: column for column in nested()["lines"]}
    grouped = ", ".join(f"l.{column}" for column in by)
    described = "".join(f" max(l.{column}) AS {column}," for column in told)
    amount, decimals, pieces = "l.quantity * l.unit_price", "decimal(38,7)", "decimal(38,3)"
    return View(
        name,
        f"What each {what} brought in and what came back, by shop and day of business. A "
        "transaction without lines is not in it; line amounts are quantity times unit price, so "
        "that a discount on the whole receipt does not show.",
        f"""SELECT t.shop_id, t.business_date AS date, t.currency, {grouped},{described}
  {_of("SALE", "l.quantity", pieces)} AS quantity_sold,
  {_of("REFUND", "l.quantity", pieces)} AS quantity_refunded,
  {_of("SALE", amount, decimals)} AS revenue,
  {_of("REFUND", amount, decimals)} AS refunded
FROM transactions_now AS t
CROSS JOIN UNNEST(t.lines) AS l ({", ".join(lines)})
GROUP BY t.shop_id, t.business_date, t.currency, {grouped}""",
        (
            *_BY_DAY,
            *(lines[column] for column in (*by, *told)),
            Column("quantity_sold", pieces, "Pieces sold."),
            Column("quantity_refunded", pieces, "Pieces given back."),
            Column("revenue", decimals, "Amount of the lines sold."),
            Column("refunded", decimals, "Amount of the lines given back."),
        ),
    )


def _pages() -> View:
    columns = columns_of(PAGE_SCHEMA, PAGE_MEANINGS)
    names = ", ".join((*(column.name for column in columns), "date"))
    return View(
        "pages",
        "Every page that was opened, one row each: its last state.",
        f"""SELECT {names}
FROM (
  SELECT {names}, row_number() OVER (PARTITION BY page_id
    ORDER BY revision DESC, length(sequence_number), sequence_number) AS place
  FROM page_states
) AS states
WHERE place = 1""",
        (*columns, OPENED),
    )


def _verdicts() -> View:
    columns = columns_of(VERDICT_SCHEMA, VERDICT_MEANINGS)
    names = ", ".join((*(column.name for column in columns), "date"))
    return View(
        "verdicts",
        "What people said of pages, one row for each time.",
        f"SELECT DISTINCT {names} FROM verdict_records",
        (*columns, GIVEN),
    )
