"""A child that is killed or stopped while it is idle, or waits for a service: a real worker.

Read from outside alone: health and metrics over HTTP, and what lies in the places at the end.
"""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.counts import count
from local.drained import wait_until_drained
from local.producer import put_all
from local.stack import Stack
from local.stream_reading import contents
from local.worker import WORKER_STOP_SECONDS_MAX
from tests.consumer.world import wire
from tests.integration.asked_worker import SHARDS, Worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

PART = 300
REPLACED = "tillwatch_children_replaced_total"
_log = logging.getLogger(__name__)


@pytest.fixture
def start(stack: Stack) -> Iterator[Callable[..., Worker]]:
    stack.renew(shards=SHARDS)
    started: list[Worker] = []

    def make(**more: str) -> Worker:
        started.append(Worker(stack, **more))
        return started[-1]

    yield make
    for one in started:
        one.part.stop(WORKER_STOP_SECONDS_MAX)


def put(stack: Stack, begin: int) -> None:
    """Put one part of the records, of shops all over the key space."""
    shops = [f"shop-{number}" for number in range(10)]
    records = [
        (shops[number % 10], wire(number, shop=shops[number % 10]))
        for number in range(begin, begin + PART)
    ]
    put_all(stack.aws.client("kinesis"), stack.provisioned.stream, iter(records))


def test_an_idle_child_that_dies_or_stops_is_replaced_and_its_shard_goes_on(
    stack: Stack, start: Callable[..., Worker]
) -> None:
    made = stack.provisioned
    worker = start()

    def drain() -> None:
        tips = contents(stack.aws.client("kinesis"), made.stream, made.shards).tips
        assert len(tips) == SHARDS
        wait_until_drained(stack.aws, made, tips, check=worker.alive)

    put(stack, 0)
    drain()
    worker.wait(worker.children)
    counted = worker.samples("tillwatch_records_total")
    assert sum(counted.values()) == PART
    assert set(counted) == set(made.shards)
    assert sum(worker.samples("tillwatch_transactions_total").values()) == PART

    for turn, (number, cause) in enumerate(
        [(signal.SIGKILL, "died"), (signal.SIGSTOP, "silent")], start=1
    ):
        before = worker.children()
        victim = before[made.shards[0]]
        began = time.monotonic()
        os.kill(victim, number)
        worker.wait(lambda cause=cause: cause in worker.samples(REPLACED))
        noticed = time.monotonic() - began
        worker.wait(worker.children)
        ready = time.monotonic() - began
        _log.info("%s: noticed after %.1f s, ready again after %.1f s", cause, noticed, ready)
        after = worker.children()
        assert set(after) == set(made.shards)
        assert not set(after.values()) & set(before.values())
        put(stack, turn * PART)
        drain()
        assert worker.samples("tillwatch_daemon_restarts_total") == {"": turn}

    assert worker.samples(REPLACED) == {"died": 1, "silent": 1}
    # Counters went on over the replaced children, and nothing was lost or doubled.
    assert sum(worker.samples("tillwatch_records_total").values()) == 3 * PART
    found = count(stack, contents(stack.aws.client("kinesis"), made.stream, made.shards), 0)
    assert (found.documents, found.parquet_rows, found.transactions) == (3 * PART,) * 3
    assert found.rejections == 0


def test_a_child_that_waits_for_a_service_is_left_alone_until_its_daemon_dies(
    stack: Stack, start: Callable[..., Worker]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"http://127.0.0.1:{closed.getsockname()[1]}"
    put(stack, 0)
    worker = start(opensearch_url=nobody, shutdown_seconds_max="2")
    shards = set(stack.provisioned.shards)
    waiting = {f"opensearch,{shard}" for shard in shards}
    worker.wait(lambda: set(worker.samples("tillwatch_waiting")) == waiting)
    before = worker.children()
    assert set(before) == shards, "one that waits is ready"

    # Several times as long as a heartbeat may be away.
    worker.wait(lambda: min(worker.samples("tillwatch_commit_age_seconds").values()) > 20)
    assert worker.children() == before
    assert worker.samples(REPLACED) == {}
    assert worker.samples("tillwatch_daemon_restarts_total") == {"": 0}
    retries = worker.samples("tillwatch_retries_total")
    assert set(retries) == waiting
    assert min(retries.values()) >= 3
    # The daemon's reads are at the tip, as little as there is; what was read is not out.
    assert min(worker.samples("tillwatch_lag_seconds").values()) > 10

    # They read nothing either, so they have to see for themselves that the daemon died.
    daemon = json.loads(worker.get("/readyz")[1])["daemon"]["pid"]
    os.kill(daemon, signal.SIGKILL)
    worker.wait(lambda: worker.children() and worker.children() != before)
    assert not set(worker.children().values()) & set(before.values())
    worker.wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in before.values()))
    assert worker.samples("tillwatch_daemon_restarts_total") == {"": 1}
    assert worker.samples(REPLACED) == {}
