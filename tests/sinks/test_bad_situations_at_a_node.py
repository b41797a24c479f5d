"""Bad situations made at a real node: the sink waits, says what to mend, and ends when it is."""

import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sinks import templates
from sinks.opensearch import OpenSearchSink
from tests.sinks.made import NOON, batch, scored

if TYPE_CHECKING:
    from local.stack import Stack

pytestmark = pytest.mark.integration

INDEX = "transactions-2026.01.05"
SECONDS_MAX = 60.0


@pytest.fixture
def client(stack: "Stack") -> Iterator[Any]:
    stack.renew()
    made = stack.search_client()
    yield made
    made.close()


def setting(name: str, value: Any, otherwise: Any = None) -> tuple[Callable[[Any], Any], ...]:
    def put(to: Any) -> Callable[[Any], Any]:
        return lambda client: client.cluster.put_settings(body={"persistent": {name: to}})

    return put(value), put(otherwise)


def block(name: str) -> tuple[Callable[[Any], Any], ...]:
    def put(to: Any) -> Callable[[Any], Any]:
        return lambda client: client.indices.put_settings(index=INDEX, body={name: to})

    return put("true"), put(None)


def alias_in_the_way(client: Any) -> None:
    client.indices.delete(index=INDEX)
    for name in ("elsewhere-1", "elsewhere-2"):
        client.indices.create(index=name, body={"aliases": {INDEX: {}}})


def alias_gone(client: Any) -> None:
    client.indices.delete(index="elsewhere-1,elsewhere-2")


def another_mapping(client: Any) -> None:
    client.indices.delete(index=INDEX)
    client.indices.delete_index_template(name="tillwatch-transactions")
    body = {"mappings": {"properties": {"total": {"type": "boolean"}}}}
    client.indices.create(index=INDEX, body=body)
    templates.apply(client)


def older_mapping(client: Any) -> None:
    """As if the index had been made by a version that knew no cashiers."""
    client.indices.delete(index=INDEX)
    client.indices.delete_index_template(name="tillwatch-transactions")
    declared = templates.declared_for(INDEX)
    assert declared is not None
    fields = {k: v for k, v in declared["properties"].items() if k != "cashier_id"}
    client.indices.create(index=INDEX, body={"mappings": {**declared, "properties": fields}})
    templates.apply(client)


def fields_added(client: Any) -> None:
    declared = templates.declared_for(INDEX)
    client.indices.put_mapping(index=INDEX, body=declared)


def no_index(client: Any) -> None:
    client.indices.delete(index=INDEX)


def both(*steps: Callable[[Any], Any]) -> Callable[[Any], None]:
    def every(client: Any) -> None:
        for step in steps:
            step(client)

    return every


NO_AUTO_CREATE = setting("action.auto_create_index", "false")
FULL = setting("cluster.max_shards_per_node", 1, 5_000)


@pytest.mark.parametrize(
    ("make", "mend", "words"),
    [
        pytest.param(*block("index.blocks.write"), "made it read-only", id="write block"),
        pytest.param(
            *block("index.blocks.read_only_allow_delete"),
            "disk of a node is full",
            id="flood stage",
        ),
        pytest.param(
            *setting("cluster.blocks.read_only", "true"), "lift the cluster's block", id="cluster"
        ),
        pytest.param(
            lambda client: client.indices.close(index=INDEX),
            lambda client: client.indices.open(index=INDEX),
            "the index is closed: open it",
            id="closed",
        ),
        pytest.param(
            both(no_index, NO_AUTO_CREATE[0]),
            NO_AUTO_CREATE[1],
            "the cluster makes no index by itself",
            id="auto-create off",
        ),
        pytest.param(
            both(no_index, FULL[0]), FULL[1], "no room for another index", id="shard limit"
        ),
        pytest.param(alias_in_the_way, alias_gone, "an alias has the name of an index", id="alias"),
        pytest.param(
            another_mapping, no_index, "total is boolean, not scaled_float", id="mapping conflict"
        ),
        pytest.param(older_mapping, fields_added, "cashier_id is missing", id="older mapping"),
    ],
)
def test_it_waits_says_what_to_mend_and_goes_on_when_it_is_mended(
    client: Any,
    caplog: pytest.LogCaptureFixture,
    make: Callable[[Any], Any],
    mend: Callable[[Any], Any],
    words: str,
) -> None:
    client.indices.create(index=INDEX)
    client.indices.create(index="operations")
    tried = threading.Semaphore(0)
    stop = threading.Event()
    sink = OpenSearchSink(
        client,
        stop,
        clock=lambda: NOON,
        count_retry=lambda _: tried.release(),
        wait_seconds_max=0.1,
    )
    made = batch(*map(scored, range(20)))
    written: list[Any] = []
    thread = threading.Thread(target=lambda: written.append(sink.write(made)))
    make(client)
    try:
        with caplog.at_level(logging.WARNING):
            thread.start()
            for _ in range(2):
                assert tried.acquire(timeout=SECONDS_MAX), "it never tried again"
            assert not written
    finally:
        mend(client)
        thread.join(SECONDS_MAX)
        stop.set()
    assert [one.rejections for one in written] == [()]
    assert words in caplog.text
    client.indices.refresh(index="transactions-*")
    assert client.count(index="transactions-*")["count"] == 20
    sink._threads.shutdown()
