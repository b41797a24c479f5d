"""`tillwatch dlq`: dead letters looked at; beside it what brings them back and lets them go."""

import os
from pathlib import Path

import click

from consumer.dlq_options import (
    LEFT,
    LOOK_SECONDS_MAX,
    as_json_lines,
    bounded,
    reading,
    say,
    selects,
    tell_missing,
    tell_the_reading,
)
from consumer.dlq_purge import purge
from consumer.dlq_redrive import redrive
from consumer.dlq_session import Session, session
from consumer.fingerprint import Fingerprint
from consumer.letters import Found, Selection, as_json, summary, table
from consumer.masking import masked_record, neighbourhood
from consumer.pseudonym_keys import pseudonym_keys
from consumer.redrive import LetterKept, record_of
from sinks.letter import Letter

_OWNER_ONLY = 0o600


@click.group()
def dlq() -> None:
    """Look at dead letters, bring them back, let them go.

    Exit status: 0 all done; 1 a service or a setting; 2 the command line; 3 something was left, or
    the queue was not read to its end.
    """


@dlq.command("list")
@selects
@click.option("--limit", type=click.IntRange(1), help="Letters shown; all are counted.")
@as_json_lines
@bounded(LOOK_SECONDS_MAX)
@click.pass_context
def list_(
    ctx: click.Context,
    *,
    selection: Selection,
    limit: int | None,
    json_lines: bool,
    messages_max: int,
    seconds_max: float,
) -> None:
    """List the letters, oldest first, and count them by reason. No record's content is shown."""
    found = Found()
    with session(seconds_max, messages_max) as work:
        state = work.queue.state()
        with reading(work.queue, state) as messages:
            for held in messages:
                if selection.takes(held.letter):
                    found.add(held.letter)
        letters = list(found)[:limit]
        if json_lines:
            for letter in letters:
                say(as_json(letter, found.copies[letter.letter_id]))
            reasons = [
                {"stage": stage, "reason": reason, "letters": count}
                for stage, reason, count in found.by_reason()
            ]
            say(
                {
                    "summary": {
                        "letters": len(found),
                        "shown": len(letters),
                        "by_reason": reasons,
                        "complete": work.queue.cut is None,
                        "hidden": state.hidden,
                    }
                }
            )
        else:
            lines = [*table(letters, found.copies), *summary(found, state.retention_seconds)]
            click.echo("\n".join(lines))
        tell_the_reading(work.queue, state)
        missing = selection.missing(found)
        tell_missing(missing, work.queue)
        cut = work.queue.cut is not None
    if cut or missing:
        ctx.exit(LEFT)


@dlq.command()
@click.argument("letter_id")
@click.option(
    "--raw",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write the record as it came to this new file, which only you may read.",
)
@bounded(LOOK_SECONDS_MAX)
@click.pass_context
def show(
    ctx: click.Context,
    *,
    letter_id: str,
    raw: Path | None,
    messages_max: int,
    seconds_max: float,
) -> None:
    """Show one letter, with contact data, card tokens and unknown fields masked."""
    wanted = Selection(ids=frozenset({letter_id}))
    with session(seconds_max, messages_max) as work:
        state = work.queue.state()
        for held in work.queue.messages():
            if wanted.takes(held.letter):
                _show(work, held.letter, raw)
                return
        tell_the_reading(work.queue, state)
        tell_missing([letter_id], work.queue)
    ctx.exit(LEFT)


def _show(work: Session, letter: Letter, raw: Path | None) -> None:
    told = as_json(letter, 1)
    del told["copies"]
    for name, value in told.items():
        click.echo(f"{name + ':':15} {'-' if value is None else value}")
    try:
        data = record_of(letter, work.store)
    except LetterKept as gone:
        raise click.ClickException(str(gone)) from gone
    keys = pseudonym_keys(work.settings, work.deadline)
    click.echo(f"{'digest:':15} {Fingerprint(keys.current).of(data)}")
    near = neighbourhood(data, letter.detail)
    if near is not None:
        click.echo(f"{'fault:':15} {near}")
    record = masked_record(data, keys.pseudonymizer)
    if record is None:
        click.echo("the record is no JSON object: its bytes are not shown (--raw FILE writes them)")
    else:
        click.echo(f"record, masked:\n{record}")
    if raw is not None:
        _write(raw, data)


def _write(path: Path, data: bytes) -> None:
    """Write the clear bytes where only their owner can read them."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except OSError as error:
        raise click.ClickException(f"{path} cannot be made: {error.strerror}") from error
    with os.fdopen(file, "wb") as out:
        out.write(data)
    click.echo(
        f"warning: {path} holds the record in the clear, and with it what it says of customers and"
        " cards; delete it after use",
        err=True,
    )


dlq.add_command(redrive)
dlq.add_command(purge)
