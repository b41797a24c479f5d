"""`tillwatch retention`: old indices go, where OpenSearch has no policies that see to it."""

import time
from contextlib import closing
from datetime import UTC, datetime

import click

WOULD_DELETE = 3
"""Exit status of a dry run that found something to delete."""


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would go; status 3 if anything.")
@click.option("--force", is_flag=True, help="Delete although most would go, or clocks differ.")
def retention(*, dry_run: bool, force: bool) -> None:
    """Delete the indices whose last day lies more than TILLWATCH_RETENTION_DAYS back.

    Only names like transactions-2026.01.05, rejections-…, operations-… and pages-2026.01 are looked
    at; verdicts, suppressions and operations have no days and stay. Exit status: 0 done, or nothing
    to do; 1 refused, or OpenSearch does not answer; 3, with --dry-run, something would go.
    """
    from consumer.opensearch_settings import OpenSearchSettings
    from consumer.search_client import search_client
    from consumer.settings import SettingsError, load
    from sinks import retention as kept
    from sinks.opensearch_client import NoCredentials, Refusal
    from sinks.retry import Transient

    now = datetime.fromtimestamp(time.time(), UTC)
    try:
        settings = load(OpenSearchSettings)
        with closing(search_client(settings)) as client:
            names = kept.names(client)
            found = kept.due(names, now.date(), settings.retention_days)
            for index in found.indices if dry_run else ():
                click.echo(f"would delete {index}")
            if found.indices and not force:
                kept.check(client, found, now)
            gone = 0
            for index in () if dry_run else found.indices:
                gone += kept.delete(client, index)
                click.echo(f"deleted {index}")
    except (SettingsError, NoCredentials, Refusal, Transient, kept.NotDeleted) as error:
        raise click.ClickException(str(error)) from None
    count = f"{len(found.indices)} of {found.known} indices"
    told = f"{count} would go" if dry_run else f"{gone} of {found.known} indices deleted"
    click.echo(f"{told}; {settings.retention_days} days are kept", err=True)
    if dry_run and found.indices:
        raise SystemExit(WOULD_DELETE)
