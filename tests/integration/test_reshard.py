"""A real split and a real merge through the daemon, under traffic: as if nothing had happened."""

import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from events.key_group import HASH_BITS
from local.drained import wait_until_drained
from local.faults import kill, now_millis, processes
from local.feed import Keyed, keyed
from local.kinesis_reshard import ReshardingAws
from local.opensearch import OpenSearchNode
from local.outcome import read_outcome
from local.part import Part
from local.producer import put_all
from local.samples import sample_stream
from local.stack import Stack
from local.stream_reading import contents
from local.uninterrupted import uninterrupted
from local.verdict import faults
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker
from tests.local.listening import listening

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SHOPS = 12
SHARDS = 2
GROUP = 2**HASH_BITS // 4
"""The first hash key of the second of four key groups, in the middle of the first shard."""
CHUNK_RECORDS = 250
DEADLINE_SECONDS = 150.0
WORKER_SETTINGS = {
    "TILLWATCH_BATCH_RECORDS_MAX": "400",
    "TILLWATCH_BATCH_SECONDS_MAX": "0.5",
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "5",
}


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """KCL waits its whole grace for shards that have ended: a short one, for the test's sake."""
    text = files("properties").joinpath("local.properties").read_text()
    file = tmp_path / "kcl.properties"
    file.write_text(text.replace("shutdownGraceMillis = 30000", "shutdownGraceMillis = 5000"))
    return WORKER_SETTINGS | {"TILLWATCH_KCL_PROPERTIES": str(file)}


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReshardingAws]:
    with ReshardingAws(tmp_path_factory.mktemp("aws")) as endpoint:
        yield endpoint


@pytest.fixture
def resharding(tmp_path: Path, aws: ReshardingAws, opensearch: OpenSearchNode) -> Iterator[Stack]:
    with Stack(
        tmp_path / "state",
        shards=SHARDS,
        aws=aws,
        node=opensearch,
        name=f"reshard-{uuid4().hex[:8]}",
    ) as stack:
        client = stack.search_client()
        client.indices.delete(index="transactions-*,pages-*,rejections-*,operations*")
        client.close()
        yield stack


class Till:
    """Puts the records in their order, piece by piece, and watches what comes of it."""

    def __init__(self, stack: Stack, records: list[Keyed]) -> None:
        self._stack = stack
        self._made = stack.provisioned
        self.kinesis = stack.aws.client("kinesis")
        self._dynamodb = stack.aws.client("dynamodb")
        self._records = records
        self._put = 0
        self.kills_at: list[int] = []

    def put(self, until: int) -> None:
        while self._put < until:
            end = min(until, self._put + CHUNK_RECORDS)
            put_all(self.kinesis, self._made.stream, iter(self._records[self._put : end]))
            self._put = end

    def shards(self) -> dict[str, dict[str, Any]]:
        listed = self.kinesis.list_shards(StreamName=self._made.stream)["Shards"]
        return {shard["ShardId"]: shard for shard in listed}

    def open_shards(self) -> set[str]:
        return {
            name
            for name, shard in self.shards().items()
            # The endpoint gives a shard that is open the largest long there is.
            if shard["SequenceNumberRange"].get("EndingSequenceNumber") in {None, str(2**63 - 1)}
        }

    def leases(self) -> dict[str, str]:
        items = self._dynamodb.scan(TableName=self._made.application)["Items"]
        return {
            item["leaseKey"]["S"]: item["checkpoint"]["S"] for item in items if "checkpoint" in item
        }

    def reshard(
        self, worker: Part, action: Callable[[], object], ended: set[str], *, killed: bool
    ) -> set[str]:
        """Do it with records on both sides of it; the new shards once the worker is on them.

        With `killed` the daemon is killed as soon as one of the parents has ended: somewhere
        between its last snapshot, the final files, and the first batch of the children.
        """
        before = set(self.shards())
        ahead = self._put + 2 * CHUNK_RECORDS
        self.put(ahead - CHUNK_RECORDS)
        action()
        self.put(ahead)
        waiter = self.kinesis.get_waiter("stream_exists")
        waiter.wait(StreamName=self._made.stream, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
        new = set(self.shards()) - before
        assert self.open_shards() >= new
        self.put(ahead + 4 * CHUNK_RECORDS)
        if killed:
            wait(lambda: any(self.leases().get(shard) == "SHARD_END" for shard in ended), worker)
            kill(processes(worker.pid, "daemon")[0])
            self.kills_at.append(now_millis())
        wait(
            lambda: (
                all(self.leases().get(shard) == "SHARD_END" for shard in ended)
                and all(self.leases().get(shard, "").isdigit() for shard in new)
            ),
            worker,
        )
        return new


def wait(true: Callable[[], bool], worker: Part) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        assert worker.exit_code is None, worker.log_tail()
        assert time.monotonic() < deadline, f"nothing moved\n{worker.log_tail()}"
        time.sleep(0.1)


def test_the_endpoint_listens_on_loopback_alone(aws: ReshardingAws) -> None:
    assert listening(aws.kinesis.pid) == {"127.0.0.1"}


@pytest.mark.parametrize(
    "killed",
    [
        pytest.param(False, marks=pytest.mark.thorough, id="in peace"),
        pytest.param(True, id="killed in the middle"),
    ],
)
def test_a_split_and_a_merge_change_nothing_that_comes_out(
    resharding: Stack, settings: dict[str, str], *, killed: bool
) -> None:
    stack = resharding
    stream = stack.provisioned.stream
    first, second = stack.provisioned.shards
    samples = sample_stream(3, shops=SHOPS, days=4, campaigns_per_shop_week=6.0)
    records = list(keyed(samples))
    till = Till(stack, records)
    till.put(len(records) // 4)
    worker = start_worker(stack, settings)
    try:
        wait(lambda: all(at.isdigit() for at in till.leases().values()), worker)

        children = till.reshard(
            worker,
            lambda: till.kinesis.split_shard(
                StreamName=stream, ShardToSplit=first, NewStartingHashKey=str(GROUP)
            ),
            {first},
            killed=killed,
        )
        assert len(children) == 2
        till.put(len(records) // 2)

        # The upper child, and the shard beside it that was never split.
        ranges = {name: till.shards()[name]["HashKeyRange"] for name in children}
        upper = max(children, key=lambda name: int(ranges[name]["StartingHashKey"]))
        merged = till.reshard(
            worker,
            lambda: till.kinesis.merge_shards(
                StreamName=stream, ShardToMerge=upper, AdjacentShardToMerge=second
            ),
            {upper, second},
            killed=killed,
        )
        assert len(merged) == 1
        till.put(len(records))

        found = contents(till.kinesis, stream, tuple(till.shards()))
        assert found.records == len(records)

        def alive() -> None:
            assert worker.exit_code is None, worker.log_tail()

        wait_until_drained(stack.aws, stack.provisioned, found.tips, check=alive)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)

    expected = uninterrupted(stack.environment(), records)
    assert len(expected.pages) > 1
    assert len(expected.scores) > 100
    outcome = read_outcome(stack)
    assert len(till.kills_at) == (2 if killed else 0)
    assert faults(expected, outcome, kills_at=till.kills_at) == []
    assert outcome.staged == []
