"""A backtest's report as Markdown, for a terminal, a ticket or a mail."""

from collections.abc import Iterable, Sequence

from consumer.report import PAGES_SHOWN_MAX, Report
from consumer.shadow import Comparison, by_shop_and_reason
from consumer.told import money_words, refunded
from events.instant import to_iso

_BAR_WIDTH = 30


def as_markdown(report: Report) -> str:
    """`report` as a Markdown document."""
    scope, rate = report.scope, report.pages_per_shop_week
    lines = [
        f"# {plain(report.title)}",
        "",
        f"{len(report.pages)} pages"
        + (f", {rate:.2f} per shop and week" if rate is not None else "")
        + f", about refunds of {money_words(refunded(report.pages))}.",
        "",
        (
            f"{len(scope.shops)} shops: {scope.transactions:,} transactions, "
            f"{scope.refunds:,} refunds, "
            f"{scope.repeated:,} records that came again, {scope.rejections:,} rejected. "
            f"Model {report.model_version}."
        ),
        "",
        "## Pages week by week",
        "",
        *_weeks(report),
        "",
        "## By reason",
        "",
        reasons_table(report),
        "",
        "## Shops with the most pages",
        "",
        table_text(
            ("shop", "pages", "refunded"),
            ((shop, str(count), money_words(sums)) for shop, count, sums in report.shops),
        ),
    ]
    if report.comparison is not None:
        lines += ["", *comparison_lines(report.comparison, report.candidate)]
    lines += ["", "## Every page", ""]
    lines += [
        f"- {to_iso(page.opened_at)[:16].replace('T', ' ')}, {page.reason}, severity "
        f"{page.severity}: {plain(page.summary)} ({page.page_id})"
        for page in report.pages[:PAGES_SHOWN_MAX]
    ]
    return "\n".join(lines) + "\n"


def reasons_table(report: Report) -> str:
    """What each reason gave."""
    return table_text(
        ("reason", "pages", "high or critical", "refunds", "refunded"),
        (
            (
                row.reason,
                str(row.pages),
                str(row.severe),
                str(row.refunds),
                money_words(row.refunded),
            )
            for row in report.reasons
        ),
    )


def _weeks(report: Report) -> list[str]:
    counts = [(start, sum(by_reason.values())) for start, by_reason in report.weeks]
    most = max([1, *(count for _, count in counts)])
    bars = [
        f"{to_iso(start)[:10]} {'#' * round(count * _BAR_WIDTH / most):<{_BAR_WIDTH}} {count}"
        for start, count in counts
    ]
    return ["```", *bars, "```"]


def comparison_lines(comparison: Comparison, candidate: str) -> list[str]:
    """What a candidate gains and loses, by shop and reason."""
    lines = [
        "## The candidate beside the live detector",
        "",
        plain(candidate),
        "",
        f"{len(comparison.kept)} pages of both.",
    ]
    for name, pages in (("gained", comparison.gained), ("lost", comparison.lost)):
        lines += ["", f"{len(pages)} {name}, {money_words(refunded(pages))}:", ""]
        lines.append(
            table_text(
                ("shop", "reason", "pages", "refunded"),
                (
                    (shop, reason, str(len(mine)), money_words(refunded(mine)))
                    for (shop, reason), mine in by_shop_and_reason(pages).items()
                ),
            )
        )
    return lines


def table_text(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(plain(cell) for cell in cells) + " |" for cells in lines)


def plain(text: str) -> str:
    """`text` without what Markdown would take for its own, on one line."""
    line = " ".join(text.split())
    return "".join(f"\\{sign}" if sign in "\\`*_{}[]<>|#" else sign for sign in line)
