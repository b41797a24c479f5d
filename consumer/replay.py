"""`tillwatch replay`: reads a stretch of the stream again, into a folder, and touches nothing."""

import threading
from pathlib import Path

import click
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anomaly.state import StateError
from consumer.replay_reading import WARM_UP
from consumer.replay_scratch import Counted, Scratch
from consumer.replay_services import ReplayServices
from consumer.replaying import Replayed, Stretch
from consumer.settings import SettingsError, load
from consumer.times import SpanType, TimeType
from events.instant import Instant, to_iso
from events.key_group import hash_key
from sinks.archive_object import ArchiveError
from sinks.deadline import Deadline
from sinks.sink import Stopped

REPLAY_SECONDS_MAX = 14_400.0
SOURCES = ("auto", "archive", "stream")


class Told(msgspec.Struct):
    """The summary: what standard output and `replay.json` say."""

    begin: str
    end: str
    exact: bool
    model_version: str
    counted: Counted
    shards: list[Replayed]


@click.command()
@click.option("--from", "begin", type=TimeType(), required=True, help="Arrived at or behind it.")
@click.option("--to", "end", type=TimeType(), required=True, help="Arrived ahead of it.")
@click.option("--shop", help="Write what is of this shop; the shard is taken whole.")
@click.option(
    "--source",
    type=click.Choice(SOURCES),
    default="auto",
    show_default=True,
    help="Where records come from; auto is the archive, and the stream where that has none.",
)
@click.option("--application", help="Whose snapshots to go on from; as the settings say.")
@click.option(
    "--warm-up",
    type=SpanType(),
    default=WARM_UP,
    show_default="1d",
    help="How far back to begin where there is no snapshot.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for what comes out; empty, or not there yet.",
)
@click.option(
    "--seconds-max",
    type=click.FloatRange(min=1),
    default=REPLAY_SECONDS_MAX,
    show_default=True,
    help="Give up after so long.",
)
def replay(
    *,
    begin: Instant,
    end: Instant,
    shop: str | None,
    source: str,
    application: str | None,
    warm_up: Instant,
    out: Path,
    seconds_max: float,
) -> None:
    """Take a stretch of the stream again, and write its scores, pages and rows into a folder.

    It goes on from the newest snapshot ahead of the stretch: then scores are those of then, bit by
    bit. Production is read and never written to, and nobody is paged.
    """
    if begin >= end:
        raise click.UsageError("--from must be ahead of --to")
    try:
        settings = load()
        if application is not None:
            settings = settings.model_copy(update={"application": application})
        if source == "archive" and settings.archive_key is None:
            raise click.ClickException("there is no archive: TILLWATCH_ARCHIVE_KEY is not set")
        services = ReplayServices(
            settings,
            Deadline(seconds_max, threading.Event()),
            archive=source != "stream",
            stream=source != "archive",
        )
        with Scratch(out, shop) as scratch:
            told = _run(services, scratch, Stretch(begin, end), shop, warm_up)
        (out / "replay.json").write_bytes(msgspec.json.encode(told) + b"\n")
    except FileExistsError as error:
        raise click.ClickException(str(error)) from error
    except (SettingsError, ArchiveError, StateError, ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from error
    except Stopped as error:
        raise click.ClickException(f"gave up after {seconds_max:g} s: {error}") from error
    click.echo(msgspec.json.encode(told).decode())


def _run(
    services: ReplayServices,
    scratch: Scratch,
    stretch: Stretch,
    shop: str | None,
    warm_up: Instant,
) -> Told:
    shards = services.shards(stretch.begin, stretch.end)
    if shop is not None:
        shards = [shard_id for shard_id in shards if hash_key(shop) in services.of(shard_id).own]
    done = []
    for shard_id in shards:
        replaying = services.replaying(shard_id, warm_up)
        scratch.shard(shard_id, replaying.cuts(stretch))
        _tell(replaying.done)
        done.append(replaying.done)
    exact = all(one.exact for one in done)
    return Told(
        to_iso(stretch.begin),
        to_iso(stretch.end),
        exact,
        services.model_version,
        scratch.counted,
        [one for one in done if one.records],
    )


def _tell(done: Replayed) -> None:
    """What a person has to know of one shard, on standard error."""
    if not done.records:
        return
    shard_id = done.shard_id
    click.echo(
        f"{shard_id}: began from {done.start}; {done.warm_up_records:,} records on the way, "
        f"{done.records:,} in the stretch, from {' and '.join(done.sources)}",
        err=True,
    )
    for words in [*filter(None, [done.incomplete]), *done.lacking]:
        click.echo(f"{shard_id}: {words}", err=True)
    if not done.exact:
        click.echo(
            f"{shard_id}: SCORES DIFFER from those that were given then: what shops had done "
            "before is not known, or not all of it, and baselines have to warm up first",
            err=True,
        )
