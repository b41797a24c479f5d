"""`tillwatch dlq purge`: lets letters go for good."""

import click
import msgspec

from consumer.dlq_options import (
    LEFT,
    WORK_SECONDS_MAX,
    as_json_lines,
    bounded,
    reading,
    say,
    selects,
    tell_missing,
    tell_the_reading,
)
from consumer.dlq_session import session
from consumer.letters import Found, Selection, summary
from consumer.removal import Removal
from sinks.dead_letters import Held


@click.command()
@selects
@click.option("--all", "every", is_flag=True, help="Every letter, where nothing else selects.")
@click.option("--dry-run", is_flag=True, help="Only count them.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json_lines
@bounded(WORK_SECONDS_MAX)
@click.pass_context
def purge(
    ctx: click.Context,
    *,
    selection: Selection,
    every: bool,
    dry_run: bool,
    yes: bool,
    json_lines: bool,
    messages_max: int,
    seconds_max: float,
) -> None:
    """Delete letters, with all their copies and bytes. Nothing brings them back."""
    if selection.everything and not every:
        raise click.UsageError("say which letters: LETTER_ID, filters, or --all")
    with session(seconds_max, messages_max) as work:
        state = work.queue.state()
        found, removal = Found(), Removal(work.queue, work.store)
        meant: list[Held] = []
        with reading(work.queue, state) as messages:
            for held in messages:
                if not selection.takes(held.letter):
                    removal.keep(held.letter)
                    continue
                found.add(held.letter)
                # Without its bytes: there may be many.
                meant.append(Held(msgspec.structs.replace(held.letter, data=None), held.message_id))
        click.echo("\n".join(summary(found, 0)), err=json_lines)
        tell_the_reading(work.queue, state)
        missing = selection.missing(found)
        tell_missing(missing, work.queue)
        if meant and not dry_run:
            if not yes:
                click.confirm("Delete them for good?", abort=True, err=True)
            removal.remove(meant)
            removal.finish()
        gone = 0 if dry_run else len(meant) - removal.left
        if json_lines:
            complete = work.queue.cut is None
            say({"summary": {"letters": len(found), "removed": gone, "complete": complete}})
        elif not dry_run:
            click.echo(f"{gone} messages deleted")
        if removal.left:
            click.echo(f"{removal.left} are in another reader's hands: purge again", err=True)
        left = missing or removal.left or work.queue.cut is not None
    if left:
        ctx.exit(LEFT)
