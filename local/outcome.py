"""What came out: documents, rows, pages and messages, read from where they lie."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from consumer.snapshot import decode
from local.counts import rejected
from local.stack import Stack
from local.uninterrupted import Sending, fingerprint
from sinks.dynamodb_fence import DynamoFence
from sinks.page_json import PageMessage

_READERS = 4
_HITS_MAX = 2_000
_MESSAGES_MAX = 10
_decode_page = msgspec.json.Decoder(PageMessage).decode


class Outcome(msgspec.Struct, frozen=True):
    """What lies in OpenSearch, in the bucket and in the queues.

    `documents` are fingerprints by transaction id, and `rows` counts them in the published files;
    `scores` are the rows' own. `sendings` are the times (epoch milliseconds) at which the topic
    sent each revision of a page. `staged` are parts that were left behind, `orphans` snapshots'
    objects that no restart and no shard's heir could need.
    """

    documents: dict[str, bytes]
    rows: Counter[str]
    scores: dict[str, float]
    pages: dict[str, dict[str, Any]]
    sendings: dict[Sending, list[int]]
    rejections: int
    staged: list[str]
    orphans: list[str]


def read_outcome(stack: Stack) -> Outcome:
    """Read it all; the messages of the pages' queue are taken off it."""
    made = stack.provisioned
    client = stack.search_client()
    try:
        client.indices.refresh(index="transactions-*,pages-*")
        documents = {
            hit["_id"]: fingerprint(hit["_source"]) for hit in hits(client, "transactions-*")
        }
        pages = {hit["_id"]: hit["_source"] for hit in hits(client, "pages-*")}
    finally:
        client.close()
    s3 = stack.aws.client("s3")
    rows, scores = _rows(s3, made.bucket)
    sqs = stack.aws.client("sqs")
    return Outcome(
        documents,
        rows,
        scores,
        pages,
        _sendings(sqs, made.pages_queue_url),
        rejected(sqs, made.dead_letter_queue_url),
        list(_keys(s3, made.bucket, "staging/")),
        _orphans(stack),
    )


def _orphans(stack: Stack) -> list[str]:
    """The objects of snapshots that neither a fence names nor a snapshot that it names."""
    made = stack.provisioned
    s3 = stack.aws.client("s3")
    fence = DynamoFence(
        stack.aws.client("dynamodb"), made.ledger_table, made.application, threading.Event()
    )
    prefix = f"snapshots/{made.application}/"
    found = list(_keys(s3, made.bucket, prefix))
    needed: set[str] = set()
    for shard in {key.removeprefix(prefix).partition("/")[0] for key in found}:
        for key in set(fence.look(shard).snapshots.values()) & set(found):
            body = s3.get_object(Bucket=made.bucket, Key=key)["Body"].read()
            needed |= {key, *(link.key for link in decode(key, body).past)}
    return [key for key in found if key not in needed]


def hits(client: Any, index: str) -> Iterator[dict[str, Any]]:
    """Every document of `index`, each with the number of times that it was written."""
    body: dict[str, Any] = {
        "query": {"match_all": {}},
        "size": _HITS_MAX,
        "sort": ["_doc"],
        "version": True,
    }
    answer = client.search(index=index, body=body, scroll="2m")
    while answer["hits"]["hits"]:
        yield from answer["hits"]["hits"]
        answer = client.scroll(body={"scroll_id": answer["_scroll_id"], "scroll": "2m"})
    if "_scroll_id" in answer:  # where there is no such index, there is none
        client.clear_scroll(body={"scroll_id": [answer["_scroll_id"]]})


def _rows(s3: Any, bucket: str) -> tuple[Counter[str], dict[str, float]]:
    """How often each transaction stands in the published files, and the scores of refunds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def read(key: str) -> tuple[list[str], list[float | None]]:
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        table = pq.ParquetFile(pa.BufferReader(body)).read(["transaction_id", "score"])
        return table["transaction_id"].to_pylist(), table["score"].to_pylist()

    rows: Counter[str] = Counter()
    scores: dict[str, float] = {}
    with ThreadPoolExecutor(_READERS) as readers:
        for ids, values in readers.map(read, _keys(s3, bucket, "processed/")):
            rows.update(ids)
            scores.update(
                (id_, value) for id_, value in zip(ids, values, strict=True) if value is not None
            )
    return rows, scores


def _keys(s3: Any, bucket: str, prefix: str) -> Iterator[str]:
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        for entry in page.get("Contents", ()):
            yield entry["Key"]


def _sendings(sqs: Any, queue_url: str) -> dict[Sending, list[int]]:
    found: dict[Sending, list[int]] = {}
    while True:
        messages = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=_MESSAGES_MAX,
            AttributeNames=["SentTimestamp"],
        ).get("Messages")
        if not messages:
            break
        for message in messages:
            page = _decode_page(message["Body"])
            sent_at = int(message["Attributes"]["SentTimestamp"])
            found.setdefault((page.page_id, page.revision), []).append(sent_at)
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=message["ReceiptHandle"])
    return {sending: sorted(times) for sending, times in found.items()}
