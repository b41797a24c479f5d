"""`tillwatch catalogue`: what Athena knows of the lake, made by code and shown before it is."""

import click

from consumer.lake_options import settings

DATABASE = "tillwatch"


@click.group()
def catalogue() -> None:
    """The Glue catalogue: tables with projected partitions, and views."""


@catalogue.command()
@click.option("--bucket", envvar="TILLWATCH_BUCKET", required=True, help="S3 bucket of the lake.")
@click.option("--database", default=DATABASE, show_default=True, help="Glue database.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def apply(
    *,
    bucket: str,
    database: str,
    dry_run: bool,
    application: str,
    zone: str,
    region: str,
    endpoint: str | None,
) -> None:
    """Make the database, tables and views as this program declares them; twice is as once.

    Tables that it does not declare are left alone.
    """
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    from sinks import glue

    try:
        wanted = glue.definitions(database, bucket, application, zone)
        client = boto3.client("glue", region_name=region, endpoint_url=endpoint)
        found = glue.changes(client, database, wanted)
        for change in found:
            for line in change.lines():
                click.echo(line)
        if not dry_run:
            glue.apply(client, database, found)
    except (ValueError, BotoCoreError, ClientError) as error:
        raise click.ClickException(str(error)) from None
    count = f"{len(found)} of {len(wanted)} tables and views"
    click.echo(f"{count} {'would change' if dry_run else 'changed'} in {database}", err=True)


for _option in reversed(settings()):
    apply = _option(apply)


@catalogue.command()
def page() -> None:
    """Print docs/data-catalogue.md."""
    from sinks import catalogue_page

    click.echo(catalogue_page.page(), nl=False)
