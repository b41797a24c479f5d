"""A person out of OpenSearch: documents stay, and belong to nobody."""

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Final

import msgspec

from consumer.erase_report import Place
from sinks.erasure import Document, Subject, is_theirs, without_names, without_person
from sinks.opensearch_client import TransportError  # type: ignore[attr-defined] # of the wrapper
from sinks.retry import Retry, Transient

PAGE_DOCUMENTS_MAX: Final = 500
"""Documents that are read and written at a time."""

ROUNDS_MAX: Final = 3
"""Times that one index is gone through: what a worker wrote meanwhile is met at the next."""

_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500
_CREATED_MAX: Final = 299

_MAY_BE_MISSING: Final = {"ignore_unavailable": "true", "allow_no_indices": "true"}


class _Index(msgspec.Struct, frozen=True):
    """Indices, and the fields that a document is known by in one."""

    pattern: str
    known_by: tuple[str, ...]


_SALES: Final = _Index("transactions-*", ("transaction_id",))
_PAGES: Final = _Index("pages-*", ("page_id",))
_VERDICTS: Final = _Index("verdicts", ("page_id",))
_RULES: Final = _Index("suppressions", ("rule_id", "action"))

_Change = Callable[[Document], Document]


class IndexRefused(Exception):  # noqa: N818 -- says what happened
    """OpenSearch refuses; the message holds its words, and nobody's data."""


class IndexErasure:
    """Goes through every index that may name the subject. `client` is an opensearch-py client.

    Safe to break off and to do again: what is done does not match any more. A document is written
    only if it is still the one that was read, so a worker's newer one is never undone.
    """

    def __init__(
        self, client: Any, subject: Subject, stop: threading.Event, *, dry_run: bool
    ) -> None:
        self._client = client
        self._subject = subject
        self._dry_run = dry_run
        self._retry = Retry("opensearch", stop)

    def run(self) -> Iterator[Place]:
        """One place after the other, as far as it came.

        Raises:
            IndexRefused: OpenSearch refuses.
            Stopped: it did not answer in time.
        """
        fields = self._subject.fields
        theirs = [{"terms": {name: sorted(values)}} for name, values in fields.items()]
        yield self._through("OpenSearch: sales", _SALES, _any_of(theirs), self._transaction)
        names = sorted(self._subject.names)
        if not names:
            return
        about: list[Document] = [{"terms": {"entity.id": names}}]
        about += [{"match_phrase": {"summary": name}} for name in names]
        yield self._through("OpenSearch: pages", _PAGES, _any_of(about), self._named)
        # Notes are not searchable, and there are few of them.
        every: Document = {"match_all": {}}
        yield self._through("OpenSearch: verdicts", _VERDICTS, every, self._named)
        yield self._through("OpenSearch: rules", _RULES, every, self._named)

    def _transaction(self, document: Document) -> Document:
        return without_person(document) if is_theirs(document, self._subject) else document

    def _named(self, document: Document) -> Document:
        return without_names(document, self._subject)

    def _through(self, name: str, index: _Index, query: Document, change: _Change) -> Place:
        found = erased = 0
        for _ in range(1 if self._dry_run else ROUNDS_MAX):
            self._ask(lambda: self._client.indices.refresh(index=index.pattern, **_MAY_BE_MISSING))
            met = done = 0
            for hits in self._pages(index, query):
                changes = [
                    (hit, changed)
                    for hit in hits
                    if (changed := change(hit["_source"])) != hit["_source"]
                ]
                met += len(changes)
                if changes and not self._dry_run:
                    done += self._write(changes)
            erased += done
            found = erased + met - done
            if met == done:
                break
        return Place(name, "documents", found, erased)

    def _pages(self, index: _Index, query: Document) -> Iterator[list[Document]]:
        """All hits of `query`, some at a time, in an order that writing them anew does not move."""
        body: Document = {
            "query": query,
            "size": PAGE_DOCUMENTS_MAX,
            "sort": [
                {"_index": "asc"},
                *({name: {"order": "asc", "unmapped_type": "keyword"}} for name in index.known_by),
            ],
            "seq_no_primary_term": True,
            "version": True,
        }
        while hits := self._ask(partial(self._search, index, body)):
            yield hits
            body["search_after"] = hits[-1]["sort"]

    def _search(self, index: _Index, body: Document) -> list[Document]:
        answer = self._client.search(index=index.pattern, body=body, **_MAY_BE_MISSING)
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise Transient("OpenSearch could not look everywhere")
        hits: list[Document] = answer["hits"]["hits"]
        return hits

    def _write(self, changes: Iterable[tuple[Document, Document]]) -> int:
        """Put the documents in place of what was read; how many of them it took."""
        lines: list[Document] = []
        for hit, document in changes:
            target: Document = {"_index": hit["_index"], "_id": hit["_id"]}
            if hit["_index"].startswith("transactions-"):
                target |= {"if_seq_no": hit["_seq_no"], "if_primary_term": hit["_primary_term"]}
            else:  # the worker numbers these itself: the number stays, a higher one wins
                target |= {"version": hit["_version"], "version_type": "external_gte"}
            lines += [{"index": target}, document]
        body = "".join(json.dumps(line) + "\n" for line in lines)
        answer = self._ask(lambda: self._client.bulk(body=body))
        return sum(item["index"]["status"] <= _CREATED_MAX for item in answer["items"])

    def _ask(self, call: Callable[[], Any]) -> Any:
        return self._retry.call(lambda: _answered(call))


def _answered(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except TransportError as error:
        status = error.status_code
        if not isinstance(status, int):
            raise Transient(f"no answer from OpenSearch: {type(error).__name__}") from None
        said = f"OpenSearch answered {status}: {error.error}"
        if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
            raise Transient(said) from None
        raise IndexRefused(said) from None


def _any_of(queries: list[Document]) -> Document:
    return {"bool": {"should": queries, "minimum_should_match": 1}}
