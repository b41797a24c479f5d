"""`tillwatch sql`: history, asked in Athena's dialect and answered here."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from consumer.lake_options import in_the_lake

if TYPE_CHECKING:
    from consumer.lake import Answer, Lake
    from sinks.catalogue import Table, View

_SHOWN_MAX = 100
_WIDTH_MAX = 60
_BROKEN_PIPE = 141


@click.command()
@click.argument("query", required=False)
@click.option("--json", "form", flag_value="json", help="One JSON object a line, every row.")
@click.option("--csv", "form", flag_value="csv", help="CSV with a header, every row.")
@click.option(
    "--rows-max",
    type=click.IntRange(1),
    default=_SHOWN_MAX,
    show_default=True,
    help="Rows of the table for people.",
)
@in_the_lake
def sql(*, lake: Lake, query: str | None, form: str | None, rows_max: int) -> None:
    """Answer QUERY, in Athena's dialect, from the Parquet files; "-" reads it from stdin.

    Without QUERY it lists the tables and views. Nothing is written, whatever is asked.
    """
    from consumer.dialect import NotReadable
    from consumer.lake import LakeError

    if query is None:
        _list()
        return
    try:
        answer = lake.ask(sys.stdin.read() if query == "-" else query)
        if form == "json":
            _json(answer)
        elif form == "csv":
            _csv(answer)
        else:
            _table(answer, rows_max)
    except (NotReadable, LakeError) as error:
        raise click.ClickException(str(error)) from None
    except BrokenPipeError:
        sys.exit(_BROKEN_PIPE)


def _list() -> None:
    from sinks.catalogue import tables
    from sinks.catalogue_views import views

    items: list[Table | View] = [*tables("<application>"), *views()]
    for item in items:
        click.echo(f"{item.name}: {item.meaning}")
        click.echo(f"  {', '.join(column.name for column in item.columns)}")


def _json(answer: Answer) -> None:
    for row in answer.rows():
        line = dict(zip(answer.names, row, strict=True))
        click.echo(json.dumps(line, default=_plain, ensure_ascii=False))


def _csv(answer: Answer) -> None:
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(answer.names)
    for row in answer.rows():
        out.writerow([_text(value) for value in row])


def _table(answer: Answer, rows_max: int) -> None:
    """Columns under each other, what is too wide cut, and control signs shown as what they are."""
    rows = answer.rows()
    shown = [[_cut(value) for value in row] for row in islice(rows, rows_max)]
    more = next(rows, None) is not None
    widths = [max(map(len, column)) for column in zip(answer.names, *shown, strict=True)]
    figures = [kind.startswith(("DECIMAL", "DOUBLE", "BIGINT", "INT")) for kind in answer.kinds]
    click.echo(
        "  ".join(
            name.ljust(width) for name, width in zip(answer.names, widths, strict=True)
        ).rstrip()
    )
    click.echo("  ".join("-" * width for width in widths))
    for row in shown:
        cells = [
            cell.rjust(width) if figure else cell.ljust(width)
            for cell, width, figure in zip(row, widths, figures, strict=True)
        ]
        click.echo("  ".join(cells).rstrip())
    told = f"{len(shown)} rows" if len(shown) != 1 else "1 row"
    click.echo(f"({'the first ' if more else ''}{told})", err=True)


def _plain(value: Any) -> Any:
    """A value that JSON has no form for: amounts as text, so that no digit is lost."""
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _moment(value: datetime) -> str:
    moment = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    return moment.isoformat(" ", "milliseconds")


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (list, dict)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (str, Decimal, int, float)):
        return str(value)
    return str(_plain(value))


def _cut(value: Any) -> str:
    text = "".join(
        sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in _text(value)
    )
    return text if len(text) <= _WIDTH_MAX else text[: _WIDTH_MAX - 1] + "…"
