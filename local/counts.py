"""What came out of a run, each figure counted in the place itself, not in the consumer."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from local.stack import Stack
from local.stream_reading import Contents
from sinks.dead_letters import DeadLetters
from sinks.opensearch_client import connect

_READERS = 8
_MESSAGES_MAX = 100_000


class Counts(msgspec.Struct, frozen=True):
    """The summary of a run.

    `records` are those on the stream; `transactions` distinct ids in the Parquet files;
    `rejections` records in the dead-letter queue, each once; `repeated` records that lie on the
    stream again, byte for byte, and are no rejections: the three of them add up to `records`.
    `refunds`, `pages` and `documents` are what OpenSearch holds; `parquet_rows` the rows of the
    published files; `seconds` from the first record put to the last one out.
    """

    records: int
    transactions: int
    rejections: int
    repeated: int
    refunds: int
    pages: int
    documents: int
    parquet_rows: int
    seconds: float


def count(stack: Stack, found: Contents, seconds: float) -> Counts:
    """Count what the stack holds now; what the stream held and `seconds` are the caller's to know.

    Raises:
        ValueError: there is no OpenSearch, or there are more dead letters than can be counted.
    """
    made = stack.provisioned
    if stack.node is None:
        raise ValueError("there is no OpenSearch to count in")
    documents, refunds, pages = _indexed(stack.node.url)
    rows, transactions = _parquet(stack.aws.client("s3"), made.bucket)
    letters = rejected_ids(stack.aws.client("sqs"), made.dead_letter_queue_url)
    return Counts(
        records=found.records,
        transactions=transactions,
        rejections=len(letters),
        repeated=len(found.again - letters),
        refunds=refunds,
        pages=pages,
        documents=documents,
        parquet_rows=rows,
        seconds=round(seconds, 1),
    )


def _indexed(url: str) -> tuple[int, int, int]:
    """Documents, those of them that are refunds, and pages."""
    client = connect(url)
    try:
        client.indices.refresh(index="transactions-*,pages-*")
        refunds = {"query": {"term": {"type": "REFUND"}}}
        return (
            client.count(index="transactions-*")["count"],
            client.count(index="transactions-*", body=refunds)["count"],
            client.count(index="pages-*")["count"],
        )
    finally:
        client.close()


def _parquet(s3: Any, bucket: str) -> tuple[int, int]:
    """Rows and distinct transactions of everything under processed/."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def ids(key: str) -> Any:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return pq.ParquetFile(pa.BufferReader(body)).read(["transaction_id"])["transaction_id"]

    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="processed/")
    keys = [entry["Key"] for page in pages for entry in page.get("Contents", ())]
    rows = 0
    distinct: set[str] = set()
    with ThreadPoolExecutor(_READERS) as readers:
        for column in readers.map(ids, keys):
            rows += len(column)
            distinct.update(column.to_pylist())
    return rows, len(distinct)


def rejected(sqs: Any, queue_url: str) -> int:
    """Distinct records in the dead-letter queue; see `rejected_ids`."""
    return len(rejected_ids(sqs, queue_url))


def rejected_ids(sqs: Any, queue_url: str) -> frozenset[str]:
    """The ids of the records in the dead-letter queue, which keeps them all.

    Raises:
        ValueError: there are more than can be counted.
    """
    letters = DeadLetters(
        sqs, queue_url, threading.Event(), messages_max=_MESSAGES_MAX, poll_seconds=0
    )
    with letters:
        ids = frozenset(held.letter.record_id for held in letters.messages())
    if letters.cut is not None:
        raise ValueError(f"the dead-letter queue cannot be counted: {letters.cut}")
    return ids
