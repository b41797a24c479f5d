"""The end of a shard that this process gave up, while the daemon still holds it."""

from typing import Any

import pytest

from sinks.fence import FencedOff
from tests.consumer.test_shard import DATA, Bench
from tests.consumer.world import SHARD, World


@pytest.mark.parametrize(
    ("action", "fields"), [("shardEnded", {}), ("shutdown", {"reason": "TERMINATE"})]
)
def test_an_end_that_could_not_be_committed_is_not_reported_as_done(
    action: str, fields: dict[str, Any]
) -> None:
    bench = Bench(World())
    bench.daemon.initialize()
    bench.deliver(DATA[:20])
    bench.world.fence.advance(SHARD)  # by a process that came late, and had lost the lease again
    assert not bench.daemon.send(action, **fields)
    bench.daemon.close()
    assert isinstance(bench.daemon.error, FencedOff)
    assert bench.daemon.checkpoints == []


def test_the_end_of_a_shard_that_was_given_up_before_is_not_reported_as_done() -> None:
    bench = Bench(World())
    bench.daemon.initialize()
    bench.world.fence.advance(SHARD)
    bench.deliver(DATA)
    bench.tick_until(bench.stop.is_set)
    assert not bench.daemon.send("shardEnded")
    bench.daemon.close()
    assert isinstance(bench.daemon.error, FencedOff)
