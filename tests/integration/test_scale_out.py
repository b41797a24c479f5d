"""Workers come and go under traffic: shards move by their leases, and nothing shows of it."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from local.drained import wait_until_drained
from local.faults import processes
from local.feed import Keyed, keyed
from local.outcome import hits, read_outcome
from local.part import Part
from local.producer import put_all
from local.samples import sample_stream
from local.stack import Stack
from local.stream_reading import contents
from local.uninterrupted import uninterrupted
from local.verdict import faults
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SHARDS = 4
"""As many as there are key groups by default, so that no group lies in two of them."""
SHOPS = 6
HISTORY_RECORDS = 6_000
"""What is there when the first worker comes: behind it pages are opened."""
CHUNK_RECORDS = 20
DEADLINE_SECONDS = 150.0
LOOK_SECONDS = 1.0
DAEMON = {
    # A worker that comes takes its share in one turn, and turns are short, for the test's sake.
    "failoverTimeMillis = 5000": "failoverTimeMillis = 3000\nmaxLeasesToStealAtOneTime = 2",
}
SETTINGS = {
    "TILLWATCH_BATCH_RECORDS_MAX": "400",
    "TILLWATCH_BATCH_SECONDS_MAX": "0.5",
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "3",
}
_log = logging.getLogger(__name__)


class Chain:
    """Shops whose records arrive all the time, and the workers that share their shards."""

    def __init__(self, stack: Stack, properties: Path) -> None:
        self.stack = stack
        self.made = stack.provisioned
        self.kinesis = stack.aws.client("kinesis")
        self.put: list[Keyed] = []
        self.workers: list[Part] = []
        self._read = 0
        self._said: list[dict[str, Any]] = []
        self._dynamodb = stack.aws.client("dynamodb")
        self._settings = SETTINGS | {"TILLWATCH_KCL_PROPERTIES": str(properties)}
        self._records: Iterator[Keyed] = keyed(
            sample_stream(5, shops=SHOPS, days=60, campaigns_per_shop_week=8.0)
        )

    def flow(self, until: Callable[[], bool]) -> None:
        """Records arrive until it is so."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        looked = 0.0
        while True:
            if time.monotonic() - looked > LOOK_SECONDS:
                if until():
                    return
                looked = time.monotonic()
            self.arrive(CHUNK_RECORDS)
            for worker in self.workers:
                assert worker.exit_code is None, worker.log_tail()
            assert time.monotonic() < deadline, f"{self.owners()}\n{self.workers[-1].log_tail()}"
            time.sleep(0.25)

    def arrive(self, number: int) -> None:
        some = list(islice(self._records, number))
        put_all(self.kinesis, self.made.stream, iter(some))
        self.put += some

    def add(self) -> Part:
        """Another worker; returns once every worker has as many shards as the others."""
        self.workers.append(start_worker(self.stack, self._settings))
        self.flow(self.settled)
        return self.workers[-1]

    def remove(self, worker: Part) -> tuple[set[int], int]:
        """End it in good order under traffic; its children, and the records that came meanwhile."""
        self.workers.remove(worker)
        children = {process.pid for process in processes(worker.pid, "child")}
        before = len(self.put)
        began = time.monotonic()
        worker.terminate()
        self.flow(lambda: worker.exit_code is not None)
        _log.info("ended after %.1f s", time.monotonic() - began)
        assert worker.exit_code == 0, worker.log_tail()
        self.flow(self.settled)
        return children, len(self.put) - before

    def owners(self) -> dict[str, str]:
        """Who holds each shard, by the lease table."""
        items = self._dynamodb.scan(TableName=self.made.application)["Items"]
        return {item["leaseKey"]["S"]: item.get("leaseOwner", {}).get("S", "") for item in items}

    def settled(self) -> bool:
        """Whether the shards are shared evenly by children, each of which has committed."""
        held = [
            {self.shard_of(process.pid) for process in processes(worker.pid, "child")} - {None}
            for worker in self.workers
        ]
        even = [len(shards) for shards in held] == [SHARDS // len(self.workers)] * len(held)
        return even and set.union(*held) == set(self.made.shards)

    def shard_of(self, child: int) -> str | None:
        """The shard of which the child has committed something."""
        mine = [line for line in self.lines("committed") if line["pid"] == child]
        return mine[-1]["shard_id"] if mine else None

    def lines(self, message: str) -> list[dict[str, Any]]:
        """The children's log lines that say this, in order."""
        with (self.stack.folder.path / "worker.log").open("rb") as log:
            log.seek(self._read)
            for text in log:
                if text.endswith(b"\n"):
                    self._read += len(text)
                    if b'"logger": "tillwatch.' in text:
                        self._said.append(json.loads(text))
        return [line for line in self._said if line["message"].startswith(message)]

    def written_again(self) -> int:
        """How many documents were written more than once."""
        client = self.stack.search_client()
        try:
            client.indices.refresh(index="transactions-*")
            return sum(hit["_version"] > 1 for hit in hits(client, "transactions-*"))
        finally:
            client.close()


@pytest.fixture
def chain(stack: Stack, tmp_path: Path) -> Iterator[Chain]:
    stack.renew(shards=SHARDS)
    text = files("properties").joinpath("local.properties").read_text()
    for before, after in DAEMON.items():
        assert before in text
        text = text.replace(before, after)
    properties = tmp_path / "kcl.properties"
    properties.write_text(text)
    (stack.folder.path / "worker.log").unlink(missing_ok=True)
    running = Chain(stack, properties)
    yield running
    for worker in running.workers:
        worker.stop(WORKER_STOP_SECONDS_MAX)


@pytest.mark.parametrize("turns", [1, pytest.param(4, marks=pytest.mark.thorough)])
def test_workers_come_and_go_and_nothing_shows_of_it(chain: Chain, turns: int) -> None:
    chain.arrive(HISTORY_RECORDS)
    chain.add()
    removals = []
    stolen = []
    for turn in range(turns):
        again = chain.written_again()
        chain.add()
        stolen.append(chain.written_again() - again)
        again = chain.written_again()
        taken = len(chain.lines("shard taken"))
        # By turns the one that was there first goes, and the one that came last.
        children, arrived = chain.remove(chain.workers[-(turn % 2)])
        assert arrived > 0
        # Given back to its last record: who takes a shard goes on exactly behind it.
        back = {line["shard_id"]: line for line in chain.lines("shard given back")}
        heirs = {line["shard_id"]: line for line in chain.lines("shard taken")[taken:]}
        mine = {line["shard_id"] for line in back.values() if line["pid"] in children}
        assert len(mine) == SHARDS // 2
        for shard in mine:
            assert heirs[shard]["position"] == back[shard]["position"], shard
        removals.append(chain.written_again() - again)
    _log.info("written again: when workers came %s, when they went %s", stolen, removals)
    assert removals == [0] * turns, "what a worker that goes has processed is not processed again"

    tips = contents(chain.kinesis, chain.made.stream, chain.made.shards).tips
    wait_until_drained(chain.stack.aws, chain.made, tips, check=lambda: None)
    for worker in chain.workers:
        worker.stop(WORKER_STOP_SECONDS_MAX)
    expected = uninterrupted(chain.stack.environment(), chain.put)
    assert expected.sendings
    assert faults(expected, read_outcome(chain.stack)) == []
