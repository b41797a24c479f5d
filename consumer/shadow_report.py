"""What a shadow would have paged beside what was paged, over what both have seen. Pure."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape

import msgspec

from consumer.report import PAGES_SHOWN_MAX
from consumer.report_html import SEVERITIES, comparison_html, document, table_html
from consumer.report_text import comparison_lines, plain, table_text
from consumer.shadow import Comparison, compare
from consumer.shadow_doubts import (
    failure_line,
    failure_row,
    hole_line,
    of_configurations,
    of_failures,
    of_holes,
)
from consumer.shadow_seen import Seen
from consumer.shadow_told import ToldPage
from consumer.told import Told, money_words, refunded
from events.instant import Instant, to_iso
from sinks.shadow_notes import Noted

FINDINGS = ("fraud", "ok", "policy")
_FAILURES = "What the candidate failed at"
_FAILURES_HEAD = ("position", "shop", "reason", "detail")
_HEAD = ("opened (UTC)", "shop", "reason", "severity", "people found", "what")


class ShadowReport(msgspec.Struct, frozen=True):
    """All that is told; `live` and `shadow` are the pages of each in the stretch."""

    name: str
    seen: Seen
    live: tuple[Told, ...]
    shadow: tuple[Told, ...]
    comparison: Comparison
    findings: dict[str, str]
    """What people said last, by page id."""
    configs: dict[str, str]
    """The candidate's configuration by the model version of its pages, as JSON."""
    live_versions: tuple[str, ...]
    """The model versions of the live pages."""
    noted: Noted
    versions: tuple[str, ...]
    """The model versions that the shadow's shards stand with."""
    pages_of: Counter[str]
    """How many pages the shadow has by their model version, in the stretch and out of it."""


def make_shadow_report(
    name: str,
    seen: Seen,
    live: Sequence[ToldPage],
    shadow: Sequence[ToldPage],
    findings: Mapping[str, str],
    noted: Noted,
    current: Collection[str],
) -> ShadowReport:
    """Hold the pages of both against each other.

    A page counts where it was opened within `seen`. It is kept where the other has a page of the
    same refunds, wherever that lies: one of the two may open a little later. `current` are the
    model versions that the shadow's shards stand with.
    """
    every = compare([one.told for one in live], [one.told for one in shadow])
    of_live, of_shadow = _within(seen, live), _within(seen, shadow)
    there = {one.told.page_id for one in (*of_live, *of_shadow)}
    pages_of = Counter(one.model_version for one in shadow)
    every_version = sorted({*current, *noted.configs, *pages_of})
    return ShadowReport(
        name=name,
        seen=seen,
        live=tuple(one.told for one in of_live),
        shadow=tuple(one.told for one in of_shadow),
        comparison=Comparison(
            *(
                tuple(sorted((page for page in pages if page.page_id in there), key=_order))
                for pages in (every.kept, every.gained, every.lost)
            )
        ),
        findings={page_id: said for page_id, said in findings.items() if page_id in there},
        configs={version: noted.configs.get(version, "") for version in every_version},
        live_versions=tuple(sorted({one.model_version for one in of_live})),
        noted=noted,
        versions=tuple(sorted(current)),
        pages_of=pages_of,
    )


def _within(seen: Seen, pages: Iterable[ToldPage]) -> list[ToldPage]:
    found = (one for one in pages if seen.holds(one.shard_id, one.told.opened_at))
    return sorted(found, key=lambda one: _order(one.told))


def _order(page: Told) -> tuple[Instant, str]:
    return page.opened_at, page.page_id


def as_text(report: ShadowReport) -> str:
    """`report` as a Markdown document."""
    lines = [
        f"# The shadow {report.name} beside the live detector",
        "",
        *(line for words in _words(report) for line in (plain(words), "")),
        *comparison_lines(report.comparison, _candidate(report)),
    ]
    for title, pages in _told(report):
        lines += ["", f"## {title}", "", table_text(_HEAD, _rows(report, pages))]
    if report.noted.failures:
        rows = [failure_row(one) for one in report.noted.failures]
        lines += ["", f"## {_FAILURES}", "", table_text(_FAILURES_HEAD, rows)]
    return "\n".join(lines) + "\n"


def as_html(report: ShadowReport) -> str:
    """`report` as one HTML file."""
    title = f"The shadow {report.name} beside the live detector"
    parts = [
        *(f"<p>{escape(words)}</p>" for words in _words(report)),
        *comparison_html(report.comparison, _candidate(report)),
    ]
    for name, pages in _told(report):
        parts += [f"<h2>{name}</h2>", table_html(_HEAD, _rows(report, pages))]
    if report.noted.failures:
        rows = [failure_row(one) for one in report.noted.failures]
        parts += [f"<h2>{_FAILURES}</h2>", table_html(_FAILURES_HEAD, rows)]
    return document(title, parts)


def as_json(report: ShadowReport) -> bytes:
    """`report` as one line for machines."""
    both, seen = report.comparison, report.seen
    line = {
        "name": report.name,
        "from": None if seen.begin is None else to_iso(seen.begin),
        "to": {
            shard_id: None if end is None else to_iso(end)
            for shard_id, end in sorted(seen.ends.items())
        },
        "candidate": report.configs,
        "model_versions": report.versions,
        "pages_of": dict(report.pages_of),
        "holes": [hole_line(hole) for hole in report.noted.holes],
        "failed": report.noted.failed,
        "failures": [failure_line(one) for one in report.noted.failures],
        "live_pages": len(report.live),
        "shadow_pages": len(report.shadow),
        "kept": [page.page_id for page in both.kept],
        "gained": [_line(page) for page in both.gained],
        "lost": [_line(page, report.findings.get(page.page_id)) for page in both.lost],
        "money": {
            name: {currency: str(sum_) for currency, sum_ in refunded(pages).items()}
            for name, pages in (("gained", both.gained), ("lost", both.lost))
        },
        "lost_found": dict(found_of(both.lost, report.findings)),
    }
    return msgspec.json.encode(line)


def found_of(pages: Iterable[Told], findings: Mapping[str, str]) -> Counter[str]:
    """How many of `pages` people found to be what."""
    return Counter(findings[page.page_id] for page in pages if page.page_id in findings)


def _line(page: Told, finding: str | None = None) -> dict[str, object]:
    line: dict[str, object] = {
        "page_id": page.page_id,
        "shop_id": page.shop_id,
        "reason": page.reason,
        "opened_at": to_iso(page.opened_at),
        "refunded": str(page.refunded),
        "currency": page.currency,
        "summary": page.summary,
    }
    return line if finding is None else line | {"finding": finding}


def _words(report: ShadowReport) -> list[str]:
    """Which stretch, how many pages of each, and what people said of those that would be lost."""
    seen, both = report.seen, report.comparison
    doubts = [
        *of_configurations(report.versions, report.pages_of, report.noted),
        *of_holes(report.noted.holes),
        *of_failures(report.noted),
    ]
    if seen.end is None:
        return ["There is no stretch yet that both have seen.", *doubts]
    begin = "the beginning" if seen.begin is None else _moment(to_iso(seen.begin))
    behind = [shard_id for shard_id, end in sorted(seen.ends.items()) if end is None]
    lost, kept = both.lost, [page for page in report.live if page not in both.lost]
    counted = (
        f"{len(report.live)} live pages ({money_words(refunded(report.live))}), "
        f"{len(report.shadow)} of the shadow ({money_words(refunded(report.shadow))})"
    )
    ended = _moment(to_iso(seen.end))
    words = [
        f"Opened from {begin} to {ended} (UTC, event time), as far as both saw it: {counted}.",
        f"Of the {len(lost)} lost pages {_found(lost, report.findings)}.",
        f"Of the {len(kept)} others {_found(kept, report.findings)}.",
    ]
    if behind:
        words.append(f"Not seen by both yet, and left out: {', '.join(behind)}.")
    if set(report.configs) & set(report.live_versions):
        words.append("Some live pages are of the candidate's own model version.")
    return [*doubts, *words]


def _found(pages: Sequence[Told], findings: Mapping[str, str]) -> str:
    counts = found_of(pages, findings)
    if not counts:
        return "people judged none"
    found = ", ".join(f"{counts[name]} {name}" for name in FINDINGS if counts[name])
    return f"people judged {counts.total()}: {found}"


def _candidate(report: ShadowReport) -> str:
    return "; ".join(
        f"The candidate {version}: {config or 'not noted'}"
        for version, config in report.configs.items()
    )


def _told(report: ShadowReport) -> tuple[tuple[str, tuple[Told, ...]], ...]:
    both = report.comparison
    return ("Every page gained", both.gained), ("Every page lost", both.lost)


def _rows(report: ShadowReport, pages: Sequence[Told]) -> list[tuple[str, ...]]:
    return [
        (
            _moment(to_iso(page.opened_at)),
            page.shop_id,
            page.reason,
            SEVERITIES.get(page.severity, ""),
            report.findings.get(page.page_id, "-"),
            page.summary,
        )
        for page in pages[:PAGES_SHOWN_MAX]
    ]


def _moment(iso: str) -> str:
    return iso[:16].replace("T", " ")
