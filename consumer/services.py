"""The services of one shard's process: clients made from the settings, and the sinks on them."""

import threading
from typing import Any

from consumer.settings import Settings
from sinks.directory import DirectoryObjectStore
from sinks.dlq import DeadLetterSink
from sinks.dynamodb import Ledger
from sinks.object_store import ObjectStore
from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import connect
from sinks.parquet import ParquetSink
from sinks.s3 import S3ObjectStore
from sinks.sink import Sink
from sinks.sns import PageSink

CONNECT_SECONDS_MAX = 5
READ_SECONDS_MAX = 30
_CONNECTIONS_MAX = 8


def aws_client(settings: Settings, service: str) -> Any:
    """A boto3 client with stated deadlines; sinks/retry.py does the waiting, botocore little."""
    import boto3
    from botocore.config import Config

    kinesis = settings.kinesis_endpoint if service == "kinesis" else None
    return boto3.client(
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


class Services:
    """Everything that one shard writes to. `stop` ends every wait."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        store = S3ObjectStore(aws_client(settings, "s3"), settings.bucket, stop)
        password = settings.opensearch_password
        opensearch = OpenSearchSink(
            connect(
                settings.opensearch_url,
                settings.opensearch_user,
                password.get_secret_value() if password else None,
            ),
            stop,
        )
        self.lake = ParquetSink(store)
        ledger = Ledger(aws_client(settings, "dynamodb"), settings.ledger_table, stop)
        pages = PageSink(aws_client(settings, "sns"), settings.topic_arn, ledger, stop)
        self.dead_letters = DeadLetterSink(
            aws_client(settings, "sqs"), settings.dead_letter_queue_url, store, stop
        )
        self.sinks: tuple[Sink, ...] = (opensearch, self.lake, pages)
        self.snapshot_store: ObjectStore = (
            DirectoryObjectStore(settings.snapshot_directory)
            if settings.snapshot_directory
            else store
        )
