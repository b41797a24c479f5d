"""`tillwatch rebuild`: makes a shard's state anew where its snapshot is refused."""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from consumer.archive_records import ArchivedRecords
from consumer.candidate import detector_config
from consumer.child import build_pipeline
from consumer.duplicates import Duplicates
from consumer.golden import GoldenScores
from consumer.lease_table import LeaseTable, Unheld
from consumer.lineage import Ancestry, KinesisLineage
from consumer.pipeline import Pipeline
from consumer.rebuild_records import StreamOrArchive
from consumer.rebuild_rows import RebuildError, Standing
from consumer.rebuilding import Made, Places, Rebuild
from consumer.scorer import Scorer
from consumer.search_client import search_client
from consumer.services import aws_client
from consumer.settings import Settings, SettingsError, load
from consumer.shard_records import ShardRecords, Since
from consumer.snapshot import State
from consumer.snapshots import Snapshots
from events.instant import DAY, Instant, from_datetime, to_iso
from sinks.archive_object import ArchiveError
from sinks.deadline import Deadline
from sinks.directory import DirectoryObjectStore
from sinks.dynamodb_fence import DynamoFence
from sinks.fence import FencedOff
from sinks.memory import MemoryObjectStore
from sinks.object_store import ObjectStore
from sinks.s3 import S3ObjectStore
from sinks.sink import Stopped
from sinks.standing import StandingError, StandingTransactions

REBUILD_SECONDS_MAX = 14_400.0
LISTED_SECONDS_MAX = 60.0
"""How long Kinesis may take to list a shard."""
TRIM_HORIZON = "TRIM_HORIZON"


class _Time(click.ParamType[Since]):
    """TRIM_HORIZON, or a time in ISO 8601; without an offset in UTC."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Since:
        if isinstance(value, Since):
            return value
        if value == TRIM_HORIZON:
            return Since()
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is neither {TRIM_HORIZON} nor a time in ISO 8601", param, ctx)
        return Since(time=from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC)))


class _Listed:
    """A Lineage that does not wait for ever for a shard that Kinesis has forgotten."""

    def __init__(self, client: Any, stream: str, stop: threading.Event) -> None:
        self._client = client
        self._stream = stream
        self._stop = stop

    def of(self, shard_id: str) -> Ancestry:
        """The ancestry of `shard_id`; RebuildError where Kinesis does not list it in time."""
        deadline = Deadline(LISTED_SECONDS_MAX, self._stop)
        try:
            return KinesisLineage(self._client, self._stream, deadline).of(shard_id)
        except Stopped as error:
            if self._stop.is_set():
                raise
            raise RebuildError(f"its records are gone: {error}") from error


class _NothingStands:
    """Standing documents of who indexes none."""

    def position_of(self, transaction_id: str, occurred_at: Instant) -> None:
        """None: there is none."""


class _Anyhow:
    """A Lease for who was told not to ask."""

    def require(self, shard_id: str) -> None:
        """Nobody is asked; the fence alone keeps others off."""


@click.command()
@click.option("--shard", "shards", multiple=True, metavar="SHARD", help="This shard; repeatable.")
@click.option("--all", "every", is_flag=True, help="Every shard that KCL knows.")
@click.option(
    "--since",
    type=_Time(),
    help="Begin from nothing, at this time or at TRIM_HORIZON, and pass good snapshots over.",
)
@click.option("--dry-run", is_flag=True, help="Read and say what would be made; change nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--force", is_flag=True, help="Do not look whether a worker holds the shard.")
@click.option(
    "--seconds-max",
    type=click.FloatRange(min=1),
    default=REBUILD_SECONDS_MAX,
    show_default=True,
    help="Give up after so long.",
)
def rebuild(
    *,
    shards: tuple[str, ...],
    every: bool,
    since: Since | None,
    dry_run: bool,
    yes: bool,
    force: bool,
    seconds_max: float,
) -> None:
    """Make a shard's state at its checkpoint anew, where its snapshot is refused.

    Stop the worker first. The state is made from the newest snapshot that is still good and the
    records behind it, or from the stream alone. Nothing is indexed and nobody is paged; the worker
    goes on from the checkpoint that it had.
    """
    if bool(shards) == every:
        raise click.UsageError("say which shards: --shard SHARD, or --all")
    deadline = Deadline(seconds_max)
    failed = 0
    with _work(deadline, seconds_max, force=force) as (table, work):
        for shard_id in [row.shard_id for row in table.rows()] if every else shards:
            try:
                _rebuild(work, shard_id, since, dry_run=dry_run, yes=yes)
            except (FencedOff, RebuildError) as error:
                failed += 1
                click.echo(f"{shard_id}: not rebuilt: {error}", err=True)
    if failed:
        raise click.ClickException(f"{failed} of the shards could not be rebuilt")


def _rebuild(
    work: Rebuild, shard_id: str, since: Since | None, *, dry_run: bool, yes: bool
) -> None:
    why = work.refused(shard_id)
    if why is None and since is None:
        click.echo(f"{shard_id}: its snapshot can be used, or it has none to use; nothing to do")
        return
    click.echo(f"{shard_id}: {why or 'its snapshot can be used, but --since was given'}")
    if not dry_run and not yes:
        click.confirm(f"Make the state of {shard_id} anew?", abort=True, err=True)
    began = time.monotonic()
    with _bar(shard_id) as progress:
        made = work.run(shard_id, since=since, dry_run=dry_run, progress=progress)
    _tell(made, time.monotonic() - began, dry_run=dry_run)


def _tell(made: Made, seconds: float, *, dry_run: bool) -> None:
    read, shard_id = made.read, made.shard_id
    rate = read.records / seconds if seconds else 0.0
    click.echo(f"{shard_id}: began from {made.start}")
    first = f", the first of {to_iso(read.first_at)}" if read.first_at is not None else ""
    click.echo(f"{shard_id}: {read.records:,} records read{first}; {rate:,.0f} a second")
    if read.lacking:
        click.echo(f"{shard_id}: not brought back: {read.lacking}")
    if made.lost_rows:
        click.echo(f"{shard_id}: {made.lost_rows:,} rows lay nowhere any more and are made anew")
    if dry_run:
        click.echo(f"{shard_id}: nothing was changed")
        return
    click.echo(
        f"{shard_id}: the snapshot of {made.checkpoint} is made: {made.shops:,} shops, "
        f"{made.open_hours} open hours, {made.staged_rows:,} staged rows looked through, "
        f"{made.pages} pages to tell of, {made.snapshot_bytes:,} bytes. Start the worker again."
    )


@contextmanager
def _bar(shard_id: str) -> Iterator[Callable[[int], None]]:
    """A bar on standard error where a person looks on: time of the stream, up to its tip."""
    with click.progressbar(
        length=1, label=f"Reading {shard_id}", file=sys.stderr, hidden=not sys.stderr.isatty()
    ) as bar:

        def progress(left: int) -> None:
            bar.length = max(bar.length or 1, left)
            bar.update(bar.length - left - bar.pos)

        yield progress


@contextmanager
def _work(
    deadline: Deadline, seconds_max: float, *, force: bool
) -> Iterator[tuple[LeaseTable, Rebuild]]:
    """The parts of the command; a service's trouble is told in words."""
    try:
        settings = load()
        search = search_client(settings)
        try:
            table = LeaseTable(aws_client(settings, "dynamodb"), settings.own_application, deadline)
            standing = StandingTransactions(search, deadline)
            yield table, _parts(settings, deadline, table, standing, force=force)
        finally:
            search.close()
    except (SettingsError, StandingError, ArchiveError, ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from error
    except Stopped as error:
        raise click.ClickException(f"gave up after {seconds_max:g} s: {error}") from error


def _parts(
    settings: Settings,
    stop: threading.Event,
    table: LeaseTable,
    standing: Standing,
    *,
    force: bool,
) -> Rebuild:
    store = S3ObjectStore(aws_client(settings, "s3"), settings.bucket, stop)
    folder = settings.snapshot_directory
    snapshot_store: ObjectStore = DirectoryObjectStore(folder) if folder else store
    kinesis = aws_client(settings, "kinesis")
    fence = DynamoFence(
        aws_client(settings, "dynamodb"), settings.ledger_table, settings.own_application, stop
    )
    config = detector_config(settings)
    silent = settings.model_copy(update={"archive_key": None})  # a rebuild keeps no records

    def snapshots(shard_id: str) -> Snapshots:
        groups = settings.key_groups
        golden = GoldenScores(groups)
        return Snapshots(snapshot_store, fence, settings.own_application, shard_id, groups, golden)

    def pipeline(state: State) -> Pipeline:
        duplicates = Duplicates(settings.duplicates_remembered_min)
        duplicates.restore(state.duplicates)
        scorer = Scorer(config, state.shops, state.groups)
        return build_pipeline(silent, scorer, duplicates, watermark=state.hours.watermark)

    unheld = Unheld(
        table.row,
        stop,
        others=table.rows,
        told=lambda words: click.echo(words, err=True),
    )
    if settings.shadow is not None:  # it has neither documents nor rows to be brought back
        store_of_rows: ObjectStore = MemoryObjectStore()
        standing = _NothingStands()
    else:
        store_of_rows = store
    keys = settings.archive_keys
    kept = settings.retention_days * DAY
    archive = ArchivedRecords(store, settings.stream, keys, kept=kept) if keys else None
    places = Places(
        row=table.row,
        lease=_Anyhow() if force else unheld,
        fence=fence,
        lineage=_Listed(kinesis, settings.stream, stop),
        records=StreamOrArchive(ShardRecords(kinesis, settings.stream, stop), archive, _now),
        snapshot_store=snapshot_store,
        lake=store_of_rows,
        staging=f"staging/{settings.own_application}/",
        standing=standing,
    )
    return Rebuild(
        places,
        snapshots,
        pipeline,
        config.model_version(),
        settings.key_groups,
        clock=_now,
    )


def _now() -> Instant:
    return time.time_ns() // 1_000
