"""What a manager reads of a backtest, and what a candidate gains and loses."""

import xml.etree.ElementTree as ET
from decimal import Decimal
from pathlib import Path

import click
import pytest

from anomaly.detector import DetectorConfig
from consumer.report import PAGES_SHOWN_MAX, Report, Scope, make_report
from consumer.report_html import as_html
from consumer.report_text import as_markdown
from consumer.shadow import by_shop_and_reason, compare, read_config
from consumer.told import Told, money_words, read_told, refunded
from events.instant import DAY, WEEK, Instant
from events.page import Entity, Page
from sinks.page_json import page_json

START: Instant = 20_458 * DAY


def told(
    name: str,
    *,
    shop: str = "shop-1",
    reason: str = "volume",
    at: Instant = START,
    evidence: tuple[str, ...] = ("t-1",),
    refunded: str = "10.00",
    currency: str = "GBP",
    severity: int = 1,
    summary: str = "2 refunds",
) -> Told:
    return Told(
        name,
        shop,
        reason,
        Entity("shop", shop),
        severity,
        at,
        2,
        Decimal(refunded),
        currency,
        summary,
        evidence,
    )


def scope(weeks: int = 4, shops: int = 2) -> Scope:
    made = Scope(transactions=1_000, refunds=40)
    for number in range(shops):
        made.see(f"shop-{number + 1}", START)
        made.see(f"shop-{number + 1}", START + weeks * WEEK - 1)
    return made


def report(*pages: Told) -> Report:
    return make_report("A title", "m-1", scope(), pages)


def test_reasons_shops_weeks_and_money_are_counted() -> None:
    made = report(
        told("p-1", refunded="0.10"),
        told("p-2", refunded="0.20", at=START + WEEK, severity=3),
        told("p-3", reason="card", shop="shop-2", currency="EUR", at=START + 2 * WEEK),
        told("p-4", reason="card", shop="shop-2", refunded="5.00", at=START + 4 * WEEK - 2),
    )
    assert [(row.reason, row.pages, row.severe, row.refunds) for row in made.reasons] == [
        ("card", 2, 0, 4),
        ("volume", 2, 1, 4),
    ]
    assert made.reasons[1].refunded == {"GBP": Decimal("0.30")}
    assert made.reasons[0].refunded == {"EUR": Decimal("10.00"), "GBP": Decimal("5.00")}
    assert [sum(counts.values()) for _, counts in made.weeks] == [1, 1, 1, 1]
    assert [(shop, count) for shop, count, _ in made.shops] == [("shop-1", 2), ("shop-2", 2)]
    assert made.pages_per_shop_week == pytest.approx(4 / 8)


def test_money_of_several_currencies_is_never_added_up() -> None:
    pages = [told("p-1", refunded="1284.00"), told("p-2", currency="JPY", refunded="900")]
    assert money_words(refunded(pages)) == "1,284.00 GBP and 900 JPY"
    assert money_words(refunded([])) == "nothing"


def test_the_page_for_people_is_well_formed_and_needs_nothing_from_elsewhere() -> None:
    evil = '<script>alert(1)</script>&"'
    made = make_report(
        evil,
        "m-1",
        scope(),
        [told("p-1", shop=evil, reason=evil, summary=evil), told("p-2", at=START + 3 * WEEK)],
        comparison=compare(
            [told("p-1")], [told("p-9", shop=evil, evidence=("t-2",), summary=evil)]
        ),
        candidate=evil,
    )
    text = as_html(made)
    assert "<script" not in text
    assert "http" not in text
    assert "src=" not in text
    whole = text.replace("<!doctype html>\n", "").replace('<meta charset="utf-8">', "")
    whole = whole.replace('<meta name="viewport" content="width=device-width">', "")
    root = ET.fromstring(whole)  # noqa: S314 -- our own text
    assert [svg.get("aria-label") for svg in root.iter("svg")] == [
        "Pages week by week",
        "Pages by shop",
    ]
    assert "1 (10.00 GBP) and loses 1" in text.replace("gains ", "")


def test_markdown_holds_the_same_and_breaks_no_table() -> None:
    text = as_markdown(report(told("p-1", summary="a | b\n<i>"), told("p-2", reason="card")))
    assert "| volume | 1 | 0 | 2 | 10.00 GBP |" in text
    assert "a \\| b \\<i\\> (p-1)" in text
    assert "2 pages, 0.25 per shop and week, about refunds of 20.00 GBP." in text


def test_a_stream_without_anything_has_a_report_too() -> None:
    empty = make_report("Nothing", "m-1", Scope(), [])
    assert "0 pages" in as_markdown(empty)
    assert "Nothing happened." in as_html(empty)
    assert empty.pages_per_shop_week is None


def test_of_very_many_pages_the_rest_is_counted() -> None:
    pages = [told(f"p-{number}") for number in range(PAGES_SHOWN_MAX + 7)]
    assert "7 more are in the file of pages." in as_html(report(*pages))


def test_pages_that_share_a_refund_are_the_same_page() -> None:
    live = [told("a", evidence=("t-1", "t-2")), told("b", evidence=("t-3",)), told("c", shop="s")]
    candidate = [
        told("x", reason="card", evidence=("t-2", "t-9")),
        told("y", evidence=("t-8",)),
        told("z", shop="elsewhere", evidence=("t-3",)),
    ]
    both = compare(live, candidate)
    assert [page.page_id for page in both.kept] == ["x"]
    assert [page.page_id for page in both.gained] == ["y", "z"]
    assert [page.page_id for page in both.lost] == ["b", "c"]
    assert list(by_shop_and_reason(both.gained)) == [("elsewhere", "volume"), ("shop-1", "volume")]


def test_a_candidate_is_what_differs_from_the_live_configuration(tmp_path: Path) -> None:
    file = tmp_path / "candidate.json"
    file.write_text('{"pages_per_shop_week": 0.02}')
    live = DetectorConfig(key_groups=2)
    assert read_config(file, live) == DetectorConfig(key_groups=2, pages_per_shop_week=0.02)
    for wrong in ('{"budget": 1}', '{"seed": "x"}', "no json", "[1]"):
        file.write_text(wrong)
        with pytest.raises(click.ClickException):
            read_config(file, live)


def test_pages_are_read_as_they_were_written(tmp_path: Path) -> None:
    page = Page(
        page_id="p-1",
        status="closed",
        revision=2,
        shop_id="shop-1",
        opened_at=START,
        updated_at=START + DAY,
        reason="card",
        entity=Entity("card", "k"),
        severity=2,
        after_transaction_id="t-1",
        evidence=("t-1", "t-2"),
        refunds=2,
        observed=2.0,
        expected=1.0,
        refunded_total=1_999,
        currency="GBP",
        score=0.97,
        model_version="m",
        summary="2 refunds",
    )
    file = tmp_path / "pages.jsonl"
    file.write_bytes(page_json(page) + b"\n")
    assert read_told(file) == [Told.of(page)]
    assert Told.of(page).refunded == Decimal("19.99")
    file.write_text("{}\n")
    with pytest.raises(click.ClickException, match="line 1"):
        read_told(file)
