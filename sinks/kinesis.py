"""One record onto a Kinesis stream so that it stands there once, and a look whether it does."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

import msgspec
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
)

from events.instant import HOUR, SECOND, Instant, to_datetime
from sinks.aws_errors import passes
from sinks.retry import WAIT_SECONDS_MAX, Retry
from sinks.sink import Stopped

CLOCK_MARGIN: Final[Instant] = 300 * SECOND
"""How far this machine's clock may be off: with more, AWS refuses what it signs."""

SETTLE_SECONDS: Final = 5.0
"""How long a request whose answer was lost may still be on its way into the stream."""

_READ_RECORDS: Final = 10_000
_READ_PAUSE_SECONDS: Final = 0.25
"""A shard takes five reads a second, and its consumer needs one of them."""

_SERVER_ERROR: Final = 500
_NEVER_SENT = ConnectTimeoutError | EndpointConnectionError


class Placed(msgspec.Struct, frozen=True):
    """Where the stream put a record."""

    shard_id: str
    sequence_number: str


class StreamWriter:
    """Puts single records onto `stream`, each so that it stands there once.

    `client` is boto3's Kinesis client and must try nothing twice: Kinesis takes a repeated request
    as a second record. So a request whose answer was lost (a time-out, a 5xx) is not repeated
    before the stream was looked through for its record. What is left is a request that is still on
    its way when the look is over, `SETTLE_SECONDS` after its answer was given up.

    `clock` is the time now; `stop` ends every wait, with Stopped.
    """

    def __init__(
        self,
        client: Any,
        stream: str,
        stop: threading.Event,
        *,
        clock: Callable[[], Instant] = lambda: time.time_ns() // 1_000,
        settle_seconds: float = SETTLE_SECONDS,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._stream = stream
        self._stop = stop
        self._clock = clock
        self._settle_seconds = settle_seconds
        self._wait_seconds_max = wait_seconds_max
        self._retry = Retry("kinesis", stop, passes=passes, wait_seconds_max=wait_seconds_max)

    def put(self, key: str, data: bytes, deadline: threading.Event) -> Placed:
        """Put `data` under the partition key `key`; no request begins once `deadline` is set.

        Raises:
            Stopped: `deadline` was set, and it is not known whether the record is on the stream.
            ClientError, BotoCoreError: the stream does not take it, and never will as it is.
        """
        began = self._clock()
        unsure = False

        def attempt() -> Placed:
            nonlocal unsure
            if deadline.is_set() or (unsure and deadline.wait(self._settle_seconds)):
                raise Stopped("the time for the put was up")
            if unsure:
                if (found := self.find(key, data.__eq__, began)) is not None:
                    return found
                unsure = False
            try:
                answer = self._client.put_record(
                    StreamName=self._stream, PartitionKey=key, Data=data
                )
            except (ClientError, BotoCoreError) as error:
                unsure = _answer_lost(error)
                raise
            return Placed(answer["ShardId"], answer["SequenceNumber"])

        wait_seconds_max = self._wait_seconds_max
        retry = Retry("kinesis", deadline, passes=passes, wait_seconds_max=wait_seconds_max)
        return retry.call(attempt)

    def find(
        self, key: str, is_it: Callable[[bytes], bool], since: Instant, until: Instant | None = None
    ) -> Placed | None:
        """The first record under `key` whose bytes `is_it` takes, put between `since` and now.

        Every shard that `key` may have gone to is read, from `CLOCK_MARGIN` before `since` on, up
        to its end or tip, or `CLOCK_MARGIN` behind `until`.

        Raises:
            Stopped: the time was up before the end was reached.
        """
        for shard_id in self._shards_of(key):
            for record in self._read(shard_id, since - CLOCK_MARGIN, until):
                if record["PartitionKey"] == key and is_it(record["Data"]):
                    return Placed(shard_id, record["SequenceNumber"])
        return None

    def keeps(self) -> Instant:
        """How long the stream keeps a record, in microseconds."""
        answer = self._retry.call(
            lambda: self._client.describe_stream_summary(StreamName=self._stream)
        )
        hours: int = answer["StreamDescriptionSummary"]["RetentionPeriodHours"]
        return hours * HOUR

    def _shards_of(self, key: str) -> list[str]:
        """Every shard, open or closed, whose range holds the hash of `key`."""
        place = int.from_bytes(hashlib.md5(key.encode(), usedforsecurity=False).digest())
        found = []
        question: dict[str, Any] = {"StreamName": self._stream}
        while question:
            answer = self._retry.call(partial(self._client.list_shards, **question))
            for shard in answer["Shards"]:
                range_ = shard["HashKeyRange"]
                if int(range_["StartingHashKey"]) <= place <= int(range_["EndingHashKey"]):
                    found.append(shard["ShardId"])
            token = answer.get("NextToken")
            question = {"NextToken": token} if token else {}
        return found

    def _read(self, shard_id: str, since: Instant, until: Instant | None) -> Iterator[Any]:
        begin = to_datetime(since)
        iterator = self._retry.call(
            lambda: self._client.get_shard_iterator(
                StreamName=self._stream,
                ShardId=shard_id,
                ShardIteratorType="AT_TIMESTAMP",
                Timestamp=begin,
            )["ShardIterator"]
        )
        end = None if until is None else to_datetime(until + CLOCK_MARGIN)
        while iterator:
            answer = self._retry.call(
                partial(self._client.get_records, ShardIterator=iterator, Limit=_READ_RECORDS)
            )
            for record in answer["Records"]:
                if end is not None and record["ApproximateArrivalTimestamp"] > end:
                    return
                yield record
            if answer["MillisBehindLatest"] == 0:
                return
            iterator = answer.get("NextShardIterator")
            if self._stop.wait(_READ_PAUSE_SECONDS):
                raise Stopped("stopped while looking through the stream")


def _answer_lost(error: ClientError | BotoCoreError) -> bool:
    """Whether the stream may have taken a record all the same."""
    if isinstance(error, ClientError):
        status: int = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status >= _SERVER_ERROR
    return not isinstance(error, _NEVER_SENT)
