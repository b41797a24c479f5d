"""`tillwatch lifecycle`: how long bucket and queue keep things, as the settings say."""

from collections.abc import Iterator
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from consumer.services import aws_client
from consumer.settings import Settings, SettingsError, load
from events.instant import DAY, SECOND
from sinks import bucket_rules

QUEUE_DAYS_MAX = 14
"""SQS keeps no message longer."""
_ENCRYPTED = "SqsManagedSseEnabled"
_RETENTION = "MessageRetentionPeriod"


@click.group()
def lifecycle() -> None:
    """How long the bucket and the dead-letter queue keep what is in them."""


@lifecycle.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
def apply(*, dry_run: bool) -> None:
    """Set the bucket's lifecycle rules and the queue's retention; twice is as once.

    Rules whose ids do not begin with tillwatch- are left alone.
    """
    try:
        settings = load()
        s3 = aws_client(settings, "s3")
        wanted = bucket_rules.rules(
            settings.retention_days,
            settings.processed_days,
            tiering=settings.processed_intelligent_tiering,
        )
        found = bucket_rules.changes(s3, settings.bucket, wanted)
        for change in found:
            click.echo(change.line())
        if found and not dry_run:
            bucket_rules.apply(s3, settings.bucket, wanted)
        count = len(found) + _queue(settings, dry_run=dry_run)
        for words in _warnings(settings, s3):
            click.echo(words, err=True)
    except (SettingsError, ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(f"{count} {'would change' if dry_run else 'changed'}", err=True)


def _queue(settings: Settings, *, dry_run: bool) -> int:
    """Set how long dead letters are kept, and that they are encrypted; the number of changes."""
    sqs, url = aws_client(settings, "sqs"), settings.dead_letter_queue_url
    attributes = _attributes(sqs, url)
    days = min(settings.retention_days, QUEUE_DAYS_MAX)
    seconds = str(days * DAY // SECOND)
    changes: dict[str, str] = {}
    if attributes.get(_RETENTION) != seconds:
        before = int(attributes.get(_RETENTION, 0)) * SECOND / DAY
        click.echo(f"~ dead letters: kept {before:g} days -> {days} days")
        changes[_RETENTION] = seconds
    # They are records as they came: docs/privacy.md. A KMS key of the owner's is as good.
    if not attributes.get("KmsMasterKeyId") and attributes.get(_ENCRYPTED) != "true":
        click.echo("~ dead letters: in the clear -> encrypted at rest (SSE-SQS)")
        changes[_ENCRYPTED] = "true"
    if changes and not dry_run:
        sqs.set_queue_attributes(QueueUrl=url, Attributes=changes)
    return len(changes)


def _warnings(settings: Settings, s3: Any) -> Iterator[str]:
    """What a person should mend, since nothing here does."""
    if settings.retention_days > QUEUE_DAYS_MAX:
        yield f"dead letters are kept {QUEUE_DAYS_MAX} days: SQS keeps nothing longer"
    if s3.get_bucket_versioning(Bucket=settings.bucket).get("Status") != "Enabled":
        yield (
            f"versioning is off in {settings.bucket}: a snapshot that is damaged cannot be "
            "brought back (docs/operations.md, 'Before the first start')"
        )
    attributes = _attributes(aws_client(settings, "sqs"), settings.dead_letter_queue_url)
    if attributes.get("RedrivePolicy"):
        yield "the queue of dead letters has a redrive policy: looking at letters moves them away"


def _attributes(sqs: Any, url: str) -> dict[str, str]:
    answer = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    found: dict[str, str] = answer.get("Attributes", {})
    return found
