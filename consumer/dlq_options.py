"""What the commands of `tillwatch dlq` have in common: which letters, how many, how it is told."""

import json
import sys
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from functools import wraps
from typing import Any, Final

import click

from consumer.letters import Selection
from events.instant import Instant, from_datetime
from sinks.dead_letters import MESSAGES_READ_MAX, DeadLetters, Held, QueueState

LEFT: Final = 3
"""Exit status where something that was asked for was left, or the queue was not read to its end."""

LOOK_SECONDS_MAX: Final = 60.0
"""How long looking takes, unless it is told otherwise."""

WORK_SECONDS_MAX: Final = 600.0
"""How long bringing back and letting go take, unless they are told otherwise."""


class _Time(click.ParamType[Instant]):
    """An ISO 8601 time; without an offset it is in UTC."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Instant:
        """The instant that `value` names."""
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is no ISO 8601 time, such as 2026-01-05T10:30Z", param, ctx)
        return from_datetime(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def selects(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options that select letters, as one `selection`."""

    @wraps(command)
    def selecting(
        *,
        ids: tuple[str, ...],
        reasons: tuple[str, ...],
        stages: tuple[str, ...],
        shops: tuple[str, ...],
        since: Instant | None,
        until: Instant | None,
        **options: Any,
    ) -> None:
        chosen = Selection(
            ids=frozenset(ids),
            reasons=frozenset(reasons),
            stages=frozenset(stages),
            shops=frozenset(shops),
            since=since,
            until=until,
        )
        command(selection=chosen, **options)

    for option in reversed(
        [
            click.argument("ids", nargs=-1, metavar="[LETTER_ID]..."),
            click.option("--reason", "reasons", multiple=True, help="Letters of this reason."),
            click.option("--stage", "stages", multiple=True, help="Letters of this stage."),
            click.option("--shop", "shops", multiple=True, help="Letters of this shop."),
            click.option("--since", type=_Time(), help="Records that arrived then or later."),
            click.option("--until", type=_Time(), help="Records that arrived before then."),
        ]
    ):
        selecting = option(selecting)
    return selecting


def bounded(seconds_max: float) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command its bounds: `messages_max` and `seconds_max`."""

    def give(command: Callable[..., None]) -> Callable[..., None]:
        messages = click.option(
            "--read-max",
            "messages_max",
            type=click.IntRange(1),
            default=MESSAGES_READ_MAX,
            show_default=True,
            help="Messages read at most.",
        )
        seconds = click.option(
            "--seconds-max",
            type=click.FloatRange(0, min_open=True),
            default=seconds_max,
            show_default=True,
            help="How long it may take.",
        )
        return messages(seconds(command))

    return give


as_json_lines = click.option("--json", "json_lines", is_flag=True, help="JSON lines for machines.")


def say(line: object) -> None:
    """One JSON line to standard output."""
    click.echo(json.dumps(line, ensure_ascii=True, separators=(",", ":")))


def reading(queue: DeadLetters, state: QueueState) -> AbstractContextManager[Iterable[Held]]:
    """The messages of the queue, with a bar on standard error where a person looks on."""
    return click.progressbar(
        queue.messages(),
        length=state.messages,
        label="Reading",
        file=sys.stderr,
        hidden=not sys.stderr.isatty(),
    )


def tell_the_reading(queue: DeadLetters, state: QueueState) -> None:
    """Say to a person what may be missing from what was read."""
    if queue.cut is not None:
        click.echo(
            f"not all of it: {queue.cut} after {queue.read:,} messages of about"
            f" {state.messages:,} (--read-max, --seconds-max)",
            err=True,
        )
    if state.hidden:
        click.echo(
            f"about {state.hidden:,} more are in another reader's hands for some minutes", err=True
        )
    if state.receives_max is not None:
        click.echo(
            f"warning: this queue moves a message away after {state.receives_max} readings, and"
            " looking is a reading: take its redrive policy off",
            err=True,
        )


def tell_missing(ids: list[str], queue: DeadLetters) -> None:
    """Say which letters were asked for and not seen."""
    for id_ in ids:
        click.echo(f"{id_} is not among the {queue.read:,} messages that were read", err=True)
