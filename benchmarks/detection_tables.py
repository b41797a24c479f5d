"""The tables of docs/detection.md, from what was judged."""

from collections.abc import Callable, Mapping, Sequence

from consumer.evaluation import Judged, Measures, measure

TILLWATCH = "**Tillwatch**"


def _figure(value: float | None, digits: int = 2) -> str:
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return text[1:] if text.startswith("0.") else text


def _latency(found: Measures) -> str:
    if found.latency_median is None or found.latency_p90 is None:
        return "–"
    return f"{found.latency_median:.0f}/{found.latency_p90:.0f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _streams(judged: Sequence[Judged]) -> str:
    found = measure(judged)
    return f"{len(judged)} streams, {found.shop_weeks:,.0f} shop-weeks, {found.campaigns} campaigns"


def ways_table(
    ours: Sequence[Judged],
    quiet: Sequence[Judged],
    ways: Mapping[str, Sequence[Judged]],
    ways_quiet: Mapping[str, Sequence[Judged]],
) -> str:
    """The detector beside the known ways."""
    rows = []
    for name, judged, without in [
        *((name, judged, ways_quiet.get(name, ())) for name, judged in ways.items()),
        (TILLWATCH, ours, quiet),
    ]:
        found = measure(judged)
        rows.append(
            (
                found.recall or 0.0,
                [
                    name,
                    _figure(found.strict_precision),
                    _figure(found.recall),
                    _figure(found.false_per_shop_week),
                    _figure(measure(without).false_per_shop_week),
                    _latency(found),
                    _figure(found.missed_value),
                ],
            )
        )
    head = [
        "",
        "strict precision",
        "recall",
        "false pages per shop-week",
        "the same without any fraud",
        "latency median/p90",
        "missed value",
    ]
    rows.sort(key=lambda row: row[0])
    return f"**Beside known ways** ({_streams(ours)})\n\n" + _table(
        head, [cells for _, cells in rows]
    )


def kinds_table(ours: Sequence[Judged], ways: Mapping[str, Sequence[Judged]]) -> str:
    """Recall of every kind: pooled, the lowest and highest stream, and the best known way."""
    found = measure(ours)
    rows = []
    for kind, recall in found.recall_by_kind.items():
        each = [measure([one]).recall_by_kind.get(kind) for one in ours]
        known = [share for share in each if share is not None]
        of_kind = [one for judged in ours for one in judged.campaigns if one.kind == kind]
        latencies = sorted(one.refunds_before for one in of_kind if one.found)
        best = max(
            (
                (measure(judged).recall_by_kind.get(kind, 0.0), name)
                for name, judged in ways.items()
            ),
            default=(0.0, "–"),
        )
        stolen = sum(one.stolen for one in of_kind)
        rows.append(
            [
                f"`{kind}`",
                str(len(of_kind)),
                _figure(recall),
                f"{_figure(min(known))}–{_figure(max(known))}",
                str(latencies[(len(latencies) - 1) // 2]) if latencies else "–",
                _figure(sum(one.missed for one in of_kind) / stolen if stolen else None),
                f"{_figure(best[0])} ({best[1]})" if best[0] else "0",
            ]
        )
    head = [
        "kind",
        "campaigns",
        "recall",
        "lowest–highest stream",
        "latency, median",
        "missed value",
        "best known way",
    ]
    return "**Kind by kind**\n\n" + _table(head, rows)


_FIGURES: dict[str, Callable[[Measures], float | None]] = {
    "recall": lambda found: found.recall,
    "strict precision": lambda found: found.strict_precision,
    "false pages per shop-week": lambda found: found.false_per_shop_week,
    "all pages per shop-week": lambda found: found.pages_per_shop_week,
    "missed value": lambda found: found.missed_value,
    "latency, median": lambda found: found.latency_median,
    "latency, p90": lambda found: found.latency_p90,
}


def spread_table(ours: Sequence[Judged]) -> str:
    """Every figure pooled, and how it differs from stream to stream."""
    rows = []
    for name, figure in _FIGURES.items():
        each = sorted(value for one in ours if (value := figure(measure([one]))) is not None)
        middle = each[len(each) // 2] if each else None
        ends = f"{_figure(each[0])}–{_figure(each[-1])}" if each else "–"
        rows.append([name, _figure(figure(measure(ours))), ends, _figure(middle)])
    head = ["", "pooled", "lowest–highest stream", "middle stream"]
    return "**From stream to stream**\n\n" + _table(head, rows)


def scenes_table(scenes: Mapping[str, Sequence[Judged]]) -> str:
    """The detector, configured alike, on streams of other kinds."""
    rows = []
    for name, judged in scenes.items():
        found = measure(judged)
        rates = sorted(measure([one]).false_per_shop_week or 0.0 for one in judged)
        worst = min(found.recall_by_kind.items(), key=lambda item: item[1], default=None)
        rows.append(
            [
                name,
                str(len(judged)),
                f"{found.shop_weeks:,.0f}",
                _figure(found.false_per_shop_week),
                f"{_figure(rates[0])}–{_figure(rates[-1])}",
                _figure(found.pages_per_shop_week),
                _figure(found.recall),
                f"{_figure(worst[1])} (`{worst[0]}`)" if worst else "–",
                _figure(found.strict_precision),
                _latency(found),
                _figure(found.missed_value),
            ]
        )
    head = [
        "streams",
        "number",
        "shop-weeks",
        "false per shop-week",
        "lowest–highest stream",
        "all pages per shop-week",
        "recall",
        "worst kind",
        "strict precision",
        "latency",
        "missed value",
    ]
    return "**Other streams, the same configuration**\n\n" + _table(head, rows)


def ablation_table(title: str, ablated: Mapping[str, Sequence[Judged]]) -> str:
    """What each thing is worth: the detector with one taken away at a time."""
    rows = []
    whole = measure(ablated.get("everything", ()))
    for name, judged in ablated.items():
        found = measure(judged)
        lost = {
            kind: share - whole.recall_by_kind[kind] for kind, share in found.recall_by_kind.items()
        }
        worst = min(lost.items(), key=lambda item: item[1], default=("", 0.0))
        rows.append(
            [
                name,
                _figure(found.recall),
                _figure(found.strict_precision),
                _figure(found.false_per_shop_week),
                _latency(found),
                _figure(found.missed_value),
                f"`{worst[0]}` {worst[1]:+.2f}" if worst[1] < 0 else "–",
            ]
        )
    head = [
        "",
        "recall",
        "strict precision",
        "false per shop-week",
        "latency",
        "missed value",
        "kind that loses most recall",
    ]
    number = len(ablated.get("everything", ()))
    return f"**{title}** ({number} streams)\n\n" + _table(head, rows)
