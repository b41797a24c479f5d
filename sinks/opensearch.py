"""Transactions, pages, rejections and the state of shards in OpenSearch."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from events.batch import Batch, Scored
from events.instant import Instant
from events.rejection import Rejection
from sinks import document
from sinks.bulk import BODY_BYTES_MAX, Body, ItemError, Refuse, bodies, detail_of, field_of, judge
from sinks.document import Entry, Source
from sinks.opensearch_client import BodyRefused, bulk
from sinks.retry import WAIT_SECONDS_MAX, Retry, Transient
from sinks.sink import Written

REQUESTS_MAX = 2
ID_BYTES_MAX = 512
"""OpenSearch refuses a whole body for one id that is longer."""

ID_CHARACTERS_SAFE = ID_BYTES_MAX // 4
"""So many characters are never more bytes than that."""

_log = logging.getLogger(__name__)


class OpenSearchSink:
    """Indexes a batch: its transactions, pages and rejections, and one status document.

    `client` is what sinks.opensearch_client.connect gave; `clock` is what the status document
    calls now. At most `requests_max` bodies of `body_bytes_max` are on their way at a time, and
    one more is being built. What OpenSearch refuses for good comes back as a Rejection if it is a
    transaction, and is logged if it is anything else.
    """

    name = "opensearch"

    def __init__(
        self,
        client: Any,
        stop: threading.Event,
        *,
        clock: Callable[[], Instant] = lambda: time.time_ns() // 1_000,
        body_bytes_max: int = BODY_BYTES_MAX,
        requests_max: int = REQUESTS_MAX,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._clock = clock
        self._body_bytes_max = body_bytes_max
        self._requests_max = requests_max
        self._retry = Retry(self.name, stop, count=count_retry, wait_seconds_max=wait_seconds_max)
        self._threads = ThreadPoolExecutor(requests_max, thread_name_prefix="opensearch")

    def write(self, batch: Batch) -> Written:
        """Index `batch`; see Sink."""
        return self._write(partial(self._entries, batch))

    def write_transactions(self, scored: Iterable[Scored]) -> Written:
        """Index transactions alone: what was refused before, and shows nothing of a shard."""
        return self._write(partial(self._transactions, scored))

    def _write(self, entries: Callable[[Refuse], Iterator[Entry]]) -> Written:
        refused: list[Rejection] = []

        def refuse(source: Source, reason: str, detail: str, field: str | None) -> None:
            if isinstance(source, Scored):
                refused.append(_rejection(source, reason, detail, field))
            else:
                _log.error("%s not indexed: %s: %s", type(source).__name__, reason, detail)

        self._send_all(entries(refuse), refuse)
        refused.sort(key=lambda rejection: rejection.position.order)
        # What was refused just now is among the rejections that the live view shows.
        self._send_all(map(document.rejection, refused), refuse)
        return Written(rejections=tuple(refused))

    def close(self) -> None:
        """Let go of threads and connections."""
        self._threads.shutdown()
        self._client.close()

    def _entries(self, batch: Batch, refuse: Refuse) -> Iterator[Entry]:
        yield from self._transactions(batch.scored, refuse)
        yield from map(document.page, document.latest(batch.pages))
        yield from map(document.rejection, batch.rejections)
        yield document.status(batch, self._clock())

    def _transactions(self, scored: Iterable[Scored], refuse: Refuse) -> Iterator[Entry]:
        for item in scored:
            id_ = item.transaction.transaction_id
            if not id_ or (len(id_) > ID_CHARACTERS_SAFE and len(id_.encode()) > ID_BYTES_MAX):
                refuse(item, "bad_id", "no id, or one that is too long", "transaction_id")
                continue
            try:
                yield document.transaction(item)
            except (KeyError, OverflowError) as error:
                refuse(item, "not_encodable", type(error).__name__, None)

    def _send_all(self, entries: Iterable[Entry], refuse: Refuse) -> None:
        """Bring all of `entries` to their end, `requests_max` bodies at a time."""
        on_the_way: set[Future[None]] = set()
        try:
            for body in bodies(entries, refuse, self._body_bytes_max):
                if len(on_the_way) == self._requests_max:
                    done, on_the_way = wait(on_the_way, return_when=FIRST_COMPLETED)
                    _raise_first(done)
                on_the_way.add(self._threads.submit(self._send, body, refuse))
        finally:
            done, _ = wait(on_the_way)
        _raise_first(done)

    def _send(self, body: Body, refuse: Refuse) -> None:
        """Bring `body` to its end: every entry durable or refused."""
        waiting = [body]
        while waiting:
            current = waiting.pop()
            try:
                self._send_one(current, refuse)
            except BodyRefused as error:
                if len(current.sources) > 1:
                    waiting.extend(reversed(current.halves()))
                else:
                    said = ItemError("body_refused", error.error)
                    refuse(current.sources[0], f"http_{error.status}", detail_of(said), None)

    def _send_one(self, body: Body, refuse: Refuse) -> None:
        left = body

        def attempt() -> None:
            nonlocal left
            answer = bulk(self._client, left.data)
            try:
                verdict = judge(answer, left)
            except ValueError as error:
                raise Transient(str(error)) from error
            for item in verdict.refused:
                why = item.error
                refuse(left.sources[item.index], why.type, detail_of(why), field_of(why))
            if verdict.again:
                left = left.only(verdict.again)
                said = verdict.trouble or ItemError()
                raise Transient(f"{len(left.sources)} items: {said.type}: {detail_of(said)}")

        self._retry.call(attempt)


def _raise_first(done: set[Future[None]]) -> None:
    for future in done:
        future.result()


def _rejection(item: Scored, reason: str, detail: str, field: str | None) -> Rejection:
    return Rejection(
        position=item.position,
        data=item.data,
        stage=OpenSearchSink.name,
        reason=reason,
        field=field,
        detail=detail,
        arrived_at=item.arrived_at,
        shop_id=item.transaction.shop_id,
    )
