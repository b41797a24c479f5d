"""Whether a transaction stands in OpenSearch already, and from which record."""

import threading
from typing import Any, Final

from events.instant import Instant, to_datetime
from events.position import Position
from sinks.opensearch_client import TransportError  # type: ignore[attr-defined] # of the wrapper
from sinks.opensearch_trouble import answered, unanswered
from sinks.retry import WAIT_SECONDS_MAX, Retry, Transient

_EVERY_DAY: Final = "transactions-*"
_NOT_FOUND: Final = 404
_TOO_MANY_REQUESTS: Final = 429
_SERVER_ERROR: Final = 500


class StandingError(Exception):
    """OpenSearch refuses to say; the message holds its words."""


class StandingTransactions:
    """Asks OpenSearch for single transactions. `client` is an opensearch-py client.

    The index of the day that is asked for is read as it is now; a document of another day, which
    a transaction of the same id with another time would have, shows once its index was refreshed.
    """

    def __init__(
        self, client: Any, stop: threading.Event, *, wait_seconds_max: float = WAIT_SECONDS_MAX
    ) -> None:
        self._client = client
        self._retry = Retry("opensearch", stop, wait_seconds_max=wait_seconds_max)

    def position_of(self, transaction_id: str, occurred_at: Instant) -> Position | None:
        """The Position of the record that the transaction was indexed from; None if it is not.

        Raises:
            StandingError: OpenSearch refuses the question.
            Stopped: it did not answer in time.
        """
        day = f"transactions-{to_datetime(occurred_at):%Y.%m.%d}"
        return self._retry.call(
            lambda: self._get(day, transaction_id) or self._search(transaction_id)
        )

    def _get(self, index: str, transaction_id: str) -> Position | None:
        try:
            found = self._client.get(index=index, id=transaction_id, _source_includes="position")
        except TransportError as error:
            if error.status_code == _NOT_FOUND:
                return None
            raise _trouble(error) from error
        return _position(found)

    def _search(self, transaction_id: str) -> Position | None:
        body = {"query": {"ids": {"values": [transaction_id]}}, "_source": ["position"], "size": 1}
        try:
            answer = self._client.search(index=_EVERY_DAY, body=body)
        except TransportError as error:
            raise _trouble(error) from error
        if answer["timed_out"] or answer["_shards"]["failed"]:
            raise Transient("OpenSearch could not look everywhere")
        hits = answer["hits"]["hits"]
        return _position(hits[0]) if hits else None


def _position(hit: Any) -> Position:
    place = hit["_source"]["position"]
    return Position(place["shard_id"], place["sequence_number"], int(place["sub_sequence_number"]))


def _trouble(error: Any) -> Exception:
    status = error.status_code
    if not isinstance(status, int):
        return Transient(unanswered(error))
    if status == _TOO_MANY_REQUESTS or status >= _SERVER_ERROR:
        return Transient(answered(error))
    return StandingError(answered(error))
