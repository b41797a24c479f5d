"""`tillwatch verdicts`: precision by reason, from what people said of pages."""

from typing import Any

import click
import msgspec

from consumer import precision
from consumer.found_page import opensearch
from consumer.precision import Precision
from consumer.times import TimeType
from events.instant import Instant

_READ = {"ignore_unavailable": "true", "allow_no_indices": "true"}
_HEAD = ("reason", "pages", "judged", "fraud", "ok", "policy", "precision", "9 times in 10")


@click.command()
@click.option("--shop", help="Only this shop's.")
@click.option("--since", type=TimeType(), help="Verdicts given, and pages opened, from then on.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a reason.")
def verdicts(*, shop: str | None, since: Instant | None, as_json: bool) -> None:
    """Tell how many of the pages that people judged were fraud, by reason.

    The last verdict on each page counts, as OpenSearch has it (TILLWATCH_OPENSEARCH_URL). A page
    that nobody judged is in no share; the interval says how far the share may be off for the few
    that were.
    """
    with opensearch("verdicts are read from there") as client:
        told = precision.by_reason(
            _ask(client, precision.VERDICTS, precision.of_verdicts(since, shop)),
            _ask(client, precision.PAGES, precision.of_pages(since, shop)),
        )
    if as_json:
        for one in told:
            click.echo(msgspec.json.encode(one))
        return
    rows = [_row(one) for one in (*told, precision.together(told))]
    widths = [max(map(len, column)) for column in zip(_HEAD, *rows, strict=True)]
    for row in (_HEAD, *rows):
        first, *rest = (cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join((first.strip().ljust(widths[0]), *rest)))


def _row(one: Precision) -> tuple[str, ...]:
    counts = (one.pages, one.judged, one.fraud, one.ok, one.policy)
    if one.precision is None or one.low is None or one.high is None:
        return (one.reason, *map(str, counts), "-", "-")
    between = f"{one.low:.0%} to {one.high:.0%}"
    return (one.reason, *map(str, counts), f"{one.precision:.0%}", between)


def _ask(client: Any, index: str, body: precision.Json) -> precision.Json:
    answer: precision.Json = client.search(index=index, body=body, params=_READ)
    return answer
