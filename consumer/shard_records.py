"""The records of one shard straight from the stream, as the daemon would hand them to a child."""

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from consumer.aggregated import user_records
from consumer.lineage import HashRange
from events.instant import HOUR, Instant, from_datetime, to_datetime
from events.position import Position
from events.record import Record
from sinks.aws_errors import passes
from sinks.retry import WAIT_SECONDS_MAX, Retry
from sinks.sink import Stopped

READ_RECORDS_MAX = 10_000
"""As many as one read may give."""
READ_PAUSE_SECONDS = 0.25
"""A shard takes five reads a second."""


class Since(msgspec.Struct, frozen=True):
    """Where reading begins: at a sequence number, at a time, or, with neither, at the oldest."""

    sequence_number: str | None = None
    time: Instant | None = None


class ShardRecords:
    """Reads shards of `stream`, with backoff until `stop` is set."""

    def __init__(
        self,
        client: Any,
        stream: str,
        stop: threading.Event,
        *,
        pause_seconds: float = READ_PAUSE_SECONDS,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._stream = stream
        self._stop = stop
        self._pause_seconds = pause_seconds
        self._retry = Retry("kinesis", stop, passes=passes, wait_seconds_max=wait_seconds_max)

    def forgets_before(self, now: Instant) -> Instant | None:
        """Records put before this time are gone; None where none ever went."""
        answer = self._retry.call(
            lambda: self._client.describe_stream_summary(StreamName=self._stream)
        )["StreamDescriptionSummary"]
        kept_since: Instant = now - answer["RetentionPeriodHours"] * HOUR
        created = answer.get("StreamCreationTimestamp")
        if created is not None and from_datetime(created) > kept_since:
            return None
        return kept_since

    def read(
        self,
        shard_id: str,
        own: HashRange,
        since: Since,
        until: Position | None,
        behind: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Record]:
        """Every user record from `since` up to and with `until`, in order.

        Where `until` is None, up to the end of a shard that has ended. `behind` is told after each
        read how many milliseconds are left to the tip.

        Raises:
            Stopped: the time was up first.
        """
        last: str | None = None
        iterator: str | None = self._iterator(shard_id, since)
        while iterator:
            answer = self._next(iterator)
            if answer is None:  # it ran out while its records were worked on
                again = since if last is None else Since(last)
                iterator = self._iterator(shard_id, again)
                continue
            for record in answer["Records"]:
                sequence = record["SequenceNumber"]
                if last is not None and int(sequence) <= int(last):
                    continue
                if until is not None and int(sequence) > int(until.sequence_number):
                    return
                yield from _records(shard_id, own, record, until)
                last = sequence
            behind(answer["MillisBehindLatest"])
            if until is not None and (
                (last is not None and int(last) >= int(until.sequence_number))
                or (not answer["Records"] and answer["MillisBehindLatest"] == 0)
            ):
                return
            iterator = answer.get("NextShardIterator")
            if iterator and self._stop.wait(self._pause_seconds):
                raise Stopped("stopped while reading the stream")

    def _next(self, iterator: str) -> dict[str, Any] | None:
        """One read; None where the iterator has run out, which it does after five minutes."""
        try:
            answer: dict[str, Any] = self._retry.call(
                partial(self._client.get_records, ShardIterator=iterator, Limit=READ_RECORDS_MAX)
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "ExpiredIteratorException":
                return None
            raise
        return answer

    def _iterator(self, shard_id: str, since: Since) -> str:
        where: dict[str, Any] = {"ShardIteratorType": "TRIM_HORIZON"}
        if since.sequence_number is not None:
            where = {
                "ShardIteratorType": "AT_SEQUENCE_NUMBER",
                "StartingSequenceNumber": since.sequence_number,
            }
        elif since.time is not None:
            where = {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": to_datetime(since.time)}
        answer = self._retry.call(
            lambda: self._client.get_shard_iterator(
                StreamName=self._stream, ShardId=shard_id, **where
            )
        )
        found: str = answer["ShardIterator"]
        return found


def _records(
    shard_id: str, own: HashRange, record: dict[str, Any], until: Position | None
) -> Iterator[Record]:
    arrived = from_datetime(record["ApproximateArrivalTimestamp"])
    sequence = record["SequenceNumber"]
    for sub, (key, data) in enumerate(user_records(record["PartitionKey"], record["Data"], own)):
        position = Position(shard_id, sequence, sub)
        if until is not None and position.order > until.order:
            return
        # The daemon gives arrival in whole milliseconds; a float that came as text is near them.
        yield Record(position, data, key, (arrived + 500) // 1_000 * 1_000)
