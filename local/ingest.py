"""`tillwatch ingest`: puts a file of known form onto the stream, as if tills had sent it."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from consumer.settings import Settings
from local.jsonl import open_jsonl
from local.online_retail import Invoice, OnlineRetailError, read_invoices, to_wire
from local.producer import Order, ProducerError, put_all


class _StreamSettings(BaseSettings):
    """Those settings of consumer/settings.py that tell where the stream is."""

    model_config = SettingsConfigDict(
        env_prefix="TILLWATCH_", hide_input_in_errors=True, extra="ignore", frozen=True
    )

    stream: str
    region: str = Settings.model_fields["region"].default
    aws_endpoint: str | None = None

    @classmethod
    def settings_customise_sources(
        cls, settings_cls: type[BaseSettings], *sources: Any, **named: Any
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The same sources as all settings have."""
        return Settings.settings_customise_sources(settings_cls, *sources, **named)


class _Note(msgspec.Struct, frozen=True):
    """The state file: `acknowledged` of the `records` of `input` are on `stream`.

    `input` is the file's SHA-256, `stream` its ARN with the time of its creation, so that neither
    another file nor another stream of the same name is taken for the one that was begun.
    """

    input: str
    stream: str
    records: int
    acknowledged: int

    @property
    def done(self) -> bool:
        return self.acknowledged >= self.records


@click.group()
def ingest() -> None:
    """Put a data set onto the stream."""


@ingest.command("online-retail")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write wire JSONL here instead of putting it onto the stream; .gz is compressed.",
)
@click.option(
    "--resume/--restart",
    "resume",
    default=None,
    help="Go on where an earlier run ended, or put everything again.",
)
@click.option(
    "--state",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where it is noted how far the run came. [default: .tillwatch/ingest/STREAM.json]",
)
@click.option(
    "--order",
    type=click.Choice(["key", "request"]),
    help="What no record overtakes when a request fails in part: a later one of its shop, or none"
    " outside its request (faster). [default: key at Amazon's endpoints, request at others]",
)
def online_retail(
    *, file: Path, output: Path | None, resume: bool | None, state: Path | None, order: Order | None
) -> None:
    """One transaction per invoice of the UCI Online Retail data set (Parquet), oldest first.

    The stream is TILLWATCH_STREAM in TILLWATCH_REGION, at TILLWATCH_AWS_ENDPOINT if that is set. A
    run that was broken off goes on with --resume. What was under way at that moment, one request
    of at most 500 records, may then be put twice; the consumer counts it once.
    """
    try:
        invoices = read_invoices(file)
    except OnlineRetailError as error:
        raise click.ClickException(str(error)) from error
    if output is not None:
        _write(invoices, output)
        return
    settings = _settings()
    client = _client(settings)
    note = _Note(_sha256(file), _identity(client, settings.stream), len(invoices), 0)
    path = state or Path(".tillwatch") / "ingest" / f"{settings.stream}.json"
    note = msgspec.structs.replace(note, acknowledged=_begin_at(note, path, resume=resume))
    try:
        _put(client, settings.stream, invoices, note, path, order)
    except ProducerError as error:
        raise click.ClickException(f"{error}\nWhat is acknowledged is noted: --resume.") from error


def _write(invoices: list[Invoice], output: Path) -> None:
    with open_jsonl(output) as out, _bar(len(invoices), "Writing") as bar:
        for invoice in invoices:
            out.write(to_wire(invoice)[1] + b"\n")
            bar.update(1)
    click.echo(f"{len(invoices)} records in {output}", err=True)


def _put(
    client: Any,
    stream: str,
    invoices: list[Invoice],
    note: _Note,
    path: Path,
    order: Order | None,
) -> None:
    """Put what `note` does not say is acknowledged, and keep the note at `path` up to date."""
    first = note.acknowledged
    with _bar(len(invoices), f"Putting onto {stream}") as bar:
        bar.update(first)

        def acknowledged(count: int) -> None:
            _save(msgspec.structs.replace(note, acknowledged=first + count), path)
            bar.update(first + count - bar.pos)

        put = put_all(
            client, stream, _records(invoices, first), order=order, on_progress=acknowledged
        )
    click.echo(f"{put} records put, {first + put} of {note.records} in all", err=True)


def _records(invoices: list[Invoice], first: int) -> Iterator[tuple[str, bytes]]:
    return (to_wire(invoice) for invoice in invoices[first:])


def _begin_at(note: _Note, path: Path, *, resume: bool | None) -> int:
    """How many records are acknowledged already; a begun run needs to be told what to do."""
    if resume is False or not path.exists():
        return 0
    try:
        begun = msgspec.json.decode(path.read_bytes(), type=_Note)
    except msgspec.DecodeError as error:
        raise click.ClickException(f"{path} cannot be read ({error}): --restart") from error
    if (begun.input, begun.stream, begun.records) != (note.input, note.stream, note.records):
        if resume:
            raise click.ClickException(f"{path} is about another file or stream: --restart")
        return 0
    if resume is None:
        raise click.UsageError(
            f"{begun.acknowledged} of {begun.records} records are on this stream already:"
            f" {'' if begun.done else '--resume puts the rest, '}--restart puts all of them again"
        )
    return begun.acknowledged


def _save(note: _Note, path: Path) -> None:
    """Replace the state file as a whole: a run that ends at any moment leaves a good one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(path.name + ".new")
    new.write_bytes(msgspec.json.encode(note))
    new.replace(path)


def _settings() -> _StreamSettings:
    try:
        return _StreamSettings()
    except ValidationError as error:
        faults = [
            f"TILLWATCH_{'_'.join(str(part) for part in fault['loc']).upper()}: {fault['msg']}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise click.ClickException("\n".join(faults)) from error


def _client(settings: _StreamSettings) -> Any:
    import boto3
    from botocore.config import Config

    # Retries are the producer's: two layers of them would multiply their bounds.
    config = Config(retries={"total_max_attempts": 1})
    if settings.aws_endpoint and "//127.0.0.1" in settings.aws_endpoint:
        config = config.merge(Config(proxies={}))  # loopback is nobody's proxy's business
    return boto3.client(
        "kinesis",
        region_name=settings.region,
        endpoint_url=settings.aws_endpoint,
        config=config,
    )


def _identity(client: Any, stream: str) -> str:
    """What tells this stream from one of the same name before or after it."""
    try:
        answer = client.describe_stream_summary(StreamName=stream)
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(f"stream {stream} cannot be reached: {error}") from error
    summary = answer["StreamDescriptionSummary"]
    return f"{summary['StreamARN']} of {summary['StreamCreationTimestamp'].timestamp():.3f}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bar(length: int, label: str) -> Any:
    # On stderr, so that nothing but results is ever on stdout.
    return click.progressbar(length=length, label=label, file=sys.stderr)
