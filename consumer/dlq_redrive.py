"""`tillwatch dlq redrive`: brings letters back, corrected where that is needed."""

from collections import Counter
from pathlib import Path

import click

from consumer.correction import Correction, CorrectionError
from consumer.dlq_options import (
    LEFT,
    WORK_SECONDS_MAX,
    as_json_lines,
    bounded,
    say,
    selects,
    tell_missing,
    tell_the_reading,
)
from consumer.dlq_session import Session, session
from consumer.letters import DETAIL_CHARACTERS_MAX, Found, Selection, counted
from consumer.masking import shown
from consumer.redrive import GONE, Choices, Fate, Outcome, Redriver
from consumer.removal import Removal
from sinks.letter import Letter


@click.command()
@selects
@click.option(
    "--fix",
    "--set",
    "fixes",
    multiple=True,
    metavar="FIELD=VALUE",
    help="Set a field, such as lines[3].unit_price=1.20; a value that is no JSON is a text.",
)
@click.option("--unset", "unsets", multiple=True, metavar="FIELD", help="Take a field away.")
@click.option(
    "--record",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What one letter's record should have been, in this file.",
)
@click.option("--all", "every", is_flag=True, help="Every letter, where nothing else selects.")
@click.option("--limit", type=click.IntRange(1), help="Letters brought back at most.")
@click.option("--dry-run", is_flag=True, help="Only say what would become of them.")
@click.option(
    "--force", is_flag=True, help="Also what would be rejected again, or stands there already."
)
@click.option(
    "--again", is_flag=True, help="Also what may have been put before, when nobody can tell."
)
@as_json_lines
@bounded(WORK_SECONDS_MAX)
@click.pass_context
def redrive(
    ctx: click.Context,
    *,
    selection: Selection,
    fixes: tuple[str, ...],
    unsets: tuple[str, ...],
    record: Path | None,
    every: bool,
    limit: int | None,
    dry_run: bool,
    force: bool,
    again: bool,
    json_lines: bool,
    messages_max: int,
    seconds_max: float,
) -> None:
    """Put letters' records back onto the stream, once, and remove the letters behind them.

    A record that would be rejected again is not put. Redriving twice, or two people at once, counts
    once. Values on a command line stay in the shell's history: for contact data use --record.
    """
    if selection.everything and not every:
        raise click.UsageError("say which letters: LETTER_ID, filters, or --all")
    if record is not None and len(selection.ids) != 1:
        raise click.UsageError("--record is for one LETTER_ID")
    try:
        correction = Correction(fixes, unsets)
    except CorrectionError as error:
        raise click.UsageError(str(error)) from error
    choices = Choices(
        correction,
        record.read_bytes() if record is not None else None,
        force=force,
        again=again,
        dry_run=dry_run,
    )
    with session(seconds_max, messages_max) as work, work.redriver() as redriver:
        state = work.queue.state()
        run = Run(work, redriver, choices, json_lines=json_lines)
        run.through(selection, limit)
        run.summarise()
        tell_the_reading(work.queue, state)
        missing = selection.missing(run.found)
        tell_missing(missing, work.queue)
        left = missing or run.left or work.queue.cut is not None
    if left:
        ctx.exit(LEFT)


class Run:
    """One redrive over the queue, told letter by letter."""

    def __init__(
        self, work: Session, redriver: Redriver, choices: Choices, *, json_lines: bool
    ) -> None:
        self._work = work
        self._redriver = redriver
        self._choices = choices
        self._json_lines = json_lines
        self._removal = Removal(work.queue, work.store)
        self._fates: dict[str, Fate] = {}
        self.found = Found()

    @property
    def left(self) -> int:
        """How many letters and copies that were meant are still there, other than in a dry run."""
        kept = sum(1 for fate in self._fates.values() if fate is Fate.KEPT)
        return kept + self._removal.left

    def through(self, selection: Selection, limit: int | None) -> None:
        """Bring back what is meant, `limit` letters at most, each as it is read."""
        for held in self._work.queue.messages():
            letter = held.letter
            fate = self._fates.get(letter.letter_id)
            more = limit is None or len(self._fates) < limit or fate is not None
            if not selection.takes(letter) or not more:
                self._removal.keep(letter)
                continue
            self.found.add(letter)
            if fate is None:
                outcome = self._redriver.redrive(letter, self._choices)
                fate = self._fates[letter.letter_id] = outcome.fate
                self._tell(letter, outcome)
            if fate in GONE:
                self._removal.remove([held])
            else:
                self._removal.keep(letter)
        if not self._choices.dry_run:
            self._removal.finish()

    def summarise(self) -> None:
        """Say how many letters came to which end."""
        counts = Counter(fate.value for fate in self._fates.values())
        if self._json_lines:
            complete = self._work.queue.cut is None
            say({"summary": {"letters": len(self._fates), **counts, "complete": complete}})
        else:
            ends = ", ".join(f"{count} {fate}" for fate, count in sorted(counts.items()))
            click.echo(f"{counted(len(self._fates))}{': ' if ends else ''}{ends}")
        if self._removal.left:
            click.echo(
                f"{self._removal.left} messages could not be removed, since another reader has"
                " them; redrive once more, which removes them and puts nothing",
                err=True,
            )

    def _tell(self, letter: Letter, outcome: Outcome) -> None:
        why = shown(outcome.why, characters_max=DETAIL_CHARACTERS_MAX)
        if self._json_lines:
            say(
                {
                    "letter_id": letter.letter_id,
                    "record_id": shown(letter.record_id),
                    "fate": outcome.fate.value,
                    "why": why,
                }
            )
            return
        shop = "-" if letter.shop_id is None else shown(letter.shop_id)
        what = f"{shown(letter.stage)}/{shown(letter.reason)}"
        because = f": {why}" if why else ""
        click.echo(f"{outcome.fate.value:16}  {letter.letter_id}  {shop}  {what}{because}")
