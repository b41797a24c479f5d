"""Puts records onto a Kinesis stream: batched, retried, in order."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from botocore.exceptions import ConnectionError as ConnectionFailed
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

Order = Literal["key", "request"]

REQUEST_RECORDS_MAX = 500
"""Records that one PutRecords request may hold (Kinesis' bound)."""

REQUEST_BYTES_MAX = 10 * 2**20
"""Bytes that one PutRecords request may hold, partition keys included (Kinesis' bound)."""

RECORD_BYTES_MAX = 2**20
"""Bytes of one record with its partition key, unless its stream was told to take more.

A stream takes 1 MiB until UpdateMaxRecordSize raises that, to 10 MiB at most.
"""

_TRY_AGAIN = frozenset(
    {
        "InternalFailure",
        "InternalServerError",
        "KMSThrottlingException",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestTimeout",
        "ServiceUnavailable",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
    }
)


class ProducerError(Exception):
    """The stream did not take a record; the message says which, by its place in the input."""


class _Put(NamedTuple):
    place: int
    key: str
    data: bytes

    @property
    def size(self) -> int:
        return len(self.data) + len(self.key.encode())


class _Incomplete(Exception):  # noqa: N818 -- no error of its own: it asks for the next attempt
    """Some records of a request are not acknowledged yet."""


def put_all(
    client: Any,
    stream: str,
    records: Iterable[tuple[str, bytes]],
    *,
    order: Order | None = None,
    batch_records_max: int = REQUEST_RECORDS_MAX,
    batch_bytes_max: int = 4 * 2**20,
    record_bytes_max: int = RECORD_BYTES_MAX,
    attempts_max: int = 12,
    wait_seconds_max: float = 5.0,
    on_progress: Callable[[int], None] | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Put every (partition key, data) of `records` onto `stream`; return how many were put.

    One request is under way at a time, and the next one waits until every record of the last is
    acknowledged; of a request that was taken in part, only what failed is sent again, after a wait
    drawn from 0 to an exponentially growing bound (full jitter), `attempts_max` times at most.

    PutRecords promises no order within a request: a record that fails is overtaken by those behind
    it in the same request. `order` says what to do about that:

    - "key": a request ends before the second record of any key, so that no record is ever overtaken
      by a later one of its own key. Requests are short where keys are few.
    - "request": requests are full. The input's whole order is kept as long as no request fails in
      part; where one does, a record may be overtaken by those of its own request. For endpoints
      that do not throttle, such as the embedded one, and where speed matters more.

    Delivery is at least once: a request whose answer got lost is sent again. `on_progress` is
    called after each request with the number of records acknowledged so far, which are always the
    first so many of the input.

    Raises:
        ProducerError: a record is over `record_bytes_max` (all before it are acknowledged), the
            stream refused a request for good, or `attempts_max` tries were not enough.
    """
    put = 0
    batches = _batches(
        records,
        one_per_key=(order or _order_for(client)) == "key",
        records_max=min(batch_records_max, REQUEST_RECORDS_MAX),
        bytes_max=min(batch_bytes_max, REQUEST_BYTES_MAX),
        record_bytes_max=record_bytes_max,
    )
    for batch in batches:
        retrying = Retrying(
            sleep=sleep,
            stop=stop_after_attempt(attempts_max),
            wait=wait_random_exponential(multiplier=0.1, max=wait_seconds_max),
            retry=retry_if_exception_type(_Incomplete),
            reraise=True,
        )
        _put_batch(client, stream, batch, retrying)
        put += len(batch)
        if on_progress is not None:
            on_progress(put)
    return put


def _order_for(client: Any) -> Order:
    """The order that keeps a key's records in order at the endpoint of `client`."""
    endpoint = str(getattr(getattr(client, "meta", None), "endpoint_url", ""))
    host = urlsplit(endpoint).hostname or "amazonaws.com"
    amazon = host.endswith((".amazonaws.com", ".amazonaws.com.cn", ".api.aws"))
    return "key" if amazon or host == "amazonaws.com" else "request"


def _batches(
    records: Iterable[tuple[str, bytes]],
    *,
    one_per_key: bool,
    records_max: int,
    bytes_max: int,
    record_bytes_max: int,
) -> Iterator[list[_Put]]:
    """Cut the input into requests; an oversized record ends it, after what lies before it."""
    batch: list[_Put] = []
    keys: set[str] = set()
    size = 0
    for place, (key, data) in enumerate(records):
        put = _Put(place, key, data)
        oversized = put.size > record_bytes_max
        full = len(batch) >= records_max or size + put.size > bytes_max
        if batch and (oversized or full or (one_per_key and key in keys)):
            yield batch
            batch, keys, size = [], set(), 0
        if oversized:
            raise ProducerError(
                f"record {place} of the input (the first is 0) has {put.size:,} bytes with its"
                f" partition key; the stream takes {record_bytes_max:,}"
            )
        batch.append(put)
        keys.add(key)
        size += put.size
    if batch:
        yield batch


def _put_batch(client: Any, stream: str, batch: list[_Put], retrying: Retrying) -> None:
    """Return once every record of `batch` is acknowledged."""
    pending = batch

    def attempt() -> None:
        nonlocal pending
        pending, complaint = _put_once(client, stream, pending)
        if pending:
            raise _Incomplete(complaint)

    try:
        retrying(attempt)
    except _Incomplete as incomplete:
        raise ProducerError(
            f"stream {stream} did not take {len(pending)} of {len(batch)} records, from record"
            f" {pending[0].place} of the input on, in {retrying.statistics['attempt_number']}"
            f" tries: {incomplete}"
        ) from incomplete.__cause__


def _put_once(client: Any, stream: str, pending: list[_Put]) -> tuple[list[_Put], str]:
    """Send one request; return what was not acknowledged, and what the stream said about it."""
    try:
        answer = client.put_records(
            StreamName=stream,
            Records=[{"Data": put.data, "PartitionKey": put.key} for put in pending],
        )
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in _TRY_AGAIN or status >= 500:  # noqa: PLR2004 -- HTTP's own server errors
            return pending, str(error)
        raise ProducerError(
            f"stream {stream} refused records {pending[0].place} to {pending[-1].place}"
            f" of the input: {error}"
        ) from error
    except (ConnectionFailed, HTTPClientError) as error:
        return pending, str(error)
    except BotoCoreError as error:
        raise ProducerError(f"no request to stream {stream} can be made: {error}") from error
    verdicts = answer["Records"]
    failed = [put for put, verdict in zip(pending, verdicts, strict=True) if "ErrorCode" in verdict]
    said = [f"{v['ErrorCode']}: {v.get('ErrorMessage')}" for v in verdicts if "ErrorCode" in v]
    return failed, said[0] if said else ""
