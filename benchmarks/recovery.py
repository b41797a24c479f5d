"""Table (c): from a kill -9 to the first document of a record that came after it."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from benchmarks.records import START, wire_records
from events.instant import to_datetime
from local.faults import kill, processes
from local.feed import Keyed
from local.loopback import ask
from local.part import Part, PartError
from local.producer import put_all
from local.stack import Stack
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

ROUNDS = 10
KINDS = ("child", "daemon")
_RECORDS = 300_000
_RECORDS_PER_PUT = 10
_POLL_SECONDS = 0.05
_SECONDS_MAX = 180.0
_WARM_SECONDS = 6.0
"""Records flow for so long before the kill: the worker is well on its way."""


class _Transaction(msgspec.Struct):
    transaction_id: str


_id_of = msgspec.json.Decoder(_Transaction).decode


class Traffic:
    """A trickle of records, some 200 a second, put between looks at what came out."""

    def __init__(self, stack: Stack) -> None:
        self._kinesis = stack.aws.client("kinesis")
        self._stream = stack.provisioned.stream
        self._records: Iterator[Keyed] = iter(wire_records(_RECORDS))
        if stack.node is None:
            raise ValueError("recovery is seen in OpenSearch")
        self._index = f"{stack.node.url}/transactions-{to_datetime(START):%Y.%m.%d}"

    def put(self) -> str:
        """Put the next few; the id of the first of them."""
        some = list(islice(self._records, _RECORDS_PER_PUT))
        put_all(self._kinesis, self._stream, iter(some))
        return _id_of(some[0][1]).transaction_id

    def flow(self, until: Callable[[], bool], seconds_max: float = _SECONDS_MAX) -> None:
        """Go on until it is so."""
        deadline = time.monotonic() + seconds_max
        while not until():
            if time.monotonic() > deadline:
                raise PartError(f"no document within {seconds_max:.0f} s")
            self.put()
            time.sleep(_POLL_SECONDS)

    def indexed(self, transaction_id: str) -> bool:
        """Whether its document can be had, refreshed or not."""
        return ask(f"{self._index}/_doc/{transaction_id}?_source=false", 1.0) is not None


def seconds_to_recover(stack: Stack, traffic: Traffic, kind: str) -> float:
    """One round with a worker of its own, so that no pause of an earlier restart counts."""
    worker = start_worker(stack)
    try:
        first = traffic.put()
        traffic.flow(lambda: _indexed(worker, traffic, first))
        warm_at = time.monotonic() + _WARM_SECONDS
        traffic.flow(lambda: time.monotonic() >= warm_at)
        victim = processes(worker.pid, kind)[0]
        kill(victim)
        killed_at = time.monotonic()
        marker = traffic.put()
        traffic.flow(lambda: _indexed(worker, traffic, marker))
        return time.monotonic() - killed_at
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)


def _indexed(worker: Part, traffic: Traffic, transaction_id: str) -> bool:
    if worker.exit_code is not None:
        raise PartError(f"the worker ended with {worker.exit_code}: {worker.log_tail()}")
    return traffic.indexed(transaction_id)


def recovery_table(rounds: int = ROUNDS) -> None:
    """Measure, and print table (c)."""
    found: dict[str, list[float]] = {kind: [] for kind in KINDS}
    with (
        tempfile.TemporaryDirectory(prefix="tillwatch-bench-") as folder,
        Stack(Path(folder) / "state", heap="1g", progress=_say) as stack,
    ):
        traffic = Traffic(stack)
        for number in range(rounds):
            for kind in KINDS:
                found[kind].append(seconds_to_recover(stack, traffic, kind))
                _say(f"round {number + 1}: {kind} {found[kind][-1]:.1f} s")
    print(f"(c) kill -9 under traffic, seconds to the first new document, {rounds} rounds")
    print()
    print("| killed | median | least | most |")
    print("|---|---|---|---|")
    for kind, seconds in found.items():
        median = statistics.median(seconds)
        print(f"| {kind} | {median:.1f} | {min(seconds):.1f} | {max(seconds):.1f} |")
    print()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
