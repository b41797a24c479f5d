"""`tillwatch dashboards`: what OpenSearch Dashboards shows, made by code."""

import os
import sys
from pathlib import Path

import click


@click.group()
def dashboards() -> None:
    """The dashboards of OpenSearch Dashboards: Live, Shop, Operations."""


@dashboards.command()
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write instead of stdout; Dashboards wants its name to end in .ndjson.",
)
def export(*, output: Path | None) -> None:
    """Write the saved objects as a file that Dashboards imports (NDJSON)."""
    from sinks.dashboards.export import export as file_of

    made = file_of()
    if output is None:
        sys.stdout.buffer.write(made)
        return
    try:
        output.write_bytes(made)
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}") from None


@dashboards.command()
@click.option(
    "--url",
    envvar="TILLWATCH_DASHBOARDS_URL",
    help="Where Dashboards is, with its path; TILLWATCH_DASHBOARDS_URL.",
)
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def apply(*, url: str | None, dry_run: bool) -> None:
    """Import the saved objects, over those with the same ids; twice is as once.

    What people changed in these objects is lost; their own objects are left alone. Who asks is said
    as for OpenSearch: TILLWATCH_OPENSEARCH_USER and _PASSWORD, or TILLWATCH_OPENSEARCH_SIGNING.
    """
    from consumer.search_client import search_client_of
    from sinks.dashboards.export import objects
    from sinks.dashboards.importing import Dashboards, DashboardsError, client_url
    from sinks.opensearch_client import NoCredentials

    wanted = objects()
    place = _checked(url)
    try:
        client = search_client_of(os.environ, client_url(place))
    except NoCredentials as error:
        raise click.ClickException(str(error)) from None
    try:
        there = Dashboards(client, place)
        found = there.changes(wanted)
        for change in found:
            click.echo(change.line())
        if found and not dry_run:
            there.import_(wanted)
    except DashboardsError as error:
        raise click.ClickException(str(error)) from None
    finally:
        client.close()
    count = f"{len(found)} of {len(wanted)} saved objects"
    click.echo(f"{count} {'would change' if dry_run else 'changed'}", err=True)


def _checked(url: str | None) -> str:
    from consumer.opensearch_settings import address

    if not url:
        raise click.ClickException(
            "where is Dashboards? Name it with --url, or set TILLWATCH_DASHBOARDS_URL; "
            "`tillwatch dashboards export` makes a file for its own import"
        )
    try:
        return address(url)
    except ValueError as error:
        raise click.ClickException(f"the URL of Dashboards cannot be used: {error}") from None
