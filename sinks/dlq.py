"""Rejections to the dead-letter queue in SQS; their bytes to S3 where they are too large for it."""

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from events.batch import Batch
from events.rejection import Rejection
from sinks.aws_errors import passes
from sinks.letter import message
from sinks.object_store import ObjectStore
from sinks.retry import WAIT_SECONDS_MAX, Retry, Transient
from sinks.sink import Written

REQUEST_BYTES_MAX = 256 * 1024
"""Bytes of one request, and so of one message. SQS takes 1 MiB since 2025; endpoints differ."""

REQUEST_MESSAGES_MAX = 10


class DeadLetterSink:
    """Sends every rejection, with its bytes, to the queue `queue_url`.

    A record whose message would be over the limit goes to `store` under
    `<prefix>/<shard>/<position>`, and the message points there. Sent twice, a rejection stands in
    a standard queue twice: sinks/letter.py says what the letter is known by.
    """

    name = "dlq"

    def __init__(
        self,
        client: Any,
        queue_url: str,
        store: ObjectStore,
        stop: threading.Event,
        prefix: str = "dead-letters",
        *,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._queue_url = queue_url
        self._store = store
        self._prefix = prefix
        self._retry = Retry(
            self.name, stop, passes=passes, count=count_retry, wait_seconds_max=wait_seconds_max
        )

    def write(self, batch: Batch) -> Written:
        """Send the rejections of `batch`; see Sink."""
        self.write_rejections(batch.rejections)
        return Written()

    def write_rejections(self, rejections: Sequence[Rejection]) -> None:
        """Return when all of `rejections` are in the queue.

        Raises:
            Stopped: the stop event was set before the queue took them all.
        """
        for messages in _requests(map(self._message, rejections)):
            self._send(messages)

    def close(self) -> None:
        """Nothing to let go of: client and store belong to who made them."""

    def _message(self, rejection: Rejection) -> str:
        text = message(rejection)
        if len(text) <= REQUEST_BYTES_MAX:
            return text
        key = f"{self._prefix}/{rejection.position.shard_id}/{rejection.position.slug}"
        self._store.put(key, rejection.data)
        return message(rejection, key)

    def _send(self, messages: list[str]) -> None:
        waiting = dict(enumerate(messages))

        def attempt() -> None:
            answer = self._client.send_message_batch(
                QueueUrl=self._queue_url,
                Entries=[{"Id": str(n), "MessageBody": text} for n, text in waiting.items()],
            )
            for taken in answer.get("Successful", ()):
                waiting.pop(int(taken["Id"]), None)
            if waiting:
                codes = {entry.get("Code", "unknown") for entry in answer.get("Failed", ())}
                raise Transient(f"{len(waiting)} messages not taken: {', '.join(sorted(codes))}")

        self._retry.call(attempt)


def _requests(messages: Iterator[str]) -> Iterator[list[str]]:
    """`messages` in order, as many to a request as it may hold."""
    held: list[str] = []
    size = 0
    for text in messages:
        if held and (len(held) == REQUEST_MESSAGES_MAX or size + len(text) > REQUEST_BYTES_MAX):
            yield held
            held, size = [], 0
        held.append(text)
        size += len(text)
    if held:
        yield held
