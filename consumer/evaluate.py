"""`tillwatch evaluate`: a backtest's pages held against labels."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click
import msgspec

from consumer.evaluation import (
    WARM_UP_DAYS,
    Arrivals,
    Label,
    Measures,
    PageFacts,
    judge,
    measure,
    of_labels,
)
from consumer.record_file import open_records
from events.instant import DAY, from_datetime
from events.parse import Parser
from events.pseudonym import Pseudonymizer
from events.transaction import Transaction


class _PageLine(msgspec.Struct):
    """What is read of a line that `backtest --pages` wrote."""

    page_id: str
    shop_id: str
    opened_at: datetime
    reason: str
    after_transaction_id: str
    evidence: tuple[str, ...]


def read_pages(path: Path) -> Iterator[PageFacts]:
    """The pages in a file of `backtest`.

    Raises:
        click.ClickException: a line is no page.
    """
    for line in _lines(path, _PageLine):
        yield PageFacts(
            line.page_id,
            line.shop_id,
            from_datetime(line.opened_at),
            line.reason,
            line.after_transaction_id,
            line.evidence,
        )


def read_arrivals(path: Path) -> Arrivals:
    """What arrived in a file of records, in order; whatever is no transaction is passed over."""
    arrivals = Arrivals()
    parse = Parser(Pseudonymizer(b"tillwatch evaluate, no secret")).parse
    with open_records(path) as file:
        for place, record in enumerate(file.records()):
            parsed = parse(record)
            if isinstance(parsed, Transaction):
                arrivals.see(place, parsed)
    return arrivals


_T = TypeVar("_T")


def _lines(path: Path, kind: type[_T]) -> Iterator[_T]:
    decode = msgspec.json.Decoder(kind).decode
    with open_records(path) as file:
        for number, record in enumerate(file.records(), 1):
            try:
                yield decode(record.data)
            except msgspec.DecodeError as error:
                raise click.ClickException(f"{path}, line {number}: {error}") from error


_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option(
    "--input",
    "input_path",
    type=_FILE,
    help="The stream; .gz or not. Without it there is no money and no figure per shop-week.",
)
@click.option("--pages", "pages_path", type=_FILE, required=True, help="What backtest wrote of it.")
@click.option(
    "--labels", "labels_path", type=_FILE, required=True, help="What samples wrote of it."
)
@click.option(
    "--warm-up-days",
    type=click.FloatRange(0),
    default=WARM_UP_DAYS,
    show_default=True,
    help="Days from the stream's first midnight on that are not judged.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of a table.")
def evaluate(
    *,
    input_path: Path | None,
    pages_path: Path,
    labels_path: Path,
    warm_up_days: float,
    as_json: bool,
) -> None:
    """Say how good the pages of a backtest are, where it is known what was fraud.

    Without the stream, the times of labels and pages stand for their places in it, and judging
    begins with the day of the first fraudulent refund.
    """
    pages, labels = list(read_pages(pages_path)), list(_lines(labels_path, Label))
    warm_up = round(warm_up_days * DAY)
    if input_path is None:
        arrivals, warm_up = of_labels(labels), 0
        if labels and not arrivals.refunds:
            raise click.ClickException(f"{labels_path} says no times: name the stream with --input")
    else:
        arrivals = read_arrivals(input_path)
        for page in pages:
            if page.after_transaction_id not in arrivals.refunds:
                raise click.ClickException(
                    f"{pages_path} is not of {input_path}: no refund {page.after_transaction_id}"
                )
    found = measure([judge(pages, labels, arrivals, warm_up=warm_up)])
    click.echo(msgspec.json.encode(found).decode() if as_json else as_text(found), nl=as_json)


def as_text(found: Measures) -> str:
    """The measures as lines of a name and a figure."""
    rows = [
        ("campaigns found", f"{found.found} of {found.campaigns}"),
        ("recall", _share(found.recall)),
        *((f"  {kind}", _share(share)) for kind, share in found.recall_by_kind.items()),
        ("strict precision", _share(found.strict_precision)),
        ("false pages per shop-week", _share(found.false_per_shop_week)),
        *((f"  {reason}", str(count)) for reason, count in found.false_by_reason.items()),
        ("all pages per shop-week", _share(found.pages_per_shop_week)),
        ("pages", f"{found.hits} hits, {found.duplicates} duplicates, {found.false_pages} false"),
        (
            "refunds until the first page",
            f"median {_count(found.latency_median)}, p90 {_count(found.latency_p90)}",
        ),
        ("missed value", _share(found.missed_value)),
        (
            "money after the first page",
            f"{found.saved / 100:,.2f} of {found.stolen / 100:,.2f}",
        ),
        ("shop-weeks judged", f"{found.shop_weeks:.1f}"),
    ]
    return "".join(f"{name:<30}{figure}\n" for name, figure in rows)


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _count(value: float | None) -> str:
    return "-" if value is None else f"{value:g}"
