"""`tillwatch backtest`: the same pipeline over a file, without services."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from anomaly.detector import DetectorConfig
from consumer.duplicates import Duplicates
from consumer.pipeline import Pipeline, batches
from consumer.record_file import open_records
from consumer.scorer import Scorer
from consumer.settings import Settings
from events.batch import Batch
from events.page import Page
from events.parse import Parser
from events.pseudonym import Pseudonymizer
from sinks.page_json import page_json


def _default(name: str) -> int:
    """What a worker runs with where nobody says otherwise."""
    value: int = Settings.model_fields[name].default
    return value


class Totals(msgspec.Struct):
    """What a backtest counts, for its summary line."""

    records: int = 0
    transactions: int = 0
    refunds: int = 0
    rejections: int = 0
    repeated: int = 0
    pages: int = 0


def _count(totals: Totals, batch: Batch, repeated: int) -> None:
    totals.records += batch.records
    totals.transactions += len(batch.scored)
    totals.refunds += sum(1 for scored in batch.scored if scored.transaction.is_refund)
    totals.rejections += len(batch.rejections)
    totals.repeated += repeated
    totals.pages += sum(1 for page in batch.pages if page.status == "open")


@click.command()
@click.option(
    "--input",
    "input_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="Wire records, one a line; .gz is unpacked.",
)
@click.option(
    "--pages",
    "pages_path",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="Where the pages go, one JSON line each, as they stood last.",
)
@click.option(
    "--scores",
    "scores_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the score of every refund goes, one JSON line each.",
)
@click.option(
    "--pages-per-shop-week",
    type=float,
    default=0.1,
    show_default=True,
    help="False pages that are accepted per shop and week.",
)
def backtest(
    input_path: Path, pages_path: Path, scores_path: Path | None, pages_per_shop_week: float
) -> None:
    """Run a file through the pipeline, and write the pages it would have sent."""
    totals = Totals()
    latest: dict[str, Page] = {}
    with ExitStack() as stack:
        file = stack.enter_context(open_records(input_path))
        scores = stack.enter_context(scores_path.open("wb")) if scores_path else None
        bar = stack.enter_context(
            click.progressbar(
                length=input_path.stat().st_size, label="Backtest", file=sys.stderr, width=30
            )
        )
        for cut in batches(_pipeline(pages_per_shop_week), file.records()):
            _count(totals, cut.batch, cut.repeated)
            latest.update((page.page_id, page) for page in cut.batch.pages)
            if scores is not None:
                scores.writelines(_score_lines(cut.batch))
            bar.update(file.read_bytes - bar.pos)
    with pages_path.open("wb") as out:
        out.writelines(page_json(page) + b"\n" for page in latest.values())
    click.echo(msgspec.json.encode(totals).decode())


def _pipeline(pages_per_shop_week: float) -> Pipeline:
    key_groups = _default("key_groups")
    return Pipeline(
        Parser(Pseudonymizer(b"tillwatch backtest, no secret")).parse,
        Scorer(DetectorConfig(key_groups=key_groups, pages_per_shop_week=pages_per_shop_week)),
        Duplicates(_default("duplicates_remembered_min")),
        key_groups=key_groups,
        batch_records_max=_default("batch_records_max"),
        batch_bytes_max=_default("batch_bytes_max"),
    )


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
