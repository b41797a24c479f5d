"""`tillwatch opensearch`: templates, indices and policies as this program declares them."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from consumer.opensearch_settings import OpenSearchSettings
    from sinks.cluster_changes import Change

CODEC = "best_compression"
"""Three tenths less disk for a tenth to a quarter more of the node's time (docs/benchmarks.md)."""

WOULD_CHANGE = 3
"""Exit status of a dry run that found something to change."""


@click.group()
def opensearch() -> None:
    """OpenSearch as production runs it."""


@opensearch.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change; status 3 if anything.")
def apply(*, dry_run: bool) -> None:
    """Make index templates, aliases and retention policies as declared; twice is as once.

    Indices that are there get the fields, aliases and settings that they lack. Where the cluster
    has no Index State Management, `tillwatch retention` deletes old indices instead. Exit status:
    0 all is as declared; 1 something cannot be, or OpenSearch does not answer; 3, with --dry-run,
    something would change.
    """
    from consumer.opensearch_settings import OpenSearchSettings
    from consumer.search_client import search_client
    from consumer.settings import SettingsError, load
    from sinks import cluster_changes
    from sinks.opensearch_client import NoCredentials, Refusal
    from sinks.retry import Transient

    try:
        settings = load(OpenSearchSettings)
        with closing(search_client(settings)) as client:
            found = _found(client, settings)
            for change in found:
                for line in change.lines():
                    click.echo(line)
            if not dry_run:
                cluster_changes.apply(client, found)
    except (SettingsError, NoCredentials, Refusal, Transient) as error:
        raise click.ClickException(str(error)) from None
    verbs = [change.verb for change in found]
    to_change = len(verbs) - verbs.count("same") - verbs.count("cannot")
    told = "would be changed" if dry_run else "changed"
    click.echo(f"{to_change} of {len(verbs)} {told}, {verbs.count('cannot')} cannot be", err=True)
    if "cannot" in verbs:
        sys.exit(1)
    if dry_run and to_change:
        sys.exit(WOULD_CHANGE)


def _found(client: Any, settings: OpenSearchSettings) -> list[Change]:
    """Every change, templates first: an index that is made meanwhile is made by the new ones."""
    from consumer.opensearch_settings import SERVERLESS
    from sinks import ism_changes, server_version, templates
    from sinks.cluster_changes import index_changes, template_changes

    serverless = settings.opensearch_signing == SERVERLESS
    if not serverless:
        server_version.check(client)
    kept = templates.Kept(
        shards=settings.opensearch_shards,
        replicas=settings.opensearch_replicas,
        refresh_seconds=settings.opensearch_refresh_seconds,
        codec=CODEC,
    )
    wanted = templates.templates(None if serverless else kept)
    found = [*template_changes(client, wanted), *index_changes(client, wanted)]
    if serverless:
        click.echo(f"a collection has no policies: {_BY_HAND}", err=True)
        return found
    try:
        return [*found, *ism_changes.changes(client, settings.retention_days)]
    except ism_changes.NoPlugin:
        click.echo(f"this cluster has no Index State Management: {_BY_HAND}", err=True)
        return found


_BY_HAND = "run tillwatch retention once a day, which deletes old indices"
