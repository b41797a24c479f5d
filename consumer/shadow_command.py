"""`tillwatch shadow`: what a shadow would have paged, and its end."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from botocore.exceptions import BotoCoreError, ClientError

from consumer.lake import LakeError, open_lake
from consumer.lease_table import LeaseTable, Unheld
from consumer.replay_services import ReadOnlyStore, reading_client
from consumer.services import aws_client
from consumer.settings import SHADOW_NAME, Settings, SettingsError, load
from consumer.shadow_end import NO_TABLE, Ending
from consumer.shadow_report import ShadowReport, as_html, as_json, as_text, make_shadow_report
from consumer.shadow_seen import Stand, seen, stands
from consumer.shadow_told import findings_in, pages_in
from consumer.snapshot import SnapshotError
from consumer.times import TimeType
from events.instant import DAY, SECOND, Instant
from sinks.deadline import Deadline
from sinks.directory import DirectoryObjectStore
from sinks.dynamodb_fence import DynamoFence
from sinks.fence import FencedOff
from sinks.object_store import ObjectStore
from sinks.s3 import S3ObjectStore
from sinks.shadow_notes import Notes, folder_of
from sinks.sink import Stopped

SHADOW_SECONDS_MAX = 600.0
"""How long either command may take."""

_OUT = click.Path(dir_okay=False, path_type=Path)


def _named(_: click.Context, __: click.Parameter, name: str) -> str:
    if not re.fullmatch(SHADOW_NAME, name):
        raise click.BadParameter("small letters, digits and hyphens, 32 at most")
    return name


_name = click.option(
    "--name", required=True, callback=_named, help="The shadow's, as in TILLWATCH_SHADOW."
)


@click.group()
def shadow() -> None:
    """A candidate of the detector that scores beside the worker and pages nobody."""


@shadow.command()
@_name
@click.option("--from", "begin", type=TimeType(), help="Pages opened from then on.")
@click.option("--to", "end", type=TimeType(), help="Pages opened up to then.")
@click.option(
    "--out", type=_OUT, help="A file for it: Markdown if its name ends in .md, HTML otherwise."
)
@click.option("--json", "json_line", is_flag=True, help="One JSON line for machines.")
def report(
    *, name: str, begin: Instant | None, end: Instant | None, out: Path | None, json_line: bool
) -> None:
    """Tell which pages the shadow gains and loses, by shop and reason, with money.

    With the worker's settings. The stretch is what both have seen, in event time; nothing is
    written anywhere but to --out.
    """
    with _words(name):
        made = _report(load(), name, begin, end)
    if out is not None:
        out.write_text(as_text(made) if out.suffix == ".md" else as_html(made), encoding="utf-8")
    click.echo(as_json(made).decode() if json_line else as_text(made), nl=json_line)


@shadow.command("end")
@_name
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Do not look whether a worker holds a shard.")
def end_(*, name: str, yes: bool, force: bool) -> None:
    """Take away everything that the shadow left: its pages, snapshots, leases and fences.

    Stop its workers first: a lease that still has a name is watched for 45 s. Nothing of the live
    worker is touched.
    """
    with _words(name):
        settings = load()
        if not yes:
            click.confirm(f"Take away everything of the shadow {name}?", abort=True, err=True)
        stop = Deadline(SHADOW_SECONDS_MAX)
        client, application = aws_client(settings, "dynamodb"), settings.shadow_of(name)
        store = S3ObjectStore(aws_client(settings, "s3"), settings.bucket, stop)
        table = LeaseTable(client, application, stop)

        def told(words: str) -> None:
            click.echo(words, err=True)

        Ending(
            folder_of(settings.application, name),
            application,
            client,
            table,
            None if force else Unheld(table.row, stop, others=table.rows, told=told),
            DynamoFence(client, settings.ledger_table, application, stop),
            store,
            _snapshot_store(settings, store),
        ).run(lambda words: click.echo(f"gone: {words}"))


def _report(
    settings: Settings, name: str, begin: Instant | None, end: Instant | None
) -> ShadowReport:
    stop = Deadline(SHADOW_SECONDS_MAX)
    store = ReadOnlyStore(S3ObjectStore(reading_client(settings, "s3"), settings.bucket, stop))
    folder = folder_of(settings.application, name)
    noted = Notes(store, folder).read()
    beside = _stands(settings, settings.shadow_of(name), store, stop)
    both = seen(
        _stands(settings, settings.application, store, stop),
        beside,
        noted.begun,
        noted.holes,
        int(settings.lateness_seconds * SECOND),
        settings.retention_days * DAY,
    )
    live, told = (
        open_lake(
            f"s3://{settings.bucket}/{path}".rstrip("/"),
            application=settings.application,
            zone=settings.business_time_zone,
            region=settings.region,
            endpoint=settings.aws_endpoint,
        )
        for path in ("", folder)
    )
    return make_shadow_report(
        name,
        both.within(begin, end),
        pages_in(live),
        pages_in(told),
        findings_in(live),
        noted,
        {stand.model_version for stand in beside.values()},
    )


def _stands(
    settings: Settings, application: str, store: ObjectStore, stop: Deadline
) -> dict[str, Stand]:
    client = reading_client(settings, "dynamodb")
    table = LeaseTable(client, application, stop)
    fence = DynamoFence(client, settings.ledger_table, application, stop)
    return stands(table, fence, ReadOnlyStore(_snapshot_store(settings, store)))


def _snapshot_store(settings: Settings, store: ObjectStore) -> ObjectStore:
    folder = settings.snapshot_directory
    return DirectoryObjectStore(folder) if folder else store


@contextmanager
def _words(name: str) -> Iterator[None]:
    """A service's trouble in words."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] == NO_TABLE:
            raise click.ClickException(
                f"no worker has run as the shadow {name} of this application: {error}"
            ) from error
        raise click.ClickException(str(error)) from error
    except (SettingsError, LakeError, SnapshotError, BotoCoreError, FencedOff) as error:
        raise click.ClickException(str(error)) from error
    except Stopped as error:
        raise click.ClickException(f"gave up after {SHADOW_SECONDS_MAX:g} s: {error}") from error
