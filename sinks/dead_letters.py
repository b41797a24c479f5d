"""Reads the dead-letter queue and gives back what is not deleted: SQS has no other way to look."""

import itertools
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Any, Final, Self

import msgspec

from events.instant import Instant
from sinks.aws_errors import passes
from sinks.letter import Letter, letter_of
from sinks.retry import WAIT_SECONDS_MAX, Retry, Transient

MESSAGES_READ_MAX: Final = 10_000
"""Messages that one reading takes, unless it is told otherwise."""

HIDDEN_SECONDS_MAX: Final = 120
"""How long a message that was read stays hidden from others if this process is killed."""

HAND_BACK_SECONDS_MAX: Final = 30.0
"""How long giving back may take; what is not given back by then comes back by itself."""

_REQUEST_MESSAGES: Final = 10
_HAND_BACKS: Final = 4
_EMPTY_ANSWERS: Final = 2
_STALE_ANSWERS: Final = 20
_MILLISECOND: Final[Instant] = 1_000

_log = logging.getLogger(__name__)


class QueueState(msgspec.Struct, frozen=True):
    """What the queue says of itself; SQS calls the counts approximate."""

    messages: int
    hidden: int
    """In another reader's hands now: not to be seen until it gives them back."""
    retention_seconds: int
    receives_max: int | None
    """So many readings move a message elsewhere, where somebody set the queue up so."""


class Held(msgspec.Struct, frozen=True):
    """One message of the queue, hidden from others until it is removed or given back."""

    letter: Letter
    message_id: str


class DeadLetters:
    """The dead letters of the queue `queue_url`, for as long as the context lasts.

    Reading hides messages from others for `HIDDEN_SECONDS_MAX` at most; leaving the context gives
    back at once whatever was not removed. `stop` ends every wait and the reading itself. Nothing
    is deleted but by `remove`.

    Args:
        messages_max: how many messages are read, at most.
        poll_seconds: how long SQS waits for messages before it says that there are none.
    """

    def __init__(
        self,
        client: Any,
        queue_url: str,
        stop: threading.Event,
        *,
        messages_max: int = MESSAGES_READ_MAX,
        poll_seconds: int = 1,
        on_read: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._queue_url = queue_url
        self._stop = stop
        self._messages_max = messages_max
        self._poll_seconds = poll_seconds
        self._on_read = on_read
        self._clock = clock
        self._retry = Retry("sqs", stop, passes=passes, wait_seconds_max=wait_seconds_max)
        self._handles: dict[str, str] = {}
        self._removed: set[str] = set()
        self.read = 0
        """Distinct messages read so far."""
        self.cut: str | None = None
        """Why the reading ended before the queue did, or None."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.hand_back()

    def state(self) -> QueueState:
        """What the queue says of itself now."""
        answer = self._retry.call(
            lambda: self._client.get_queue_attributes(
                QueueUrl=self._queue_url, AttributeNames=["All"]
            )
        )
        said = answer["Attributes"]
        policy = msgspec.json.decode(said.get("RedrivePolicy") or "{}")
        return QueueState(
            messages=int(said["ApproximateNumberOfMessages"]),
            hidden=int(said.get("ApproximateNumberOfMessagesNotVisible", 0)),
            retention_seconds=int(said.get("MessageRetentionPeriod", 0)),
            receives_max=int(policy["maxReceiveCount"]) if policy else None,
        )

    def messages(self) -> Iterator[Held]:
        """Every message once, in no order, until the queue shows no more or a bound is reached.

        `cut` says afterwards whether there may be more. Messages that others hold do not show.
        """
        empty = stale = 0
        while empty < _EMPTY_ANSWERS:
            if self._stop.is_set():
                self.cut = "the time was up"
                return
            fresh, known = self._receive()
            empty = 0 if fresh or known else empty + 1
            stale = 0 if fresh else stale + known
            if stale > _STALE_ANSWERS * _REQUEST_MESSAGES:
                self.cut = "messages came back faster than new ones were read"
                return
            for held in fresh:
                if self.read >= self._messages_max:
                    self.cut = f"the bound of {self._messages_max:,} messages was reached"
                    return
                self.read += 1
                yield held
            if fresh:
                self._on_read(self.read)

    def remove(self, held: Iterable[Held]) -> int:
        """Delete these messages from the queue; how many could not be deleted.

        One that is left was in our hands for too long: somebody else has it now.
        """
        left = 0
        for some in _tens(one.message_id for one in held):
            left += self._retry.call(partial(self._delete, some))
        return left

    def hand_back(self) -> None:
        """Show everything that was not removed to others again. Raises nothing on the way."""
        deadline = self._clock() + HAND_BACK_SECONDS_MAX

        def show(message_ids: list[str]) -> int:
            if self._clock() > deadline:
                return len(message_ids)
            return self._show(message_ids)

        # Ten messages a request: one after the other would take longer than they are hidden.
        with ThreadPoolExecutor(_HAND_BACKS, thread_name_prefix="hand-back") as threads:
            left = sum(threads.map(show, _tens(list(self._handles))))
        self._handles.clear()
        if left:
            _log.warning("%d messages show again within %d s only", left, HIDDEN_SECONDS_MAX)

    def _receive(self) -> tuple[list[Held], int]:
        """The new messages of one answer, and how many it held that were known already."""
        answer = self._retry.call(
            lambda: self._client.receive_message(
                QueueUrl=self._queue_url,
                MaxNumberOfMessages=_REQUEST_MESSAGES,
                VisibilityTimeout=HIDDEN_SECONDS_MAX,
                WaitTimeSeconds=self._poll_seconds,
                MessageSystemAttributeNames=["SentTimestamp"],
            )
        )
        fresh = []
        known = 0
        for got in answer.get("Messages", ()):
            message_id = got["MessageId"]
            seen = message_id in self._handles or message_id in self._removed
            self._handles[message_id] = got["ReceiptHandle"]  # the newest one counts
            if seen:
                known += 1
                continue
            sent = got.get("Attributes", {}).get("SentTimestamp")
            sent_at = int(sent) * _MILLISECOND if sent else None
            fresh.append(Held(letter_of(message_id, got["Body"], sent_at), message_id))
        return fresh, known

    def _delete(self, message_ids: list[str]) -> int:
        """Delete them and forget them; those that the queue refused for good stay counted."""
        waiting = [one for one in message_ids if one in self._handles]
        if not waiting:
            return 0
        answer = self._client.delete_message_batch(
            QueueUrl=self._queue_url,
            Entries=[
                {"Id": str(n), "ReceiptHandle": self._handles[one]} for n, one in enumerate(waiting)
            ],
        )
        for done in answer.get("Successful", ()):
            one = waiting[int(done["Id"])]
            self._removed.add(one)
            del self._handles[one]
        failed = answer.get("Failed", ())
        if any(not entry.get("SenderFault") for entry in failed):
            raise Transient(f"{len(failed)} messages not deleted")
        return len(failed)

    def _show(self, message_ids: list[str]) -> int:
        """Show them to others again; how many stay hidden for a while."""
        from botocore.exceptions import BotoCoreError, ClientError

        entries = [
            {"Id": str(n), "ReceiptHandle": self._handles[one], "VisibilityTimeout": 0}
            for n, one in enumerate(message_ids)
        ]
        try:
            self._client.change_message_visibility_batch(QueueUrl=self._queue_url, Entries=entries)
        except (BotoCoreError, ClientError):
            return len(message_ids)  # they come back by themselves
        return 0


def _tens(ids: Iterable[str]) -> Iterator[list[str]]:
    iterator = iter(ids)
    while some := list(itertools.islice(iterator, _REQUEST_MESSAGES)):
        yield some
