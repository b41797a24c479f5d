"""The services of one shard's process: clients made from the settings, and the sinks on them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from consumer.lease import DynamoLease, worker_id
from consumer.lineage import KinesisLineage
from consumer.search_client import search_client
from consumer.shadow_services import Nowhere, ShadowServices
from consumer.telemetry import Telemetry
from sinks.archive import ArchiveSink
from sinks.directory import DirectoryObjectStore
from sinks.dlq import DeadLetterSink
from sinks.dynamodb import Ledger
from sinks.dynamodb_fence import DynamoFence
from sinks.object_store import ObjectStore
from sinks.opensearch import OpenSearchSink
from sinks.parquet import ParquetSink
from sinks.s3 import S3ObjectStore
from sinks.shadow_notes import ShadowFailures
from sinks.sink import Sink
from sinks.sns import Pager

if TYPE_CHECKING:
    from consumer.settings import Settings

CONNECT_SECONDS_MAX = 5
READ_SECONDS_MAX = 30
_CONNECTIONS_MAX = 8


def aws_client(settings: Settings, service: str, answered: Callable[[], None] | None = None) -> Any:
    """A client with stated deadlines; sinks/retry.py does the waiting, botocore little.

    `answered` is called after every call that the service answered.
    """
    from botocore.config import Config

    from sinks.aws_client import client as client_of

    kinesis = settings.kinesis_endpoint if service == "kinesis" else None
    client = client_of(
        service,
        region_name=settings.region,
        endpoint_url=kinesis or settings.aws_endpoint,
        config=Config(
            connect_timeout=CONNECT_SECONDS_MAX,
            read_timeout=READ_SECONDS_MAX,
            max_pool_connections=_CONNECTIONS_MAX,
            retries={"mode": "standard", "max_attempts": 2},
            s3={"addressing_style": "path"} if settings.aws_endpoint else None,
        ),
    )
    if answered is not None:
        client.meta.events.register("after-call", lambda **_: answered())
    return client


class Services:
    """Everything that one shard writes to. `stop` ends every wait; `telemetry` hears of retries."""

    def __init__(
        self, settings: Settings, stop: threading.Event, telemetry: Telemetry | None = None
    ) -> None:
        telemetry = telemetry or Telemetry(None)
        count = telemetry.count_retry

        def client(service: str) -> Any:
            return aws_client(settings, service, telemetry.progress)

        store = S3ObjectStore(client("s3"), settings.bucket, stop, count_retry=count)
        dynamodb, application = client("dynamodb"), settings.own_application
        self.fence = DynamoFence(
            dynamodb, settings.ledger_table, application, stop, count_retry=count
        )
        self.lease = DynamoLease(dynamodb, application, worker_id(), stop, count_retry=count)
        kinesis = client("kinesis")
        self.lineage = KinesisLineage(kinesis, settings.stream, stop, count_retry=count)
        self.snapshot_store: ObjectStore = (
            DirectoryObjectStore(settings.snapshot_directory)
            if settings.snapshot_directory
            else store
        )
        self.shadow: ShadowServices | None = None
        self.sinks: tuple[Sink, ...]
        self.lake: ParquetSink | Nowhere
        self.dead_letters: DeadLetterSink | ShadowFailures
        self.pager: Pager | Nowhere
        if settings.shadow is not None:
            # What a live worker writes to is not even there for it.
            self.shadow = ShadowServices(
                settings,
                settings.shadow,
                dynamodb,
                store,
                self.snapshot_store,
                self.lineage,
                kinesis,
                stop,
            )
            self.sinks = (self.shadow.pages,)
            self.dead_letters = ShadowFailures(self.shadow.pages.notes)
            self.lake = self.pager = Nowhere()
        else:
            writer = str(uuid4())
            lake = ParquetSink(store, staging=f"staging/{application}/", writer=writer)
            opensearch = OpenSearchSink(search_client(settings), stop, count_retry=count)
            keys = settings.archive_keys
            archive = (ArchiveSink(store, settings.stream, keys),) if keys else ()
            self.lake, self.sinks = lake, (opensearch, lake, *archive)
            self.dead_letters = DeadLetterSink(
                client("sqs"), settings.dead_letter_queue_url, store, stop, count_retry=count
            )
            self.pager = _pager(settings, writer)


def _pager(settings: Settings, writer: str) -> Pager:
    # Clients of their own: what the outbox hears from AWS is no progress of a commit.
    return Pager(
        aws_client(settings, "sns"),
        settings.topic_arn,
        Ledger(aws_client(settings, "dynamodb"), settings.ledger_table, writer),
        live_view=settings.live_view_url,
        dashboards=settings.dashboards_url,
    )
