"""Table (d): one kill -9 in the middle, and what is lost and doubled: tutorials and ours."""

import shlex
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import psutil

from benchmarks.kill_tutorial import FLUSH_SECONDS, MODE_VARIABLE, MODES, Mode
from benchmarks.records import wire_records
from consumer.daemon import prepare
from consumer.settings import Settings
from local.drained import wait_until_drained
from local.faults import kill, processes
from local.part import Part
from local.producer import put_all
from local.stack import Stack
from local.stream_reading import contents
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

_SECONDS_MAX = 600.0
_POLL_SECONDS = 0.25
_PUBLISHED = "processed/"
_LATER_SECONDS = (0.3, 2.0)
"""Between seeing the middle and the kill: else it would always fall right behind a file."""


class Killed(msgspec.Struct, frozen=True):
    """What came out of `records` distinct transactions, in rows of published Parquet files."""

    name: str
    records: int
    out_at_kill: int
    lost: int
    twice: int
    seconds: float


class _Rows:
    """Rows of the published files, each file read once."""

    def __init__(self, stack: Stack) -> None:
        self._s3 = stack.aws.client("s3")
        self._bucket = stack.provisioned.bucket
        self._files: dict[str, list[str]] = {}

    def look(self) -> int:
        """How many there are now."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._bucket, Prefix=_PUBLISHED
        )
        for key in [entry["Key"] for page in pages for entry in page.get("Contents", ())]:
            if key not in self._files:
                body = self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read()
                table = pq.ParquetFile(pa.BufferReader(body)).read(["transaction_id"])
                self._files[key] = table["transaction_id"].to_pylist()
        return sum(map(len, self._files.values()))

    @property
    def files(self) -> int:
        """How many files were seen."""
        return len(self._files)

    def judge(self, records: int) -> tuple[int, int]:
        """Transactions without a row, and rows beyond the first of a transaction."""
        counted = Counter(id_ for ids in self._files.values() for id_ in ids)
        return records - len(counted), counted.total() - len(counted)


def _preload(stack: Stack, records: int) -> dict[str, str]:
    made, kinesis = stack.provisioned, stack.aws.client("kinesis")
    put_all(kinesis, made.stream, iter(wire_records(records)))
    return contents(kinesis, made.stream, made.shards).tips


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS_MAX
    while not until():
        if time.monotonic() > deadline:
            raise RuntimeError(f"nothing came of it within {_SECONDS_MAX:.0f} s")
        time.sleep(_POLL_SECONDS)


def ours(stack: Stack, records: int, random: Random) -> Killed:
    """`tillwatch run`; its child is killed soon after half of the documents are there."""
    began = time.monotonic()
    tips = _preload(stack, records)
    search = stack.search_client()

    def documents() -> int:
        search.indices.refresh(index="transactions-*")
        found: int = search.count(index="transactions-*")["count"]
        return found

    worker = start_worker(stack, {"TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "5"})
    try:
        _wait(lambda: documents() >= records // 2)
        time.sleep(random.uniform(*_LATER_SECONDS))
        at_kill = documents()
        kill(processes(worker.pid, "child")[0])
        wait_until_drained(stack.aws, stack.provisioned, tips, check=lambda: None)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)
        search.close()
    rows = _Rows(stack)
    rows.look()
    return Killed("Tillwatch", records, at_kill, *rows.judge(records), time.monotonic() - began)


class _Daemon:
    """KCL's daemon with the tutorial's processor; whoever runs it starts it again when it ends."""

    def __init__(self, stack: Stack, mode: Mode) -> None:
        environment = stack.environment()
        given = {
            name.removeprefix("TILLWATCH_").lower(): value
            for name, value in environment.items()
            if name.startswith("TILLWATCH_")
        }
        known = {k: v for k, v in given.items() if k in Settings.model_fields}
        directory = stack.folder.path / "tutorial"
        directory.mkdir(exist_ok=True)
        self._command = prepare(Settings(**known), directory)  # type: ignore[arg-type]  # text
        program = f"{shlex.quote(sys.executable)} -m benchmarks.kill_tutorial"
        (directory / "child").write_text(f"#!/bin/sh\nexec {program}\n")
        self._environment = environment | {MODE_VARIABLE: mode}
        self._log = directory / "log"
        self.part = self._start()

    def _start(self) -> Part:
        return Part("the daemon", self._command, self._environment, self._log)

    def keep(self) -> None:
        """Start it again where it has ended."""
        if self.part.exit_code is not None:
            self.part = self._start()

    def child(self) -> psutil.Process | None:
        """The process that takes the shard's records, once there is one."""
        below = psutil.Process(self.part.pid).children(recursive=True)
        found = [one for one in below if "benchmarks.kill_tutorial" in one.cmdline()]
        return found[0] if found else None


def theirs(stack: Stack, records: int, mode: Mode, random: Random) -> Killed:
    """The tutorial's processor; it is killed soon after half of the rows are in files."""
    began = time.monotonic()
    tips = _preload(stack, records)
    dynamodb = stack.aws.client("dynamodb")
    rows = _Rows(stack)
    daemon = _Daemon(stack, mode)
    try:
        _wait(lambda: rows.look() >= records // 2)
        time.sleep(random.uniform(*_LATER_SECONDS))
        at_kill = rows.look()
        victim = daemon.child()
        if victim is None:
            raise RuntimeError("there is no child to kill")
        kill(victim)
        seen: Any = None
        since = time.monotonic()

        def settled() -> bool:
            nonlocal seen, since
            daemon.keep()
            rows.look()
            leases = dynamodb.scan(TableName=stack.provisioned.application)["Items"]
            at = {lease["leaseKey"]["S"]: lease["checkpoint"]["S"] for lease in leases}
            if (rows.files, at) != seen:
                seen, since = (rows.files, at), time.monotonic()
            done = all(at[shard] == tip for shard, tip in tips.items())
            return done and time.monotonic() - since > 1.5 * FLUSH_SECONDS

        _wait(settled)
    finally:
        daemon.part.stop(WORKER_STOP_SECONDS_MAX)
    rows.look()
    name = f"the tutorials' way: {MODES[mode]}"
    return Killed(name, records, at_kill, *rows.judge(records), time.monotonic() - began)


def kill_table(records: int, rounds: int) -> None:
    """Measure all, and print table (d)."""
    found = []
    random = Random(1)
    with (
        tempfile.TemporaryDirectory(prefix="tillwatch-bench-") as folder,
        Stack(Path(folder) / "state", heap="1g", progress=_say) as stack,
    ):
        for _ in range(rounds):
            for mode in MODES:
                found.append(theirs(stack, records, mode, random))
                _say(str(found[-1]))
                stack.renew()
            found.append(ours(stack, records, random))
            _say(str(found[-1]))
            stack.renew()
    print(f"(d) one kill -9 of the child in the middle of {records:,} preloaded records, one shard")
    print()
    print("| | out at the kill | rows lost | rows twice | seconds in all |")
    print("|---|---|---|---|---|")
    for one in sorted(found, key=lambda one: one.name):
        print(
            f"| {one.name} | {one.out_at_kill:,} | {one.lost:,} | {one.twice:,} "
            f"| {one.seconds:.0f} |"
        )
    print()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
