"""What a person says, put onto the stream among its shop's transactions."""

import os
from collections.abc import Callable, Mapping
from typing import Any

import click

from events.noted import noted
from events.suppression import Lift, Suppression, wire_suppression
from events.verdict import Verdict, wire_verdict
from sinks.deadline import Deadline

GIVE_SECONDS_MAX = 30.0
"""How long a person waits until it stands there, or until it is said that it may not."""

_CONNECT_SECONDS_MAX = 5
_READ_SECONDS_MAX = 10

Said = Verdict | Suppression | Lift
"""All that a person can say: each is a record of its own kind."""


class NotGiven(Exception):  # noqa: N818 -- what is told, not a fault of ours
    """It did not get onto the stream; the message may be shown to anyone."""


class Giver:
    """Puts what people say onto the stream, under its shop's key.

    `client` is boto3's Kinesis client, which tries nothing twice by itself: sinks/kinesis.py waits
    and looks whether it stands there. A `deadline`, made for each, bounds all of that;
    `settle_seconds` as there.
    """

    def __init__(
        self,
        client: Any,
        stream: str,
        *,
        deadline: Callable[[], Deadline] = lambda: Deadline(GIVE_SECONDS_MAX),
        settle_seconds: float | None = None,
    ) -> None:
        self._client = client
        self._stream = stream
        self._deadline = deadline
        self._settle_seconds = settle_seconds

    def give(self, said: Said) -> None:
        """Put `said`; it is durable on return.

        Raises:
            NotGiven: the stream does not take it, or a field of it is not as the schema wants it.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        from sinks.kinesis import SETTLE_SECONDS, StreamWriter
        from sinks.sink import Stopped

        data = wire_said(said)
        deadline, settle_seconds = self._deadline(), self._settle_seconds
        if settle_seconds is None:
            settle_seconds = SETTLE_SECONDS
        writer = StreamWriter(self._client, self._stream, deadline, settle_seconds=settle_seconds)
        try:
            writer.put(said.shop_id, data, deadline)
        except (ClientError, BotoCoreError) as error:
            code = type(error).__name__
            if isinstance(error, ClientError):
                code = error.response.get("Error", {}).get("Code", code)
            raise NotGiven(f"The stream did not take it ({code}).") from error
        except Stopped as error:
            raise NotGiven("The stream does not answer; it may have taken it all the same.") from (
                error
            )


def wire_said(said: Said) -> bytes:
    """The record of `said`.

    Raises:
        NotGiven: a field of it is not as the schema wants it.
    """
    said = noted(said)
    try:
        return wire_verdict(said) if isinstance(said, Verdict) else wire_suppression(said)
    except ValueError as error:
        what = "verdict" if isinstance(said, Verdict) else "rule"
        raise NotGiven(f"The {what} is not whole: {error}.") from error


def give_by_command(said: Said, *, print_only: bool) -> bool:
    """Put `said` onto the stream that the environment names, or print its record; whether it is on.

    Raises:
        click.ClickException: there is no stream named, or it does not take it; in words.
    """
    try:
        if print_only:
            click.echo(wire_said(said))
            return False
        giver = giver_of(os.environ)
        if giver is None:
            raise click.ClickException("TILLWATCH_STREAM is not set: where is the stream?")
        giver.give(said)
    except NotGiven as error:
        raise click.ClickException(str(error)) from error
    return True


def giver_of(environment: Mapping[str, str]) -> Giver | None:
    """A giver for the stream that the settings in `environment` name; None where they name none."""
    stream = environment.get("TILLWATCH_STREAM")
    if not stream:
        return None
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "kinesis",
        region_name=environment.get("TILLWATCH_REGION", "eu-west-1"),
        endpoint_url=environment.get("TILLWATCH_KINESIS_ENDPOINT")
        or environment.get("TILLWATCH_AWS_ENDPOINT"),
        config=Config(
            connect_timeout=_CONNECT_SECONDS_MAX,
            read_timeout=_READ_SECONDS_MAX,
            retries={"total_max_attempts": 1},
        ),
    )
    return Giver(client, stream)
