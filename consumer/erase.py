"""`tillwatch erase`: takes a person out of everything that is kept."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Final

import click
from botocore.exceptions import BotoCoreError, ClientError

from consumer.compaction import RowsDiffer
from consumer.erase_index import IndexErasure, IndexRefused
from consumer.erase_lake import LakeErasure
from consumer.erase_letters import LetterErasure, Person
from consumer.erase_report import Place, lines
from consumer.pseudonym_keys import PseudonymKeys, pseudonym_keys
from consumer.search_client import search_client
from consumer.services import aws_client
from consumer.settings import Settings, SettingsError, load
from sinks.compacted_file import UnknownColumns
from sinks.dead_letters import MESSAGES_READ_MAX, DeadLetters
from sinks.deadline import Deadline
from sinks.erasure import Subject, subject_of
from sinks.opensearch_client import NoCredentials
from sinks.s3 import S3ObjectStore
from sinks.s3_versions import OldVersions
from sinks.sink import Stopped

ERASE_SECONDS_MAX: Final = 14_400.0
"""How long it may take, unless it is told otherwise."""

LEFT: Final = 3
"""Exit status where something is left or may come back: erase again, as the report says."""


@click.command()
@click.option("--customer", metavar="ID", help="The customer's id, as the tills send it.")
@click.option("--email", help="The e-mail address of the contact.")
@click.option("--card", metavar="TOKEN", help="The card's token, as the tills send it.")
@click.option("--dry-run", is_flag=True, help="Only say what is found where.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines for machines.")
@click.option(
    "--seconds-max",
    type=click.FloatRange(0, min_open=True),
    default=ERASE_SECONDS_MAX,
    show_default=True,
    help="How long it may take; what is done by then stays done.",
)
@click.pass_context
def erase(
    ctx: click.Context,
    *,
    customer: str | None,
    email: str | None,
    card: str | None,
    dry_run: bool,
    yes: bool,
    json_lines: bool,
    seconds_max: float,
) -> None:
    """Take a customer out of OpenSearch, the Parquet files and the dead letters.

    Sales stay for the books, with their amounts and lines, and are nobody's. A `-` in place of a
    value asks for it, so that it does not stay in the shell's history. Safe to break off and to
    do again; docs/privacy.md says what goes by itself, and when.

    Exit status: 0 nothing is left, and nobody who read it before brings it back; 1 a service or a
    setting; 2 the command line; 3 something is left or may come back, and the report says when to
    run it again.
    """
    person = Person(_asked("customer", customer), _asked("card", card), _asked("email", email))
    if person == Person():
        raise click.UsageError("say who: --customer, --email or --card")
    if not dry_run and not yes:
        click.confirm("Nothing brings back what is erased. Go on?", abort=True, err=True)
    try:
        settings = load()
        deadline = Deadline(seconds_max)
        keys = pseudonym_keys(settings, deadline)
        places = _run(settings, person, keys, deadline, dry_run=dry_run)
        clean = True
        for place in places:
            clean = clean and place.clean(dry_run=dry_run)
            _say(place, dry_run=dry_run, json_lines=json_lines)
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    except Stopped as error:
        raise click.ClickException(f"gave up after {seconds_max:g} s, erase again: {error}") from (
            error
        )
    except (
        IndexRefused,
        NoCredentials,
        UnknownColumns,
        RowsDiffer,
        ClientError,
        BotoCoreError,
    ) as error:
        raise click.ClickException(f"{error}; what was done stays done, erase again") from error
    if not json_lines:
        click.echo(_gone_by_itself(settings), err=True)
    if not clean:
        ctx.exit(LEFT)


def _asked(name: str, value: str | None) -> str | None:
    """The value, asked for where it is `-`; never shown."""
    if value == "-":
        value = (
            click.prompt(name, hide_input=True, err=True)
            if sys.stdin.isatty()
            else sys.stdin.readline().rstrip("\r\n")
        )
    if value is not None and not value.strip():
        raise click.UsageError(f"--{name} is empty")
    return value


def _run(
    settings: Settings, person: Person, keys: PseudonymKeys, deadline: Deadline, *, dry_run: bool
) -> Iterator[Place]:
    subject = subject_of(keys.every, customer=person.customer, card=person.card, email=person.email)
    yield from _index(settings, subject, deadline, dry_run=dry_run)
    s3 = aws_client(settings, "s3")
    store = S3ObjectStore(s3, settings.bucket, deadline)
    versions = OldVersions(s3, settings.bucket, deadline)
    lake = LakeErasure(store, subject, _now, _shown_file, dry_run=dry_run, versions=versions)
    yield from lake.run()
    queue = DeadLetters(
        aws_client(settings, "sqs"),
        settings.dead_letter_queue_url,
        deadline,
        messages_max=MESSAGES_READ_MAX,
    )
    with queue:
        letters = LetterErasure(queue, store, person, dry_run=dry_run, versions=versions)
        yield from letters.run()


def _index(
    settings: Settings, subject: Subject, deadline: Deadline, *, dry_run: bool
) -> Iterator[Place]:
    client = search_client(settings)
    with closing(client):
        yield from IndexErasure(client, subject, deadline, dry_run=dry_run).run()


def _now() -> int:
    return time.time_ns() // 1_000


def _shown_file(line: str) -> None:
    click.echo(f"  {line}", err=True)


def _say(place: Place, *, dry_run: bool, json_lines: bool) -> None:
    if json_lines:
        told = {
            "place": place.name,
            "of": place.of,
            "found": place.found,
            "erased": place.erased,
            "left": place.left,
            "note": place.note,
        }
        click.echo(json.dumps(told, separators=(",", ":")))
    else:
        click.echo("\n".join(lines([place], dry_run=dry_run)))


def _gone_by_itself(settings: Settings) -> str:
    return (
        "Not reached: the stream and the raw archive (sealed; at most"
        f" {settings.retention_days} days), snapshots (ids and hashes of the shops' last refunds),"
        " and pages that SNS has delivered. What comes from them again is new: erase again then."
        " docs/privacy.md tells all of it."
    )
