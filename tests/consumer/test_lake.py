"""History answers in Athena's dialect what pandas works out of the input by itself."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from consumer.dialect import NotReadable, to_duckdb
from consumer.lake import Lake, LakeError, open_lake
from sinks.catalogue import athena_type
from sinks.catalogue_views import views
from tests.consumer.lake_made import MadeLake, make_lake

Rows = list[tuple[Any, ...]]

NAMED = """SELECT shop_id, date, SUM(total_sales) as daily_sales FROM processed_table
WHERE date BETWEEN date '2026-03-29' AND date '2026-03-31' GROUP BY shop_id, date
ORDER BY date DESC;"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> MadeLake:
    return make_lake(tmp_path_factory.mktemp("lake"))


def lake_in(folder: Path, zone: str = "shop") -> Lake:
    return open_lake(str(folder), application="tillwatch", zone=zone)


def of(made: MadeLake, kind: str) -> Any:
    return made.rows[made.rows.type == kind]


def grouped(frame: Any, keys: list[str], column: str, how: Callable[[Any], Any]) -> Rows:
    found = []
    for key, group in frame.groupby(keys, sort=True, dropna=False):
        found.append((*key, how(group[column])))
    return found


def money(values: Any) -> Decimal:
    return sum(values, Decimal())


def daily(made: MadeLake) -> Rows:
    found: Rows = []
    for (shop, day, currency), group in made.rows.groupby(["shop_id", "day", "currency"]):
        sales, back = group[group.type == "SALE"], group[group.type == "REFUND"]
        sold, refunded = money(sales.total), money(back.total)
        rate = float(refunded) / float(sold) if sold else None
        found.append((shop, day, currency, sold, refunded, rate, len(group), len(sales), len(back)))
    return found


def by_line(made: MadeLake, key: str) -> Rows:
    found: Rows = []
    lines = made.lines[made.lines.type != "VOID"]
    for (shop, day, what), group in lines.groupby(["shop_id", "day", key], dropna=False):
        sold, back = group[group.type == "SALE"], group[group.type == "REFUND"]
        found.append(
            (
                shop,
                day,
                None if pd.isna(what) else what,
                money(sold.quantity),
                money(back.quantity),
                money(sold.quantity * sold.price),
                money(back.quantity * back.price),
            )
        )
    return found


def payment_mix(made: MadeLake) -> Rows:
    sales = of(made, "SALE")
    found: Rows = []
    for (shop, day), group in sales.groupby(["shop_id", "day"]):
        whole = money(group.total)
        for method, some in group.groupby("method"):
            paid = money(some.total)
            found.append((shop, day, method, len(some), paid, float(paid) / float(whole)))
    return found


def running(made: MadeLake) -> Rows:
    found: Rows = []
    totals: dict[str, Decimal] = {}
    for shop, day, total in grouped(of(made, "SALE"), ["shop_id", "day"], "total", money):
        totals[shop] = totals.get(shop, Decimal()) + total
        found.append((shop, day, totals[shop]))
    return found


def ranked(made: MadeLake) -> Rows:
    found: Rows = []
    sales = grouped(of(made, "SALE"), ["day", "shop_id"], "total", money)
    for day in sorted({row[0] for row in sales}):
        best = max((total, shop) for on, shop, total in sales if on == day)
        found.append((day, best[1]))
    return found


def gaps(made: MadeLake) -> Rows:
    found: Rows = []
    for shop, group in made.rows.groupby("shop_id"):
        times = sorted(group["at"])
        longest = max(b - a for a, b in pairwise(times))
        found.append((shop, longest // timedelta(minutes=1)))
    return found


def london(made: MadeLake) -> Rows:
    zone = ZoneInfo("Europe/London")
    days = made.rows["at"].map(lambda at: at.astimezone(zone).date())
    return sorted(made.rows.groupby(days).size().items())


def per_hour(made: MadeLake) -> Rows:
    hours = made.rows["at"].dt.tz_convert("UTC").dt.floor("h")
    return sorted((at.to_pydatetime(), n) for at, n in made.rows.groupby(hours).size().items())


def pairs(made: MadeLake) -> Rows:
    """Refunds of this lake beside the sale that they name."""
    sales = of(made, "SALE").set_index("transaction_id")
    found: Rows = []
    for refund in of(made, "REFUND").itertuples():
        if refund.original in sales.index:
            sale = sales.loc[refund.original]
            found.append((refund.transaction_id, sale.total, (refund.day - sale.day).days))
    return sorted(found)


def weekdays(made: MadeLake) -> Rows:
    sales = of(made, "SALE")
    return sorted(sales.groupby(sales.day.map(lambda day: day.isoweekday())).size().items())


def refunds(made: MadeLake) -> Rows:
    return sorted(
        (
            row.transaction_id,
            row.day,
            row.total,
            pd.isna(row.original),
            bool(row.limit is not None and not pd.isna(row.limit) and row.total > row.limit),
        )
        for row in of(made, "REFUND").itertuples()
    )


def beside(made: MadeLake) -> Rows:
    both = made.lines.merge(made.lines, on="transaction_id")
    return [(int((both.item_id_x < both.item_id_y).sum()),)]


def moving(made: MadeLake) -> Rows:
    found: Rows = []
    before: dict[str, list[float]] = {}
    for shop, day, total in grouped(of(made, "SALE"), ["shop_id", "day"], "total", money):
        last = before.setdefault(shop, [])
        last.append(float(total))
        found.append((shop, day, sum(last[-3:]) / len(last[-3:])))
    return found


def quartiles(made: MadeLake) -> Rows:
    sales = sorted(zip(of(made, "SALE").total, of(made, "SALE").transaction_id, strict=True))
    quarter, more = divmod(len(sales), 4)
    return [(place, quarter + (place <= more), sales[0][1]) for place in (1, 2, 3, 4)]


QUESTIONS: dict[str, tuple[str, Callable[[MadeLake], Rows]]] = {
    "every transaction, once": (
        "SELECT count(*), count(DISTINCT transaction_id) FROM transactions_now",
        lambda m: [(len(m.rows), len(m.rows))],
    ),
    "published files alone": (
        "SELECT count(*) FROM transactions",
        lambda m: [(m.published,)],
    ),
    "what only staged parts hold": (
        "SELECT count(*), count(DISTINCT transaction_id) FROM recent",
        lambda m: [(len(m.rows) - m.published, len(m.rows) - m.published)],
    ),
    "by type": (
        "SELECT type, count(*), sum(total) FROM transactions_now GROUP BY type ORDER BY 1",
        lambda m: [(kind, len(g), money(g.total)) for kind, g in m.rows.groupby("type")],
    ),
    "the query that older pages name": (
        NAMED,
        lambda m: [
            row
            for row in grouped(of(m, "SALE"), ["shop_id", "day"], "total", money)
            if date(2026, 3, 29) <= row[1] <= date(2026, 3, 31)
        ],
    ),
    "sales_daily": (
        (
            "SELECT shop_id, date, currency, total_sales, refunds, refund_rate, transactions, "
            "sale_count, refund_count FROM sales_daily ORDER BY 1, 2"
        ),
        daily,
    ),
    "refunds": (
        "SELECT transaction_id, date, total, without_receipt, over_limit FROM refunds ORDER BY 1",
        refunds,
    ),
    "product_daily": (
        (
            "SELECT shop_id, date, item_id, quantity_sold, quantity_refunded, revenue, refunded "
            "FROM product_daily WHERE quantity_sold + quantity_refunded > 0 ORDER BY 1, 2, 3"
        ),
        lambda m: by_line(m, "item_id"),
    ),
    "category_daily": (
        (
            "SELECT shop_id, date, category, quantity_sold, quantity_refunded, revenue, refunded "
            "FROM category_daily WHERE quantity_sold + quantity_refunded > 0 ORDER BY 1, 2, 3"
        ),
        lambda m: by_line(m, "category"),
    ),
    "payment_mix": (
        (
            "SELECT shop_id, date, payment_method, sale_count, total_sales, share FROM payment_mix "
            "ORDER BY 1, 2, 3"
        ),
        payment_mix,
    ),
    "shares add up to one": (
        "SELECT shop_id, date, round(sum(share), 9) FROM payment_mix GROUP BY 1, 2",
        lambda m: [
            (shop, day, 1.0) for (shop, day), _ in of(m, "SALE").groupby(["shop_id", "day"])
        ],
    ),
    "a running sum": (
        (
            "SELECT shop_id, date, sum(total_sales) OVER (PARTITION BY shop_id ORDER BY date) "
            "FROM processed_table WHERE total_sales > 0 ORDER BY 1, 2"
        ),
        running,
    ),
    "the first of each day, by row_number": (
        (
            "SELECT date, shop_id FROM (SELECT date, shop_id, row_number() OVER (PARTITION BY date "
            "ORDER BY total_sales DESC, shop_id DESC) AS place FROM sales_daily WHERE sale_count > 0) "
            "AS ranked WHERE place = 1"
        ),
        ranked,
    ),
    "the longest pause in minutes, by lag and date_diff": (
        (
            "WITH pauses AS (SELECT shop_id, date_diff('minute', lag(occurred_at) OVER (PARTITION BY "
            "shop_id ORDER BY occurred_at), occurred_at) AS minutes FROM transactions_now) "
            "SELECT shop_id, max(minutes) FROM pauses GROUP BY shop_id"
        ),
        gaps,
    ),
    "days of another time zone, over the change of the clocks": (
        (
            "SELECT CAST(occurred_at AT TIME ZONE 'Europe/London' AS date), count(*) "
            "FROM transactions_now GROUP BY 1"
        ),
        london,
    ),
    "date_trunc": (
        "SELECT date_trunc('hour', occurred_at), count(*) FROM transactions_now GROUP BY 1",
        per_hour,
    ),
    "folders are the hour of the time": (
        (
            "SELECT count(*) FROM transactions_now "
            "WHERE hour <> hour(occurred_at) OR date <> CAST(occurred_at AS date)"
        ),
        lambda _: [(0,)],
    ),
    "date_add and an interval are one": (
        (
            "SELECT count(*) FROM sales_daily "
            "WHERE date_add('day', 7, date) <> date + INTERVAL '7' DAY"
        ),
        lambda _: [(0,)],
    ),
    "day_of_week": (
        (
            "SELECT day_of_week(business_date), count(*) FROM transactions_now WHERE type = 'SALE' "
            "GROUP BY 1"
        ),
        weekdays,
    ),
    "date_format": (
        "SELECT date_format(date, '%Y-%m'), sum(transactions) FROM sales_daily GROUP BY 1",
        lambda m: sorted(m.rows.groupby(m.rows.day.map(lambda d: f"{d:%Y-%m}")).size().items()),
    ),
    "lines unnested into columns": (
        (
            "SELECT count(*), sum(l.quantity) FROM transactions_now AS t "
            "CROSS JOIN UNNEST(t.lines) AS l (item_id, description, category, quantity, unit_price)"
        ),
        lambda m: [(len(m.lines), money(m.lines.quantity))],
    ),
    "lines unnested, columns without their table": (
        (
            "SELECT category, sum(quantity * unit_price) FROM transactions_now CROSS JOIN "
            "UNNEST(lines) AS l (item_id, description, category, quantity, unit_price) "
            "WHERE type = 'SALE' AND category IS NOT NULL GROUP BY category"
        ),
        lambda m: [
            (name, money(g.quantity * g.price))
            for name, g in m.lines[m.lines.type == "SALE"].groupby("category")
        ],
    ),
    "items beside each other, by a join of two unnested": (
        (
            "WITH l AS (SELECT transaction_id, item_id FROM transactions_now CROSS JOIN UNNEST(lines) "
            "AS u (item_id, description, category, quantity, unit_price)) "
            "SELECT count(*) FROM l AS a JOIN l AS b ON a.transaction_id = b.transaction_id "
            "AND a.item_id < b.item_id"
        ),
        beside,
    ),
    "cardinality": (
        "SELECT cardinality(lines), count(*) FROM transactions_now GROUP BY 1",
        lambda m: sorted(m.rows.groupby("lines").size().items()),
    ),
    "functions over arrays": (
        (
            "SELECT sum(reduce(transform(lines, l -> l.quantity), CAST(0 AS decimal(38,3)), "
            "(s, q) -> s + q, s -> s)) FROM transactions_now WHERE cardinality(lines) > 0"
        ),
        lambda m: [(money(m.lines.quantity),)],
    ),
    "element_at": (
        "SELECT count(DISTINCT element_at(lines, 1).item_id) FROM transactions_now",
        lambda m: [(m.lines.groupby("transaction_id").item_id.first().nunique(),)],
    ),
    "count_if and filters": (
        (
            "SELECT count_if(total > 50), count(*) FILTER (WHERE payment_method = 'CASH') "
            "FROM transactions_now"
        ),
        lambda m: [(int((m.rows.total > 50).sum()), int((m.rows.method == "CASH").sum()))],
    ),
    "try_cast, coalesce and a case": (
        (
            "SELECT CASE WHEN customer_id IS NULL THEN 'nobody' ELSE 'known' END, "
            "sum(coalesce(try_cast(currency AS integer), 1)) FROM transactions_now GROUP BY 1"
        ),
        lambda m: [
            ("known", int(m.rows.customer_id.notna().sum())),
            ("nobody", int(m.rows.customer_id.isna().sum())),
        ],
    ),
    "max_by": (
        (
            "SELECT shop_id, max_by(transaction_id, ROW(total, transaction_id)) FROM transactions_now "
            "WHERE type = 'SALE' GROUP BY shop_id"
        ),
        lambda m: [
            (shop, max(zip(g.total, g.transaction_id, strict=True))[1])
            for shop, g in of(m, "SALE").groupby("shop_id")
        ],
    ),
    "refunds beside their sales": (
        (
            "SELECT r.transaction_id, s.total, date_diff('day', s.business_date, r.date) FROM refunds "
            "AS r JOIN transactions_now AS s ON s.transaction_id = r.original_transaction_id "
            "AND s.type = 'SALE' ORDER BY 1"
        ),
        pairs,
    ),
    "pages, their last state": (
        (
            "SELECT page_id, status, shop_id, severity, refunds, refunded_total, entity_kind, date, "
            "cardinality(evidence), suppressed_by IS NULL FROM pages ORDER BY page_id"
        ),
        lambda m: [
            (
                one.page_id,
                one.status,
                one.shop_id,
                one.severity,
                one.refunds,
                one.refunded_total,
                one.entity_kind,
                one.opened_on,
                len(one.evidence),
                pd.isna(one.suppressed_by),
            )
            for one in m.pages.itertuples()
        ],
    ),
    "transactions that are evidence of a page": (
        (
            "SELECT p.page_id, count(DISTINCT t.transaction_id), sum(t.total) FROM pages AS p "
            "CROSS JOIN UNNEST(p.evidence) AS e (transaction_id) "
            "JOIN transactions_now AS t ON t.transaction_id = e.transaction_id GROUP BY 1"
        ),
        lambda m: [
            (
                one.page_id,
                len(one.evidence),
                money(m.rows[m.rows.transaction_id.isin(one.evidence)].total),
            )
            for one in m.pages.itertuples()
        ],
    ),
    "verdicts, and what share of each finding": (
        (
            "SELECT finding, count(*), count(*) * 1.0 / sum(count(*)) OVER () FROM verdicts "
            "GROUP BY finding"
        ),
        lambda m: [
            (finding, len(g), len(g) / len(m.verdicts))
            for finding, g in m.verdicts.groupby("finding")
        ],
    ),
    "pages beside their verdicts": (
        (
            "SELECT p.page_id, v.finding FROM pages AS p LEFT JOIN verdicts AS v "
            "ON v.page_id = p.page_id"
        ),
        lambda m: [
            (page, dict(zip(m.verdicts.page_id, m.verdicts.finding, strict=True)).get(page))
            for page in m.pages.page_id
        ],
    ),
    "a moving average of three days, by a window's frame": (
        (
            "SELECT shop_id, date, avg(CAST(total_sales AS double)) OVER (PARTITION BY shop_id "
            "ORDER BY date ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM processed_table "
            "WHERE total_sales > 0"
        ),
        moving,
    ),
    "quartiles, by ntile, and first_value": (
        (
            "SELECT place, count(*), min(first) FROM (SELECT ntile(4) OVER (ORDER BY total, "
            "transaction_id) AS place, first_value(transaction_id) OVER (ORDER BY total, "
            "transaction_id) AS first FROM transactions_now WHERE type = 'SALE') AS t GROUP BY place"
        ),
        quartiles,
    ),
    "date_parse, day_of_year and a difference of dates in days": (
        (
            "SELECT day_of_year(business_date), date_diff('day', CAST(date_parse('2026-03-01', "
            "'%Y-%m-%d') AS date), business_date), count(*) FROM transactions_now GROUP BY 1, 2"
        ),
        lambda m: [
            (day.timetuple().tm_yday, (day - date(2026, 3, 1)).days, n)
            for day, n in m.rows.groupby("day").size().items()
        ],
    ),
    "grouping sets": (
        (
            "SELECT shop_id, type, count(*) FROM transactions_now "
            "GROUP BY GROUPING SETS ((shop_id), (type), ())"
        ),
        lambda m: [
            *((shop, None, len(g)) for shop, g in m.rows.groupby("shop_id")),
            *((None, kind, len(g)) for kind, g in m.rows.groupby("type")),
            (None, None, len(m.rows)),
        ],
    ),
    "a union, an exists, and a having": (
        (
            "SELECT shop_id FROM sales_daily GROUP BY shop_id HAVING sum(refund_count) > 0 "
            "UNION SELECT DISTINCT t.shop_id FROM transactions_now AS t WHERE EXISTS "
            "(SELECT 1 FROM refunds AS r WHERE r.shop_id = t.shop_id)"
        ),
        lambda m: [(shop,) for shop in sorted(set(of(m, "REFUND").shop_id))],
    ),
}


def plain(value: Any) -> Any:
    """A form in which equal values are equal, whatever library made them."""
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, datetime):
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, (date, str)):
        return value
    if isinstance(value, float):
        return round(Decimal(value), 9).normalize()
    return Decimal(value).normalize()


def rows_of(found: Any) -> Rows:
    return sorted((tuple(plain(v) for v in row) for row in found), key=repr)


@pytest.mark.parametrize("name", QUESTIONS)
def test_history_says_what_the_input_says(made: MadeLake, name: str) -> None:
    text, expected = QUESTIONS[name]
    wanted = rows_of(expected(made))
    assert wanted, "a question whose answer is empty shows nothing"
    assert rows_of(lake_in(made.folder).ask(text).rows()) == wanted


def test_the_lake_under_test_is_one_with_everything_in_it(made: MadeLake) -> None:
    assert 0 < made.published < len(made.rows)
    assert made.published + made.staged > len(made.rows) + 100, "rows lie in two places"
    assert len(of(made, "REFUND")) > 5
    assert len(QUESTIONS) >= 25
    asked = " ".join(text for text, _ in QUESTIONS.values())
    for view in views():
        assert view.name in asked


@pytest.mark.parametrize("share", [2, 3, 5])
def test_approx_distinct_is_near(made: MadeLake, share: int) -> None:
    text = f"SELECT approx_distinct(transaction_id) FROM transactions_now WHERE hour % {share} = 0"
    ((found,),) = lake_in(made.folder).ask(text).rows()
    hours = made.rows["at"].map(lambda at: at.hour)
    assert found == pytest.approx(int((hours % share == 0).sum()), rel=0.1)


def test_days_of_business_follow_the_setting(made: MadeLake) -> None:
    for zone in ("Asia/Tokyo", "UTC", "America/New_York"):
        days = made.rows["at"].map(lambda at, zone=zone: at.astimezone(ZoneInfo(zone)).date())
        text = "SELECT date, sum(transactions) FROM sales_daily GROUP BY date"
        answer = lake_in(made.folder, zone).ask(text)
        assert rows_of(answer.rows()) == rows_of(made.rows.groupby(days).size().items())


def test_a_view_has_the_columns_that_it_declares(made: MadeLake) -> None:
    """Types too: what Glue is told is what the view gives."""
    connection = lake_in(made.folder).connect()
    for view in views():
        found = connection.sql(f'SELECT * FROM "{view.name}"').to_arrow_table().schema
        declared = [(column.name, column.kind) for column in view.columns]
        given = [
            (field.name, "date" if str(field.type) == "date32[day]" else athena_type(field.type))
            for field in found
        ]
        assert given == declared


@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE transactions",
        "INSERT INTO refunds SELECT * FROM refunds",
        "CREATE TABLE a AS SELECT 1",
        "COPY (SELECT 1) TO 'x'",
        "ATTACH 'x.db'",
        "SET memory_limit = '1TB'",
        "SELECT 1; SELECT 2",
        "WITH a AS (DELETE FROM refunds RETURNING *) SELECT * FROM a",
        "",
        "SELECT FROM WHERE",
    ],
)
def test_history_is_only_read(text: str) -> None:
    with pytest.raises(NotReadable):
        to_duckdb(text)


def test_a_question_reaches_nothing_but_the_lake(made: MadeLake, tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    lake = lake_in(made.folder)
    for source in (f"read_csv('{secret}')", f"read_text('{secret}')"):
        with pytest.raises(LakeError, match="disabled by configuration"):
            lake.ask(f"SELECT * FROM {source}")


def test_errors_say_what_is_wrong(made: MadeLake) -> None:
    lake = lake_in(made.folder)
    with pytest.raises(LakeError, match='"nope" not found'):
        lake.ask("SELECT nope FROM refunds")
    with pytest.raises(NotReadable, match="line 1, column 17"):
        lake.ask("select from where")
    with pytest.raises(LakeError, match="there is no /nowhere"):
        lake_in(Path("/nowhere"))
    with pytest.raises(LakeError, match="no time zone"):
        lake_in(made.folder, "x'; DROP").ask("SELECT 1")


def test_an_empty_lake_has_no_rows(tmp_path: Path) -> None:
    lake = lake_in(tmp_path)
    for view in views():
        assert list(lake.ask(f"SELECT * FROM {view.name}").rows()) == []


def test_staged_parts_that_go_while_a_question_runs_are_no_error(made: MadeLake) -> None:
    """They were listed, and published and deleted before they were read: it is asked again."""
    lake = lake_in(made.folder)
    part = min(made.folder.glob("staging/*/*/*.two.parquet"))
    body = part.read_bytes()
    connect = lake.connect

    def connect_and_lose() -> Any:
        connection = connect()
        part.unlink(missing_ok=True)
        return connection

    lake.connect = connect_and_lose  # type: ignore[method-assign]
    try:
        ((count,),) = lake.ask("SELECT count(*) FROM transactions_now WHERE total >= 0").rows()
    finally:
        part.write_bytes(body)
    assert count == len(made.rows)


def test_a_question_about_one_day_opens_no_other_day_s_files(made: MadeLake) -> None:
    """The others are spoilt meanwhile; who opened one of them would fail."""
    text = "SELECT count(*), sum(total) FROM transactions WHERE date = date '2026-03-30'"
    wanted = list(lake_in(made.folder).ask(text).rows())
    others = [p for p in made.folder.glob("processed/*/*/*") if "date=2026-03-30" not in str(p)]
    kept = {path: path.read_bytes() for path in others}
    assert len(kept) > 50
    try:
        for path in kept:
            path.write_bytes(b"PAR1 spoilt")
        assert list(lake_in(made.folder).ask(text).rows()) == wanted
        with pytest.raises(LakeError):
            lake_in(made.folder).ask("SELECT sum(total) FROM transactions")
    finally:
        for path, body in kept.items():
            path.write_bytes(body)
