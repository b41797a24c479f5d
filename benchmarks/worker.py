"""Table (b): the whole worker, daemon and children, beside the daemon with nothing to do."""

import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from benchmarks.pipeline import the_pipeline
from benchmarks.records import SHOPS, wire_records
from consumer.daemon import prepare
from consumer.pipeline import batches
from consumer.settings import Settings
from events.parse import OCCURRED_END
from events.position import Position
from events.record import Record
from local.opensearch import OpenSearchNode
from local.part import Part
from local.producer import put_all
from local.stack import Stack
from local.stream_reading import contents
from local.worker import start_worker
from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import connect

_POLL_SECONDS = 0.25
_SECONDS_MAX = 300
_STOP_SECONDS_MAX = 75.0
_MIB = 2**20
MANY_SHOPS = 1_000
_WARM_UP_DOCUMENTS = 1_000_000


class Drained(msgspec.Struct, frozen=True):
    """What draining the preloaded stream took, from launch to the last checkpoint.

    Seconds of CPU are those of each kind of process, start-up included; what is called steady
    counts from the first checkpoint that was seen.
    """

    name: str
    records: int
    cpu_seconds: dict[str, float]
    seconds: float
    steady_records: int
    steady_seconds: float
    steady_cpu_seconds: float
    peak_mib: dict[str, float]


class _Tree:
    """CPU time and peak memory of a process tree, by kind of process."""

    def __init__(self, pid: int) -> None:
        self._root = psutil.Process(pid)
        self.cpu: dict[tuple[int, str], float] = {}
        self.peak: dict[str, float] = {}

    def look(self) -> None:
        """Add what can be seen now; a process that ended keeps what it had."""
        try:
            processes = [self._root, *self._root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        for process in processes:
            try:
                command = " ".join(process.cmdline())
                times = process.cpu_times()
                resident = process.memory_info().rss / _MIB
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
            kind = _kind(command)
            if kind is None:
                continue
            self.cpu[process.pid, kind] = times.user + times.system
            self.peak[kind] = max(self.peak.get(kind, 0.0), resident)

    def cpu_by_kind(self) -> dict[str, float]:
        """CPU-seconds so far."""
        sums: dict[str, float] = {}
        for (_, kind), seconds in self.cpu.items():
            sums[kind] = sums.get(kind, 0.0) + seconds
        return sums


def _kind(command: str) -> str | None:
    if "MultiLangDaemon" in command:
        return "daemon"
    if "consumer.child" in command or "benchmarks.noop" in command:
        return "child"
    return "supervisor" if "tillwatch" in command else None


def _warm(url: str) -> None:
    """Let the node index for a while: clusters run for weeks; a young JVM takes twice as long.

    It is given what the worker is going to give it, scores and pages too, in indices that grow as
    large: what a JVM has compiled for other documents, and for indices of one segment, it compiles
    again for these.
    """
    records = (
        Record(Position("shard", str(number)), data, shop, OCCURRED_END)
        for number, (shop, data) in enumerate(wire_records(_WARM_UP_DOCUMENTS))
    )
    client = connect(url)
    sink = OpenSearchSink(client, threading.Event())
    for cut in batches(the_pipeline(), records):
        sink.write(cut.batch)
    client.indices.delete(index="transactions-*,pages-*,operations", ignore_unavailable=True)
    client.close()


@contextmanager
def _preloaded(records: int, shops: int = SHOPS) -> Iterator[tuple[Stack, dict[str, str]]]:
    """A stack with `records` on the one shard of its stream, and where that shard ends."""
    with (
        tempfile.TemporaryDirectory(prefix="tillwatch-bench-") as folder,
        OpenSearchNode(Path(folder) / "node", heap="1g", quickly=False) as node,
        Stack(Path(folder) / "state", node=node, progress=_say) as stack,
    ):
        kinesis = stack.aws.client("kinesis")
        made = stack.provisioned
        put_all(kinesis, made.stream, iter(wire_records(records, shops=shops)))
        _say(f"{records:,} records are on the stream")
        yield stack, contents(kinesis, made.stream, made.shards).tips


def _measure(name: str, pid: int, stack: Stack, tips: dict[str, str], records: int) -> Drained:
    """Watch the worker under `pid` until its checkpoint stands at the end of the shard."""
    dynamodb = stack.aws.client("dynamodb")
    tree = _Tree(pid)
    began = time.monotonic()
    deadline = began + _SECONDS_MAX
    first: tuple[float, float, int] | None = None
    while True:
        tree.look()
        leases = dynamodb.scan(TableName=stack.provisioned.application)["Items"]
        at = {lease["leaseKey"]["S"]: lease["checkpoint"]["S"] for lease in leases}
        now = time.monotonic()
        if first is None and any(number.isdigit() for number in at.values()):
            first = now, sum(tree.cpu_by_kind().values()), _taken(at, tips, records)
        if all(at[shard] == tip for shard, tip in tips.items()):
            break
        if now > deadline:
            raise RuntimeError(f"{name} did not drain the stream within {_SECONDS_MAX} s: {at}")
        time.sleep(_POLL_SECONDS)
    tree.look()
    cpu = tree.cpu_by_kind()
    first = first or (began, 0.0, 0)
    return Drained(
        name,
        records,
        cpu,
        now - began,
        records - first[2],
        now - first[0],
        sum(cpu.values()) - first[1],
        tree.peak,
    )


def _taken(at: dict[str, str], tips: dict[str, str], records: int) -> int:
    """How many records lie before the checkpoint: the endpoint's sequence numbers count them."""
    return sum(
        records - (int(tip) - int(at[shard])) % 10**10
        for shard, tip in tips.items()
        if at[shard].isdigit()
    )


def full(records: int, shops: int = SHOPS) -> Drained:
    """`tillwatch run` as it is in production, into OpenSearch and Parquet."""
    with _preloaded(records, shops) as (stack, tips):
        if stack.node is None:
            raise RuntimeError("there is no OpenSearch to index into")
        _warm(stack.node.url)
        part = start_worker(stack)
        try:
            name = f"Tillwatch, everything on, {shops:,} shops"
            return _measure(name, part.pid, stack, tips, records)
        finally:
            part.stop(_STOP_SECONDS_MAX)


def noop(records: int) -> Drained:
    """The same daemon, with amazon_kclpy's own process and a processor that does nothing."""
    with _preloaded(records) as (stack, tips):
        environment = stack.environment()
        given = {
            name.removeprefix("TILLWATCH_").lower(): value
            for name, value in environment.items()
            if name.startswith("TILLWATCH_")
        }
        settings = Settings(**{k: v for k, v in given.items() if k in Settings.model_fields})  # type: ignore[arg-type]  # pydantic reads text
        directory = stack.folder.path / "noop"
        directory.mkdir()
        command = prepare(settings, directory)
        child = f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -m benchmarks.noop\n"
        (directory / "child").write_text(child)
        part = Part("the daemon", command, environment, directory / "log")
        try:
            return _measure("the daemon, nothing to do", part.pid, stack, tips, records)
        finally:
            part.stop(_STOP_SECONDS_MAX)


def worker_table(records: int) -> None:
    """Measure all, and print table (b)."""
    runs = [full(records), full(records, shops=MANY_SHOPS), noop(records)]
    print(f"(b) Draining {records:,} preloaded records of one shard")
    print()
    print(
        "| | CPU-s per 100k | of it daemon | of it child | CPU-s per 100k once started "
        "| records/s, start included | records/s once started | peak child MiB | peak daemon MiB |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for run in runs:
        per = 100_000 / run.records
        total = sum(run.cpu_seconds.values())
        print(
            f"| {run.name} | {total * per:.2f} | {run.cpu_seconds['daemon'] * per:.2f} "
            f"| {run.cpu_seconds['child'] * per:.2f} "
            f"| {run.steady_cpu_seconds * 100_000 / run.steady_records:.2f} "
            f"| {run.records / run.seconds:,.0f} "
            f"| {run.steady_records / run.steady_seconds:,.0f} | {run.peak_mib['child']:.0f} "
            f"| {run.peak_mib['daemon']:.0f} |"
        )
    print()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
