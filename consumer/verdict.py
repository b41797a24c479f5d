"""`tillwatch verdict`: what a person says of a page, put onto the stream."""

import time
from typing import get_args

import click

from consumer.found_page import look_up
from consumer.giver import give_by_command
from events.verdict import ID_MAX, NOTE_MAX, Finding, Verdict

FINDINGS: tuple[Finding, ...] = get_args(Finding)


@click.command()
@click.argument("page_id")
@click.argument("finding", type=click.Choice(FINDINGS))
@click.option("--note", help=f"For people, {NOTE_MAX} characters at most.")
@click.option("--by", help=f"Who says so, {ID_MAX} characters at most.")
@click.option("--shop", help="The page's shop: with --reason, OpenSearch is not asked.")
@click.option("--reason", help="The page's reason.")
@click.option("--print", "print_only", is_flag=True, help="Print the record; put it nowhere.")
def verdict(
    *,
    page_id: str,
    finding: Finding,
    note: str | None,
    by: str | None,
    shop: str | None,
    reason: str | None,
    print_only: bool,
) -> None:
    """Say of the page PAGE_ID that it was fraud, that it was nothing (ok), or that such refunds are
    how things are done now (policy).

    The verdict goes onto the stream (TILLWATCH_STREAM), so that it is replayed with it. "ok" and
    "policy" make that shop's further pages for the same reason rarer, "fraud" makes them likelier,
    within bounds; the last verdict on a page counts.
    """  # noqa: D205 -- click shows the first sentence whole
    if (shop is None) != (reason is None):
        raise click.UsageError("--shop and --reason go together")
    if shop is None or reason is None:
        page = look_up(page_id, "name the page's --shop and --reason instead")
        shop, reason = page.shop_id, page.reason
    said = Verdict(page_id, shop, reason, finding, time.time_ns() // 1_000, by, note)
    if not give_by_command(said, print_only=print_only):
        return
    click.echo(f"{page_id} ({reason}, {shop}): {finding}", err=True)
