"""A soak: workers on the embedded stack, killed again and again while records arrive."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from local.drained import wait_until_drained
from local.faults import (
    KILLS,
    Fault,
    Injected,
    freeze_worker,
    kill,
    kill_worker,
    now_millis,
    plan,
    processes,
)
from local.feed import Keyed, keyed
from local.opensearch import OpenSearchNode
from local.outcome import Outcome, read_outcome
from local.part import Part, PartError
from local.producer import put_all
from local.samples import sample_stream
from local.stack import Stack
from local.stream_reading import contents
from local.trouble import trouble
from local.uninterrupted import Uninterrupted, uninterrupted
from local.verdict import faults as differences
from local.verdict import repeats
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

SETTINGS = {
    # Many checkpoints, so that a kill has many places to fall.
    "TILLWATCH_BATCH_RECORDS_MAX": "1000",
    "TILLWATCH_BATCH_SECONDS_MAX": "1",
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "5",
    # It is killed more often in a row than any worker in production that should go on.
    "TILLWATCH_WORKER_RESTARTS_MAX": "10000",
}
_RECORDS_PER_SHOP_DAY = 120
_LONG_RECORDS_MIN = 100_000
_POLL_SECONDS = 0.1
_COUNT_SECONDS = 1.0
"""Between two counts of the documents, each of which has OpenSearch refresh its indices."""
_PATIENCE_SECONDS_MAX = 60.0
"""How long a fault waits for the checkpoints before it, or for a process that it can kill."""
STUCK_SECONDS_MAX = 300.0
"""How long nothing may move, at the end, until it is taken for stuck."""
_INDEX = "transactions-*"

Tell = Callable[[str], None]


class Options(msgspec.Struct, frozen=True):
    """What is run. `preload` puts every record first, and spreads the kills over their indexing."""

    seed: int = 1
    records: int = 200_000
    kills: int = 30
    shards: int = 2
    workers: int = 2
    outages: int = 2
    freezes: int = 2
    preload: bool = False
    only: str | None = None
    """Kill nothing but this kind, child or daemon."""


class Report(msgspec.Struct, frozen=True):
    """What was run, what was done to it, and what came out; `faults` is empty where all held."""

    options: Options
    seconds: float
    kills: int
    injected: list[Injected]
    records: int
    accepted: int
    documents: int
    rows: int
    pages: int
    pages_sent: int
    pages_sent_again: int
    rejections: int
    staged_left: int
    orphans: int
    faults: list[str]


def samples(options: Options) -> Iterator[Keyed]:
    """The records: made-up shops with thieves, from the seed."""
    days = 14 if options.records >= _LONG_RECORDS_MIN else 4
    shops = -(-options.records // (_RECORDS_PER_SHOP_DAY * days))
    stream = sample_stream(options.seed, shops=shops, days=days, campaigns_per_shop_week=4.0)
    return keyed(islice(stream, options.records))


class Soak:
    """One run on `stack`, which has as many shards as `options` say."""

    def __init__(self, stack: Stack, options: Options, tell: Tell) -> None:
        self._stack = stack
        self._options = options
        self._tell = tell
        self._made = stack.provisioned
        self._kinesis = stack.aws.client("kinesis")
        self._dynamodb = stack.aws.client("dynamodb")
        self._sqs = stack.aws.client("sqs")
        self._records = list(samples(options))
        self._put = 0
        self._workers: dict[int, Part] = {}
        self._searching = True
        self._injected: list[Injected] = []
        self._began = time.monotonic()

    def run(self) -> Report:
        """All of it; the workers are ended when this returns or raises.

        Raises:
            PartError: a worker ended that nobody killed.
            StuckError: the rest was not taken within five minutes without progress.
        """
        expected = uninterrupted(self._stack.environment(), self._records)
        self._tell(
            f"{expected.records:,} records, {len(expected.documents):,} accepted, "
            f"{len(expected.pages)} pages; seed {self._options.seed}"
        )
        with ExitStack() as parts:
            steps = self._plan()
            if self._options.preload:
                self._put_until(len(self._records))
            for number in range(self._options.workers):
                self._workers[number] = start_worker(self._stack, SETTINGS)
                parts.callback(self._workers[number].stop, WORKER_STOP_SECONDS_MAX)
            steps_of_traffic = sum(not fault.kind.endswith("search") for fault in steps) + 1
            reached = 0
            for fault in steps:
                if not fault.kind.endswith("search"):
                    reached += 1
                    self._put_until(len(self._records) * reached // steps_of_traffic)
                self._wait_for(fault, reached / steps_of_traffic)
                self._inject(fault)
            self._put_until(len(self._records))
            self._drain()
            self._until(lambda: self._letters() >= len(expected.sendings), _PATIENCE_SECONDS_MAX)
            for worker in self._workers.values():
                worker.stop(WORKER_STOP_SECONDS_MAX)
        return self._report(expected, read_outcome(self._stack))

    def _plan(self) -> list[Fault]:
        options = self._options
        between = options.records // (options.kills + 1)
        steps = plan(
            options.seed,
            kills=options.kills,
            workers=options.workers,
            outages=options.outages,
            freezes=options.freezes,
            # What arrives between two kills is mostly taken before the next.
            commits_max=max(1, between // int(SETTINGS["TILLWATCH_BATCH_RECORDS_MAX"])),
        )
        if options.only is None:
            return steps
        return [msgspec.structs.replace(step, kind=options.only) for step in steps]

    def _put_until(self, end: int) -> None:
        """Put what is not put yet of the first `end` records."""
        if end > self._put:
            put_all(self._kinesis, self._made.stream, iter(self._records[self._put : end]))
            self._put = end

    # -- faults -----------------------------------------------------------------------------------

    def _wait_for(self, fault: Fault, share: float) -> None:
        """Until its moment has come; of what is preloaded, until `share` of it is indexed."""
        if self._options.preload:
            enough_documents = share * len(self._records)
            self._until(
                lambda: self._documents() >= enough_documents,
                STUCK_SECONDS_MAX,
                pause=_COUNT_SECONDS,
            )
        elif self._searching and fault.commits:
            seen = self._checkpoints()
            moved = 0

            def enough() -> bool:
                nonlocal seen, moved
                now = self._checkpoints()
                moved += now != seen
                seen = now
                return moved >= fault.commits

            self._until(enough, _PATIENCE_SECONDS_MAX)
        if fault.kind != "freeze":
            time.sleep(fault.seconds)
        self._check()

    def _until(
        self, true: Callable[[], bool], seconds_max: float, *, pause: float = _POLL_SECONDS
    ) -> bool:
        deadline = time.monotonic() + seconds_max
        while not true():
            self._check()
            if time.monotonic() > deadline:
                return False
            time.sleep(pause)
        return True

    def _check(self) -> None:
        for number, worker in self._workers.items():
            if worker.exit_code is not None:
                raise PartError(f"worker {number} ended with {worker.exit_code}: {trouble(worker)}")

    def _inject(self, fault: Fault) -> None:
        node = self._stack.node
        if node is None:
            raise ValueError("a soak wants OpenSearch")
        documents = self._documents()
        at = now_millis()
        pids: tuple[int, ...] = ()
        match fault.kind:
            case "stop search":
                self._searching = False
                pids = (node.pid,)
                # By turns as a person would end it, and as a power cut would.
                node.stop() if fault.pick % 2 else node.kill()
            case "start search":
                node.resume()
                self._searching = True
                pids = (node.pid,)
            case "freeze":
                pids = freeze_worker(self._workers[fault.worker].pid, fault.seconds)
            case "worker for good":
                pids = kill_worker(self._workers.pop(fault.worker).pid)
            case _:
                pids = self._kill_one(fault)
                at = now_millis()
        seconds = round(time.monotonic() - self._began, 1)
        done = Injected(fault.kind, at, seconds, fault.worker, pids, documents)
        self._injected.append(done)
        self._tell(f"{fault.kind} (worker {fault.worker}, {pids}), {documents:,} documents")

    def _kill_one(self, fault: Fault) -> tuple[int, ...]:
        """Kill one process of the fault's kind and worker; of another where it has none."""
        others = [number for number in self._workers if number != fault.worker]

        def candidates() -> list[Any]:
            for number in (fault.worker, *others):
                if found := processes(self._workers[number].pid, fault.kind):
                    return found
            return []

        self._until(lambda: bool(candidates()), _PATIENCE_SECONDS_MAX)
        found = candidates()
        if not found:
            raise PartError(f"no {fault.kind} came up for {_PATIENCE_SECONDS_MAX:.0f} s")
        victim = found[fault.pick % len(found)]
        kill(victim)
        return (victim.pid,)

    # -- looking ----------------------------------------------------------------------------------

    def _checkpoints(self) -> dict[str, str]:
        items = self._dynamodb.scan(TableName=self._made.application)["Items"]
        return {item["leaseKey"]["S"]: item["checkpoint"]["S"] for item in items}

    def _documents(self) -> int:
        if not self._searching:
            return -1
        client = self._stack.search_client()
        try:
            client.indices.refresh(index=_INDEX)
            found: int = client.count(index=_INDEX)["count"]
            return found
        finally:
            client.close()

    def _letters(self) -> int:
        """How many pages the subscriber got so far, repeated ones included."""
        name = "ApproximateNumberOfMessages"
        answer = self._sqs.get_queue_attributes(
            QueueUrl=self._made.pages_queue_url, AttributeNames=[name]
        )
        return int(answer["Attributes"][name])

    def _drain(self) -> None:
        self._tell("every fault is done; waiting until all is through")
        found = contents(self._kinesis, self._made.stream, self._made.shards)
        wait_until_drained(
            self._stack.aws,
            self._made,
            found.tips,
            check=self._check,
            stuck_seconds_max=STUCK_SECONDS_MAX,
        )

    def _report(self, expected: Uninterrupted, found: Outcome) -> Report:
        kills = [one for one in self._injected if one.kind in KILLS]
        return Report(
            options=self._options,
            seconds=round(time.monotonic() - self._began, 1),
            kills=len(kills),
            injected=self._injected,
            records=len(self._records),
            accepted=len(expected.documents),
            documents=len(found.documents),
            rows=found.rows.total(),
            pages=len(found.pages),
            pages_sent=len(found.sendings),
            pages_sent_again=repeats(found),
            rejections=found.rejections,
            staged_left=len(found.staged),
            orphans=len(found.orphans),
            faults=differences(expected, found, kills_at=[one.at for one in kills]),
        )


def soak(folder: Path, options: Options, tell: Tell) -> Report:
    """Run one on a stack of its own in `folder`."""
    node = OpenSearchNode(folder / "opensearch", heap="1g", keeps_its_port=True, progress=tell)
    with node, Stack(folder / "state", shards=options.shards, node=node, progress=tell) as stack:
        return Soak(stack, options, tell).run()
