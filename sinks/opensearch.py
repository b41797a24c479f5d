"""Transactions, pages, rejections and the state of shards in OpenSearch."""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from itertools import chain
from typing import Any, TypeVar

from events.batch import Batch, Scored
from events.failure import failure
from events.instant import Instant
from events.native import native
from events.page import Page
from events.rejection import Rejection
from events.suppression import Lift, Suppression
from events.verdict import Verdict as GivenVerdict
from sinks import document
from sinks.bulk import (
    BODY_BYTES_MAX,
    PIECE_BYTES_MAX,
    Body,
    ItemError,
    Refuse,
    Refused,
    Verdict,
    bodies,
    detail_of,
    field_of,
    joined,
    judge,
    pieces,
)
from sinks.bulk_errors import advice
from sinks.document import Entry, Source
from sinks.index_check import IndexCheck
from sinks.opensearch_client import BodyRefused, bulk
from sinks.prepared import Prepared
from sinks.retry import WAIT_SECONDS_MAX, Retry, Transient
from sinks.sink import Written

REQUESTS_MAX = 2
ID_BYTES_MAX = 512
"""OpenSearch refuses a whole body for one id that is longer."""

ID_CHARACTERS_SAFE = ID_BYTES_MAX // 4
"""So many characters are never more bytes than that."""

_native = native("sinks._bodies")
_TWINNED = document.transaction
"""What the C twin does as well: where another function stands in its place, that one is asked."""

_log = logging.getLogger(__name__)


class EverythingRefused(Exception):  # noqa: N818 -- the requests were refused, nothing broke
    """OpenSearch answers 400 or 413 to a document of our own too: it is not about any record.

    A proxy in the way, a wrong URL or a cluster that does not know the request: a person has to
    mend it, and no record is put aside for it.
    """


class OpenSearchSink:
    """Indexes a batch: its transactions, pages and rejections, and one status document.

    `client` is what sinks.opensearch_client.connect gave; `clock` is what the status document
    calls now. Nothing is written before the index templates are there, and no record is put aside
    before its index was seen to be right: until then it waits.

    All bodies of a batch are built before the first is sent; at most `requests_max`, of
    `body_bytes_max` each, are on their way at a time. What cannot be built, and what OpenSearch
    refuses for good, comes back as a Rejection if it is a transaction, and is logged if it is
    anything else.
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
        self._check = IndexCheck(client)
        self._looked = False

    def write(self, batch: Batch) -> Written:
        """Index `batch`; see Sink."""
        prepared = self.prepare(batch)
        refused = (*prepared.rejections, *prepared.write().rejections)
        return Written(tuple(sorted(refused, key=lambda rejection: rejection.position.order)))

    def prepare(self, batch: Batch) -> Prepared:
        """The bodies of `batch`; see Builder.

        Raises:
            EverythingRefused: from `write`, where OpenSearch refuses what is sound as well.
        """
        status = document.status(batch, self._clock())
        return self._prepare(partial(self._pieces, batch, status), status)

    def close(self) -> None:
        """Let go of threads and connections."""
        self._threads.shutdown()
        self._client.close()

    def _prepare(
        self, built: Callable[[Refuse], Iterator[Body]], sound: Entry | None = None
    ) -> Prepared:
        refused = _Refused()
        made = list(joined(built(refused), self._body_bytes_max))
        return Prepared(partial(self._send_all, made, sound), refused.in_order())

    def _pieces(self, batch: Batch, status: Entry, refuse: Refuse) -> Iterator[Body]:
        yield from self._transactions(batch.scored, refuse)
        others = chain(
            _built(document.page, document.latest(batch.pages), refuse),
            _built(document.said, (*batch.verdicts, *batch.suppressions), refuse),
            _built(document.rejection, batch.rejections, refuse),
            (status,),
        )
        yield from pieces(others, refuse, self._body_bytes_max)

    def _transactions(self, scored: tuple[Scored, ...], refuse: Refuse) -> Iterator[Body]:
        """`scored` in order: by the C twin, and by Python what that hands back, one by one."""
        if _native is None or document.transaction is not _TWINNED:
            yield from pieces(_entries(scored, refuse), refuse, self._body_bytes_max)
            return
        bytes_max = min(PIECE_BYTES_MAX, self._body_bytes_max)
        start = 0
        while start < len(scored):
            data, end = _native.transactions(scored, start, bytes_max)
            if data:
                yield Body(data, scored[start:end])
            else:
                end = start + 1
                handed_back = _entries(scored[start:end], refuse)
                yield from pieces(handed_back, refuse, self._body_bytes_max)
            start = end

    def _send_all(self, made: Sequence[Body], sound: Entry | None) -> Written:
        """Bring all of `made` to their end, `requests_max` bodies at a time."""
        refused = _Refused()
        if made:
            self._look_at_templates()
        on_the_way: set[Future[None]] = set()
        try:
            for body in made:
                if len(on_the_way) == self._requests_max:
                    done, on_the_way = wait(on_the_way, return_when=FIRST_COMPLETED)
                    _raise_first(done)
                on_the_way.add(self._threads.submit(self._send, body, sound, refused))
        finally:
            done, _ = wait(on_the_way)
        _raise_first(done)
        return Written(refused.in_order())

    def _send(self, body: Body, sound: Entry | None, refuse: Refuse) -> None:
        """Bring `body` to its end: every entry durable or refused."""
        waiting = [body]
        while waiting:
            current = waiting.pop()
            try:
                self._send_one(current, refuse)
            except BodyRefused as error:
                if current is body and sound is not None:
                    self._vouch(sound, refuse)
                if len(current.sources) > 1:
                    waiting.extend(reversed(current.halves()))
                else:
                    said = ItemError("body_refused", error.error)
                    refuse(current.sources[0], f"http_{error.status}", detail_of(said), None)

    def _vouch(self, sound: Entry, refuse: Refuse) -> None:
        """See that OpenSearch takes the document `sound`: a refused body is about its records."""
        (body,) = bodies([sound], refuse)
        try:
            self._send_one(body, refuse)
        except BodyRefused as error:
            raise EverythingRefused(
                f"OpenSearch refuses every request, whatever is in it: {error}"
            ) from error

    def _send_one(self, body: Body, refuse: Refuse) -> None:
        """Send `body` until every item of it is durable or refused.

        A record is put aside when its index was right both before and after the request that
        refused it: what was refused while somebody mended the index is no record's fault either.
        """
        left = body

        def attempt() -> None:
            nonlocal left
            right: frozenset[str] = frozenset()
            while True:
                verdict = self._judged(left)
                looked = self._looked_at(verdict.refused, left)
                again = set(verdict.again)
                for item in verdict.refused:
                    index = left.index_of(item.index)
                    if looked[index] is None and index in right:
                        why = item.error
                        refuse(left.sources[item.index], why.type, detail_of(why), field_of(why))
                    else:
                        again.add(item.index)
                if not again:
                    return
                left = left.only(sorted(again))
                wrong = next((words for words in looked.values() if words), None)
                if verdict.again or wrong:
                    raise Transient(f"{len(again)} items: {wrong or _words(verdict.trouble)}")
                right = frozenset(looked)

        self._retry.call(attempt)

    def _judged(self, body: Body) -> Verdict:
        answer = bulk(self._client, body.data)
        try:
            return judge(answer, body)
        except ValueError as error:
            raise Transient(f"no answer of OpenSearch to a bulk request: {error}") from error

    def _looked_at(self, refused: Sequence[Refused], body: Body) -> dict[str, str | None]:
        """What is wrong with the indices of `refused`, by their names, in words.

        Raises:
            Transient: OpenSearch does not say; nothing is put aside for that.
        """
        looked: dict[str, str | None] = {}
        for item in refused:
            index = body.index_of(item.index)
            if index not in looked:
                wrong = self._check.index(index)
                said = f"{item.error.type}: {detail_of(item.error)}"
                looked[index] = wrong and f"{wrong} ({said})"
        return looked

    def _look_at_templates(self) -> None:
        """See once that new indices will be ours, before the first document makes one."""
        if self._looked:
            return

        def attempt() -> None:
            wrong = self._check.templates()
            if wrong is not None:
                raise Transient(f"nothing is written yet: {wrong}")

        self._retry.call(attempt)
        self._looked = True


class _Refused:
    """Takes what is refused: transactions become rejections, anything else is logged."""

    def __init__(self) -> None:
        self._rejections: list[Rejection] = []

    def __call__(self, source: Source, reason: str, detail: str, field: str | None) -> None:
        if isinstance(source, Scored):
            self._rejections.append(_rejection(source, reason, detail, field))
        else:
            _log.error("%s not indexed: %s: %s", type(source).__name__, reason, detail)

    def in_order(self) -> tuple[Rejection, ...]:
        """The rejections in stream order, whichever request came back first."""
        return tuple(sorted(self._rejections, key=lambda rejection: rejection.position.order))


def _entries(scored: Iterable[Scored], refuse: Refuse) -> Iterator[Entry]:
    for item in scored:
        id_ = item.transaction.transaction_id
        if not id_ or (len(id_) > ID_CHARACTERS_SAFE and len(id_.encode()) > ID_BYTES_MAX):
            refuse(item, "bad_id", "no id, or one that is too long", "transaction_id")
            continue
        try:
            entry = document.transaction(item)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is about this one alone
            refuse(item, "document_unbuildable", _why(item, error), None)
        else:
            yield entry


Made = TypeVar("Made", Page, GivenVerdict | Suppression | Lift, Rejection)


def _built(
    build: Callable[[Made], Entry], items: Iterable[Made], refuse: Refuse
) -> Iterator[Entry]:
    for item in items:
        try:
            entry = build(item)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- a page that cannot be shown stops no record
            refuse(item, "document_unbuildable", type(error).__name__, None)
        else:
            yield entry


def _words(error: ItemError | None) -> str:
    """What OpenSearch said of an item, and what a person can do about it."""
    said = error or ItemError()
    todo = advice(said.type, said.reason)
    return f"{said.type}: {detail_of(said)}{'; ' if todo else ''}{todo}"


def _why(item: Scored, error: Exception) -> str:
    return f"no document can be made of it: {failure(error, item.transaction)}"


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
