"""A backtest's report as one HTML file that needs nothing from elsewhere."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape

from consumer.report import PAGES_SHOWN_MAX, Report
from consumer.shadow import Comparison, by_shop_and_reason
from consumer.told import Told, money_words, refunded
from events.instant import Instant, to_iso

SEVERITIES = {1: "low", 2: "medium", 3: "high", 4: "critical"}

_STYLE = """
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1c2430; background: #fff;
  font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; } h2 { margin-top: 2.2rem; font-size: 1.15rem; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th, td { padding: .3rem .6rem; text-align: left; vertical-align: top; }
tr > * { border-bottom: 1px solid #d8dde5; }
.number { text-align: right; }
td:first-child, .number { white-space: nowrap; }
.muted { color: #5a6675; } .lead { font-size: 1.05rem; }
.severity-3, .severity-4 { color: #a3241b; font-weight: 600; }
svg { width: 100%; height: auto; } svg text { fill: #5a6675; font-size: 11px; }
.key span { margin-right: 1.1rem; white-space: nowrap; }
.key i { display: inline-block; width: .8em; height: .8em; margin-right: .35em; }
@media print { body { margin: 0; } h2, tr { break-inside: avoid; } }
"""

_COLOURS = ("#2a5fa5", "#c2571a", "#2b7d4f", "#8a3d97", "#a3241b", "#4b5b6e", "#8a7400", "#00778a")


def as_html(report: Report) -> str:
    """`report` as a whole HTML document."""
    parts = [
        _lead(report),
        "<h2>Pages week by week</h2>",
        _weeks(report),
        "<h2>By reason</h2>",
        table_html(
            ("Reason", "Pages", "High or critical", "Refunds", "Refunded"),
            (
                (row.reason, row.pages, row.severe, row.refunds, money_words(row.refunded))
                for row in report.reasons
            ),
        ),
        "<h2>Shops with the most pages</h2>",
        _bars([(shop, count, money_words(sums)) for shop, count, sums in report.shops]),
    ]
    if report.comparison is not None:
        parts += comparison_html(report.comparison, report.candidate)
    parts += ["<h2>Every page</h2>", _pages(report.pages)]
    return document(report.title, parts)


def document(title: str, parts: Iterable[str]) -> str:
    """A whole HTML document that needs nothing from elsewhere."""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n<body>\n"
        f"<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _lead(report: Report) -> str:
    scope, rate = report.scope, report.pages_per_shop_week
    days = "no day" if scope.start is None or scope.end is None else _span(scope.start, scope.end)
    return (
        f'<p class="lead">{len(report.pages)} pages'
        + (f", {rate:.2f} per shop and week" if rate is not None else "")
        + f", about refunds of {escape(money_words(refunded(report.pages)))}.</p>"
        f'<p class="muted">{len(scope.shops)} shops, {days}: {scope.transactions:,} transactions, '
        f"{scope.refunds:,} refunds, {scope.repeated:,} records that came again, "
        f"{scope.rejections:,} rejected. Model {escape(report.model_version)}.</p>"
    )


def _span(start: Instant, end: Instant) -> str:
    return f"{to_iso(start)[:10]} to {to_iso(end)[:10]}"


def _weeks(report: Report) -> str:
    """Stacked bars, one for each week."""
    if not report.weeks:
        return '<p class="muted">Nothing happened.</p>'
    colours = {
        row.reason: _COLOURS[place % len(_COLOURS)] for place, row in enumerate(report.reasons)
    }
    most = max(1, *(sum(counts.values()) for _, counts in report.weeks))
    width, height, base = 900, 190, 160
    step = width / len(report.weeks)
    shapes = []
    for place, (start, counts) in enumerate(report.weeks):
        left, top = place * step + step * 0.12, float(base)
        for reason, colour in colours.items():
            tall = counts.get(reason, 0) * (base - 20) / most
            if tall:
                top -= tall
                shapes.append(
                    f'<rect x="{left:.1f}" y="{top:.1f}" width="{step * 0.76:.1f}" '
                    f'height="{tall:.1f}" fill="{colour}">'
                    f"<title>{counts[reason]} {escape(reason)}</title></rect>"
                )
        total = sum(counts.values())
        middle = place * step + step / 2
        shapes.append(
            f'<text x="{middle:.1f}" y="{top - 5:.1f}" text-anchor="middle">{total or ""}</text>'
        )
        if place % max(1, len(report.weeks) // 13) == 0:
            shapes.append(
                f'<text x="{middle:.1f}" y="{base + 17}" text-anchor="middle">'
                f"{to_iso(start)[5:10]}</text>"
            )
    key = "".join(
        f'<span><i style="background:{colour}"></i>{escape(reason)}</span>'
        for reason, colour in colours.items()
    )
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="Pages week by week">'
        f'<line x1="0" x2="{width}" y1="{base}" y2="{base}" stroke="#9aa5b3"/>{"".join(shapes)}'
        f'</svg><p class="key muted">{key}</p>'
    )


def _bars(rows: Sequence[tuple[str, int, str]]) -> str:
    if not rows:
        return '<p class="muted">No shop has a page.</p>'
    most, tall = max(count for _, count, _ in rows), 22
    shapes = [
        f'<text x="0" y="{place * tall + 15}">{escape(name)}</text>'
        f'<rect x="130" y="{place * tall + 4}" width="{count * 400 / most:.1f}" height="14" '
        f'fill="{_COLOURS[0]}"/>'
        f'<text x="{138 + count * 400 / most:.1f}" y="{place * tall + 15}">{count}, '
        f"{escape(said)}</text>"
        for place, (name, count, said) in enumerate(rows)
    ]
    return (
        f'<svg viewBox="0 0 900 {len(rows) * tall + 4}" role="img" '
        f'aria-label="Pages by shop">{"".join(shapes)}</svg>'
    )


def comparison_html(comparison: Comparison, candidate: str) -> list[str]:
    """What a candidate gains and loses, by shop and reason."""
    gained, lost = comparison.gained, comparison.lost
    parts = [
        "<h2>The candidate beside the live detector</h2>",
        (
            f"<p>{escape(candidate)}</p>"
            f"<p>{len(comparison.kept)} pages of both. The candidate gains {len(gained)} "
            f"({escape(money_words(refunded(gained)))}) and loses {len(lost)} "
            f"({escape(money_words(refunded(lost)))}).</p>"
        ),
    ]
    for name, pages in (("Gained", gained), ("Lost", lost)):
        rows = by_shop_and_reason(pages)
        parts += [
            f"<h3>{name}</h3>",
            table_html(
                ("Shop", "Reason", "Pages", "Refunded", "The gravest"),
                (
                    (shop, reason, len(mine), _money(mine), max(mine, key=_gravity).summary)
                    for (shop, reason), mine in rows.items()
                ),
            )
            if rows
            else '<p class="muted">None.</p>',
        ]
    return parts


def _gravity(page: Told) -> tuple[int, Decimal]:
    return page.severity, page.refunded


def _money(pages: Iterable[Told]) -> str:
    return money_words(refunded(pages))


def _pages(pages: Sequence[Told]) -> str:
    rows = "".join(
        f"<tr><td>{to_iso(page.opened_at)[:16].replace('T', ' ')}</td>"
        f'<td class="severity-{page.severity}">{SEVERITIES.get(page.severity, "")}</td>'
        f"<td>{escape(page.reason)}</td>"
        f'<td>{escape(page.summary)}<br/><span class="muted">{escape(_about(page))}'
        f"{escape(page.page_id)}</span></td></tr>"
        for page in pages[:PAGES_SHOWN_MAX]
    )
    more = len(pages) - PAGES_SHOWN_MAX
    return (
        "<table><thead><tr><th>Opened (UTC)</th><th>Severity</th><th>Reason</th><th>What</th></tr>"
        f"</thead><tbody>{rows}</tbody></table>"
        + (f'<p class="muted">{more} more are in the file of pages.</p>' if more > 0 else "")
    )


def _about(page: Told) -> str:
    return "" if page.entity.kind == "shop" else f"{page.entity.kind} {page.entity.id} · "


def table_html(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; whole numbers stand to the right."""

    def cell(value: object) -> str:
        if isinstance(value, int):
            return f'<td class="number">{value:,}</td>'
        return f"<td>{escape(str(value))}</td>"

    body = "".join(f"<tr>{''.join(cell(value) for value in row)}</tr>" for row in rows)
    names = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table>"
