"""A node that cannot keep up: its 429s are real, and nothing is lost or counted twice."""

import threading
from pathlib import Path

import pytest

from events.instant import DAY
from local.opensearch import OpenSearchNode
from sinks import templates
from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import connect
from tests.sinks.made import NOON, batch, scored

DAYS = 30
DOCUMENTS = 3_000


@pytest.mark.integration
def test_a_node_with_a_short_queue_refuses_items_and_gets_them_all(tmp_path: Path) -> None:
    # One thread and a queue of one for the writes of thirty indices: most parts of a body find
    # no room, while others are taken, which is the partial failure that a bulk answer is about.
    short = {
        "node.processors": "1",
        "thread_pool.write.size": "1",
        "thread_pool.write.queue_size": "1",
    }
    with OpenSearchNode(tmp_path / "node", settings=short) as node:
        client = connect(node.url)
        templates.apply(client)
        counted: list[str] = []
        sink = OpenSearchSink(
            client,
            threading.Event(),
            body_bytes_max=200_000,
            count_retry=counted.append,
            wait_seconds_max=0.2,
        )
        made = batch(*(scored(n, occurred_at=NOON + n % DAYS * DAY) for n in range(DOCUMENTS)))
        assert sink.write(made).rejections == ()
        client.indices.refresh(index="transactions-*")
        assert client.count(index="transactions-*")["count"] == DOCUMENTS
        stats = client.indices.stats(index="transactions-*", metric="docs")
        assert stats["_all"]["total"]["docs"]["deleted"] == 0
        assert len(stats["indices"]) == DAYS
        assert counted, "the node never said that it had no room"
        sink.close()
