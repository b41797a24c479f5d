"""`tillwatch backtest`: the same pipeline over a file, without services."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from consumer.backtest_run import Run, default
from consumer.record_file import open_records
from consumer.report_html import as_html
from consumer.report_text import as_markdown, reasons_table
from consumer.shadow import read_config
from consumer.told import money_words, read_told, refunded
from events.batch import Batch
from sinks.page_json import page_json

_IN = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--input", "input_path", type=_IN, required=True, help="Wire records, one a line; .gz or not."
)
@click.option(
    "--pages",
    "pages_path",
    type=_OUT,
    required=True,
    help="Where the pages go, one JSON line each, as they stood last.",
)
@click.option(
    "--scores",
    "scores_path",
    type=_OUT,
    help="Where the score of every refund goes, one JSON line each.",
)
@click.option(
    "--report",
    "report_path",
    type=_OUT,
    help="Where a report for people goes: Markdown if its name ends in .md, HTML otherwise.",
)
@click.option(
    "--shadow",
    "shadow_path",
    type=_IN,
    help="A candidate's configuration, a JSON object of what differs; it scores beside.",
)
@click.option(
    "--against",
    "against_path",
    type=_IN,
    help="Pages that another run wrote of this stream: this run is the candidate beside them.",
)
@click.option(
    "--pages-per-shop-week",
    type=click.FloatRange(0, min_open=True),
    default=0.1,
    show_default=True,
    help="False pages that are accepted per shop and week.",
)
def backtest(
    *,
    input_path: Path,
    pages_path: Path,
    scores_path: Path | None,
    report_path: Path | None,
    shadow_path: Path | None,
    against_path: Path | None,
    pages_per_shop_week: float,
) -> None:
    """Run a file through the pipeline, and write the pages it would have sent."""
    if shadow_path and against_path:
        raise click.UsageError("--shadow and --against are two ways to compare: choose one")
    live = DetectorConfig(key_groups=default("key_groups"), pages_per_shop_week=pages_per_shop_week)
    candidate = read_config(shadow_path, live) if shadow_path else None
    against = read_told(against_path) if against_path else None
    run = Run(live, candidate)
    with ExitStack() as stack:
        file = stack.enter_context(open_records(input_path))
        scores = stack.enter_context(scores_path.open("wb")) if scores_path else None
        bar = stack.enter_context(
            click.progressbar(
                length=input_path.stat().st_size, label="Backtest", file=sys.stderr, width=30
            )
        )
        for cut in run.cuts(file.records()):
            if scores is not None:
                scores.writelines(_score_lines(cut.batch))
            bar.update(file.read_bytes - bar.pos)
    with pages_path.open("wb") as out:
        out.writelines(page_json(page) + b"\n" for page in run.pages.values())
    report = run.report(f"Refunds of {input_path.name}", against)
    click.echo(f"\n{reasons_table(report)}\n", err=True)
    if report.comparison is not None:
        both = report.comparison
        click.echo(
            f"The candidate keeps {len(both.kept)} pages, gains {len(both.gained)} "
            f"({money_words(refunded(both.gained))}), loses {len(both.lost)} "
            f"({money_words(refunded(both.lost))}).",
            err=True,
        )
    if report_path is not None:
        text = as_markdown(report) if report_path.suffix == ".md" else as_html(report)
        report_path.write_text(text, encoding="utf-8")
    click.echo(msgspec.json.encode(run.totals).decode())


def _score_lines(batch: Batch) -> Iterator[bytes]:
    for scored in batch.scored:
        if scored.score is not None:
            line = {
                "transaction_id": scored.transaction.transaction_id,
                "shop_id": scored.transaction.shop_id,
                "position": scored.position,
                "score": scored.score,
            }
            yield msgspec.json.encode(line) + b"\n"
