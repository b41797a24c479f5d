"""Whether a transaction stands already, asked of a real OpenSearch node."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from events.instant import DAY
from events.position import Position
from local.opensearch import OpenSearchNode
from sinks.deadline import Deadline
from sinks.opensearch_client import connect
from sinks.sink import Stopped
from sinks.standing import StandingError, StandingTransactions
from tests.sinks.made import NOON

pytestmark = pytest.mark.integration

PLACE = Position("shardId-7", "4959", 2)


@pytest.fixture
def client(opensearch: OpenSearchNode) -> Iterator[Any]:
    made = connect(opensearch.url)
    made.indices.delete(index="transactions-*")
    yield made
    made.indices.delete(index="transactions-*")
    made.close()


def standing(client: Any) -> StandingTransactions:
    return StandingTransactions(client, threading.Event(), wait_seconds_max=0.001)


def put(client: Any, transaction_id: str, *, refresh: bool = False) -> None:
    position = {"shard_id": "shardId-7", "sequence_number": "4959", "sub_sequence_number": 2}
    client.index(
        index="transactions-2026.01.05",
        id=transaction_id,
        body={"transaction_id": transaction_id, "position": position},
        refresh=refresh,
    )


def test_nothing_stands_where_there_is_no_index(client: Any) -> None:
    assert standing(client).position_of("t-1", NOON) is None


def test_of_its_own_day_it_shows_at_once(client: Any) -> None:
    client.indices.create(
        index="transactions-2026.01.05", body={"settings": {"index.refresh_interval": "-1"}}
    )
    for odd in ("t-1", "t/1?a=b", "тест", "a" * 500):
        put(client, odd)
        assert standing(client).position_of(odd, NOON) == PLACE
    assert standing(client).position_of("t-2", NOON) is None


def test_of_another_day_it_shows_once_it_is_searchable(client: Any) -> None:
    put(client, "t-1", refresh=True)
    assert standing(client).position_of("t-1", NOON + 3 * DAY) == PLACE
    assert standing(client).position_of("t-2", NOON + 3 * DAY) is None


def test_a_question_that_is_refused_is_an_error_to_hear_of(client: Any) -> None:
    put(client, "t-1", refresh=True)
    client.indices.close(index="transactions-2026.01.05")
    with pytest.raises(StandingError, match="OpenSearch answered 400"):
        standing(client).position_of("t-1", NOON)


def test_a_node_that_does_not_answer_is_waited_for_until_the_deadline() -> None:
    ticks = iter(range(1_000))
    stop = Deadline(20, clock=lambda: float(next(ticks)))
    away = StandingTransactions(connect("http://127.0.0.1:9"), stop, wait_seconds_max=0.001)
    with pytest.raises(Stopped, match="no answer from OpenSearch"):
        away.position_of("t-1", NOON)
