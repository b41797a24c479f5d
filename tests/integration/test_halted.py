"""A shard with too many rejects stands still under the real daemon; the other one goes on."""

from collections.abc import Iterator

import pytest

from events.key_group import hash_key
from local.producer import put_all
from local.stack import Stack
from local.worker import WORKER_STOP_SECONDS_MAX
from tests.consumer.world import wire
from tests.integration.asked_worker import SHARDS, Worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

BAD = 1_500
GOOD = 200


@pytest.fixture
def worker(stack: Stack) -> Iterator[Worker]:
    stack.renew(shards=SHARDS)
    started = Worker(stack, measurement_seconds="0.5")
    yield started
    started.part.stop(WORKER_STOP_SECONDS_MAX)


def shop_of(shard: int) -> str:
    """A shop whose records go to that shard."""
    shops = (f"shop-{number}" for number in range(1_000))
    return next(shop for shop in shops if hash_key(shop) * SHARDS >> 128 == shard)


def measured(stack: Stack) -> dict[str, tuple[float, float | None]]:
    """Records, and the highest lag, of each shard, by what the worker wrote to OpenSearch."""
    client = stack.search_client()
    try:
        client.indices.refresh(index="operations-*")
        aggs = {"records": {"sum": {"field": "records"}}, "lag": {"max": {"field": "lag_seconds"}}}
        by_shard = {"terms": {"field": "shard_id"}, "aggs": aggs}
        answer = client.search(index="operations-*", body={"size": 0, "aggs": {"shards": by_shard}})
    finally:
        client.close()
    found = answer.get("aggregations", {}).get("shards", {"buckets": []})["buckets"]
    return {one["key"]: (one["records"]["value"], one["lag"]["value"]) for one in found}


def test_a_shard_with_too_many_rejects_stands_still_and_the_other_goes_on(
    stack: Stack, worker: Worker
) -> None:
    made = stack.provisioned
    kinesis = stack.aws.client("kinesis")
    bad, good = made.shards
    worker.wait(worker.children)

    def put_good(begin: int) -> None:
        shop = shop_of(1)
        records = ((shop, wire(number, shop=shop)) for number in range(begin, begin + GOOD))
        put_all(kinesis, made.stream, records)

    put_good(0)
    shop = shop_of(0)
    put_all(kinesis, made.stream, ((shop, b"not a transaction") for _ in range(BAD)))
    worker.wait(lambda: worker.samples("tillwatch_halted") == {bad: 1, good: 0})
    before = worker.samples("tillwatch_records_total")[good]
    put_good(GOOD)
    worker.wait(lambda: worker.samples("tillwatch_records_total")[good] == 2 * GOOD)

    assert before <= 2 * GOOD
    assert worker.samples("tillwatch_daemon_restarts_total") == {"": 0}
    assert worker.samples("tillwatch_children_replaced_total") == {}
    status, body = worker.get("/readyz")
    assert status == 503
    assert f"{bad}: halted" in body
    # The batch that went beyond the bound is neither in the queue nor checkpointed.
    assert worker.samples("tillwatch_records_total").get(bad, 0) < BAD
    # What is measured for the dashboards says the same.
    worker.wait(lambda: measured(stack).get(good, (0, None))[0] == 2 * GOOD)
    assert measured(stack)[bad][0] == worker.samples("tillwatch_records_total").get(bad, 0)
    assert measured(stack)[good][1] is not None
    # What stands still holds up no stop, though the daemon would wait for it.
    assert worker.part.stop(WORKER_STOP_SECONDS_MAX) == 0
    assert "the daemon did not end within" not in worker.part.log_tail()
