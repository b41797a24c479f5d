"""A long outage: OpenSearch is away while records arrive; memory stays flat, and all catches up."""

import time
from pathlib import Path

import msgspec

from local.drained import wait_until_drained
from local.opensearch import OpenSearchNode
from local.outcome import read_outcome
from local.part import Part, PartError
from local.producer import put_all
from local.resident import Sampler
from local.soaking import STUCK_SECONDS_MAX, Options, Tell, samples
from local.stack import Stack
from local.stream_reading import contents
from local.trouble import trouble
from local.uninterrupted import uninterrupted
from local.verdict import faults as differences
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

_SETTINGS = {"TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "5"}
_PUTS = 200
"""The records arrive in so many pieces, spread over the outage."""
_BEFORE_SHARE = 0.02
_SAMPLE_SECONDS = 0.5


class Memory(msgspec.Struct, frozen=True):
    """Resident MiB of the processes of one kind: the most of any of them at a time.

    `early` is the most in the outage's first minute (its first half where it is shorter), `late`
    the most in as much of its end; `catching_up` the most after it.
    """

    kind: str
    before: float
    early: float
    late: float
    catching_up: float


class OutageReport(msgspec.Struct, frozen=True):
    """What was run, how memory went, and what came out; `faults` is empty where all held."""

    options: Options
    outage_seconds: float
    catch_up_seconds: float
    records: int
    accepted: int
    documents: int
    rows: int
    memory: list[Memory]
    faults: list[str]


def outage(folder: Path, options: Options, seconds: float, tell: Tell) -> OutageReport:
    """OpenSearch goes away for `seconds`, while nearly all of the records arrive.

    Raises:
        PartError: the worker ended.
        StuckError: the rest was not taken within five minutes without progress.
    """
    node = OpenSearchNode(folder / "opensearch", heap="1g", keeps_its_port=True, progress=tell)
    with node, Stack(folder / "state", shards=options.shards, node=node, progress=tell) as stack:
        return _run(stack, node, options, seconds, tell)


def _run(
    stack: Stack, node: OpenSearchNode, options: Options, seconds: float, tell: Tell
) -> OutageReport:
    records = list(samples(options))
    kinesis = stack.aws.client("kinesis")
    made = stack.provisioned
    first = int(len(records) * _BEFORE_SHARE)
    put_all(kinesis, made.stream, iter(records[:first]))
    worker = start_worker(stack, _SETTINGS)
    try:
        sampler = Sampler(worker.pid)
        began = time.monotonic()
        _drain(stack, worker, sampler)
        down = time.monotonic()
        node.stop()
        tell(f"OpenSearch is gone; {len(records) - first:,} records arrive in {seconds:.0f} s")
        for number in range(_PUTS):
            due = down + seconds * number / _PUTS
            _watch(worker, sampler, due - time.monotonic())
            start, end = (
                first + (len(records) - first) * at // _PUTS for at in (number, number + 1)
            )
            put_all(kinesis, made.stream, iter(records[start:end]))
        _watch(worker, sampler, down + seconds - time.monotonic())
        up = time.monotonic()
        node.resume()
        tell("OpenSearch is back")
        _drain(stack, worker, sampler)
        done = time.monotonic()
        tell(f"caught up {done - up:.0f} s after it was started")
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)
    expected = uninterrupted(stack.environment(), records)
    found = read_outcome(stack)
    edge = min(60.0, seconds / 2)
    return OutageReport(
        options=options,
        outage_seconds=round(up - down, 1),
        catch_up_seconds=round(done - up, 1),
        records=len(records),
        accepted=len(expected.documents),
        documents=len(found.documents),
        rows=found.rows.total(),
        memory=[
            Memory(
                kind,
                sampler.most(kind, began, down),
                sampler.most(kind, down, down + edge),
                sampler.most(kind, up - edge, up),
                sampler.most(kind, up, done),
            )
            for kind in ("child", "daemon", "supervisor")
        ],
        faults=differences(expected, found),
    )


def _watch(worker: Part, sampler: Sampler, seconds: float) -> None:
    """Sample for so long."""
    until = time.monotonic() + seconds
    while True:
        _look(worker, sampler)
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(_SAMPLE_SECONDS, left))


def _look(worker: Part, sampler: Sampler) -> None:
    if worker.exit_code is not None:
        raise PartError(f"the worker ended with {worker.exit_code}: {trouble(worker)}")
    sampler.look()


def _drain(stack: Stack, worker: Part, sampler: Sampler) -> None:
    made = stack.provisioned
    tips = contents(stack.aws.client("kinesis"), made.stream, made.shards).tips
    wait_until_drained(
        stack.aws,
        made,
        tips,
        check=lambda: _look(worker, sampler),
        stuck_seconds_max=STUCK_SECONDS_MAX,
    )


def outage_text(report: OutageReport) -> str:
    """The report for a person."""
    lines = [
        (
            f"seed {report.options.seed}, {report.records:,} records, OpenSearch away for "
            f"{report.outage_seconds:.0f} s, caught up {report.catch_up_seconds:.0f} s after it"
        ),
        f"accepted {report.accepted:,}, documents {report.documents:,}, rows {report.rows:,}",
        "resident MiB, the most of a process: before, early in the outage, late in it, afterwards",
    ]
    lines += [
        f"  {one.kind:10} {one.before:7.1f} {one.early:7.1f} {one.late:7.1f} {one.catching_up:7.1f}"
        for one in report.memory
    ]
    lines += [f"WRONG: {line}" for line in report.faults]
    return "\n".join(lines)
