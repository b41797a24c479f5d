"""What one `tillwatch dlq` command works with: the queue, the stream, the ledger, its deadline."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from botocore.exceptions import BotoCoreError, ClientError

from consumer.fingerprint import Fingerprint
from consumer.parser import parser_of
from consumer.pseudonym_keys import pseudonym_keys
from consumer.redrive import Places, Redriver
from consumer.search_client import search_client
from consumer.services import CONNECT_SECONDS_MAX, READ_SECONDS_MAX, aws_client
from consumer.settings import Settings, SettingsError, load
from sinks.dead_letters import DeadLetters
from sinks.deadline import Deadline
from sinks.kinesis import StreamWriter
from sinks.redrive_ledger import RedriveLedger
from sinks.s3 import S3ObjectStore
from sinks.sink import Stopped
from sinks.standing import StandingError, StandingTransactions

_NO_QUEUE = frozenset(
    {"AWS.SimpleQueueService.NonExistentQueue", "QueueDoesNotExist", "NonExistentQueue"}
)
_NOT_ALLOWED = frozenset(
    {
        *("AccessDenied", "AccessDeniedException", "InvalidClientTokenId", "SignatureDoesNotMatch"),
        *("UnrecognizedClientException", "InvalidSignatureException", "NotAuthorized"),
    }
)


class Session:
    """The parts of one command. `deadline` ends every wait of it."""

    def __init__(self, settings: Settings, deadline: Deadline, messages_max: int) -> None:
        self.settings = settings
        self.deadline = deadline
        self.queue = DeadLetters(
            aws_client(settings, "sqs"),
            settings.dead_letter_queue_url,
            deadline,
            messages_max=messages_max,
        )
        self.store = S3ObjectStore(aws_client(settings, "s3"), settings.bucket, deadline)

    @contextmanager
    def redriver(self) -> Iterator[Redriver]:
        """What brings letters back, connected to everything it needs."""
        settings, deadline = self.settings, self.deadline
        opensearch = search_client(settings)
        ledger = RedriveLedger(
            aws_client(settings, "dynamodb"), settings.ledger_table, settings.stream, deadline
        )
        places = Places(
            self.store,
            StreamWriter(_putting_client(settings), settings.stream, deadline),
            ledger,
            StandingTransactions(opensearch, deadline),
        )
        key = pseudonym_keys(settings, deadline).current
        try:
            yield Redriver(
                parser_of(settings),
                Fingerprint(key),
                places,
                clock=lambda: time.time_ns() // 1_000,
                stop=deadline,
            )
        finally:
            opensearch.close()


@contextmanager
def session(seconds_max: float, messages_max: int) -> Iterator[Session]:
    """A command's parts; what is read and not removed is given back behind it.

    Raises:
        ClickException: settings are missing, or a service refused or did not answer in time.
    """
    settings: Settings | None = None
    try:
        settings = load()
        made = Session(settings, Deadline(seconds_max), messages_max)
        with made.queue:
            yield made
    except SettingsError as error:
        raise click.ClickException(str(error)) from error
    except Stopped as error:
        raise click.ClickException(f"gave up after {seconds_max:g} s: {error}") from error
    except StandingError as error:
        raise click.ClickException(str(error)) from error
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(_explained(error, settings)) from error


def _explained(error: Exception, settings: Settings | None) -> str:
    """What AWS said, and which setting or right it is about."""
    if not isinstance(error, ClientError) or settings is None:
        return str(error)
    code = error.response.get("Error", {}).get("Code", "")
    of_table = error.operation_name in {"GetItem", "UpdateItem", "DeleteItem"}
    if code in _NO_QUEUE:
        return _absent("queue", settings.dead_letter_queue_url, "DEAD_LETTER_QUEUE_URL")
    if code == "ResourceNotFoundException" and of_table:
        return _absent("table", settings.ledger_table, "LEDGER_TABLE")
    if code == "ResourceNotFoundException":
        return _absent("stream", settings.stream, "STREAM")
    if code == "NoSuchBucket":
        return _absent("bucket", settings.bucket, "BUCKET")
    return f"these credentials may not do it: {error}" if code in _NOT_ALLOWED else str(error)


def _absent(what: str, name: str, setting: str) -> str:
    return f"there is no {what} {name} (TILLWATCH_{setting})"


def _putting_client(settings: Settings) -> Any:
    """A Kinesis client that sends nothing twice by itself; see sinks/kinesis.py."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "kinesis",
        region_name=settings.region,
        endpoint_url=settings.kinesis_endpoint or settings.aws_endpoint,
        config=Config(
            connect_timeout=CONNECT_SECONDS_MAX,
            read_timeout=READ_SECONDS_MAX,
            retries={"total_max_attempts": 1},
        ),
    )
