"""`tillwatch explain`: why a transaction has its score, and whether it comes out again."""

import threading

import click
import msgspec
from botocore.exceptions import BotoCoreError, ClientError

from anomaly.state import StateError
from consumer.explain_found import NotFound, Standing, Story, document_of, row_of, stories_of
from consumer.explain_words import Again, Explained, compared, explained, lines
from consumer.replay_reading import WARM_UP
from consumer.replay_services import ReplayServices
from consumer.replaying import Single
from consumer.search_client import search_client
from consumer.settings import Settings, SettingsError, load
from events.instant import HOUR
from events.score import Score
from sinks.archive_object import ArchiveError
from sinks.deadline import Deadline
from sinks.retry import Transient
from sinks.sink import Stopped

EXPLAIN_SECONDS_MAX = 14_400.0
ASK_SECONDS_MAX = 30.0
"""How long OpenSearch may take, all tries together; then the Parquet files are asked."""
_DIFFERS = 3
"""Exit status where a replay gives another score."""


@click.command()
@click.argument("transaction_id")
@click.option("--replay", "again", is_flag=True, help="Score it again, and compare.")
@click.option(
    "--source",
    type=click.Choice(["auto", "archive", "stream"]),
    default="auto",
    show_default=True,
    help="Where the replay takes records from.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option(
    "--seconds-max",
    type=click.FloatRange(min=1),
    default=EXPLAIN_SECONDS_MAX,
    show_default=True,
    help="Give up after so long.",
)
def explain(
    *, transaction_id: str, again: bool, source: str, as_json: bool, seconds_max: float
) -> None:
    """Say why TRANSACTION_ID has its score, and which page tells of it.

    It is looked for in OpenSearch, and in the Parquet files where that has it not, or not any more.
    Contact data and cards are not shown. Nothing is written anywhere.
    """
    try:
        settings = load()
        deadline = Deadline(seconds_max, threading.Event())
        found, pages = find(settings, transaction_id, deadline)
        made = score_again(settings, found, source, deadline) if again else None
    except (NotFound, SettingsError, ArchiveError, StateError, ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from error
    except Stopped as error:
        raise click.ClickException(f"gave up after {seconds_max:g} s: {error}") from error
    _tell(explained(found, pages, made), as_json=as_json)


def _tell(told: Explained, *, as_json: bool) -> None:
    if as_json:
        click.echo(msgspec.json.encode(told).decode())
    else:
        for line in lines(told):
            click.echo(line)
    if told.again is not None and not told.again.same:
        raise SystemExit(_DIFFERS)


def find(
    settings: Settings, transaction_id: str, deadline: Deadline
) -> tuple[Standing, list[Story] | None]:
    """Where it stands, and the pages; None for pages where OpenSearch could not be asked.

    Raises:
        NotFound: nowhere.
    """
    looked = []
    client = search_client(settings)
    try:
        soon = Deadline(ASK_SECONDS_MAX, deadline)
        found = document_of(client, transaction_id, soon)
        if found is not None:
            return found, stories_of(client, found, soon)
        looked.append("OpenSearch has no such document")
    except (Transient, Stopped) as error:
        looked.append(f"OpenSearch could not be asked ({error})")
    finally:
        client.close()
    found, words = _row(settings, transaction_id)
    if found is None:
        looked.append(words)
        raise NotFound(
            f"{transaction_id} stands nowhere: {'; '.join(looked)}. It may have been rejected "
            "(`tillwatch dlq list`), or not have come"
        )
    return found, None


def _row(settings: Settings, transaction_id: str) -> tuple[Standing | None, str]:
    from consumer.dialect import NotReadable
    from consumer.lake import LakeError, open_lake

    try:
        lake = open_lake(
            f"s3://{settings.bucket}",
            application=settings.application,
            zone=settings.business_time_zone,
            region=settings.region,
            endpoint=settings.aws_endpoint,
        )
        return row_of(lake.ask, transaction_id), "no Parquet file has such a row"
    except (LakeError, NotReadable) as error:
        return None, f"the Parquet files could not be asked ({error})"


def score_again(settings: Settings, found: Standing, source: str, deadline: Deadline) -> Again:
    """Score it again, from the newest snapshot ahead of it, and compare every bit."""
    services = ReplayServices(
        settings, deadline, archive=source != "stream", stream=source != "archive"
    )
    replaying = services.replaying(found.position.shard_id, WARM_UP)
    at = found.arrived_at or found.occurred_at
    score: Score | None = None
    there = False
    for cut in replaying.cuts(Single(found.position, at, at + HOUR)):
        for item in cut.batch.scored:
            if item.position == found.position:
                there, score = True, item.score
    differs = compared(found.score, score)
    if not there:
        differs = ["its record was not found again, or was rejected"]
    return Again(not differs, replaying.done.exact, score, differs, replaying.done)
