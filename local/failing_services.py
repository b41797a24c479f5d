"""S3, SQS, DynamoDB and SNS fail in turn while records arrive: the worker waits, and catches up."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec

from local.answers import Answers
from local.drained import wait_until_drained
from local.fault_proxy import Client, Failing, FaultProxy, How, Service
from local.faults import processes
from local.feed import Keyed, keyed
from local.outcome import read_outcome
from local.part import Part, PartError
from local.producer import put_all
from local.resident import Sampler
from local.samples import sample_stream
from local.soaking import STUCK_SECONDS_MAX, Tell
from local.stack import Stack
from local.stream_reading import contents
from local.trouble import trouble
from local.uninterrupted import Uninterrupted, uninterrupted
from local.verdict import faults as differences
from local.verdict import repeats
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

SETTINGS = {
    "TILLWATCH_BATCH_SECONDS_MAX": "0.5",
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "3",
    # KCL's reads of Kinesis go past the proxy, which speaks no HTTP/2; the embedded endpoint
    # reads JSON bodies alone, which goes without saying only where there is one endpoint for all.
    "JAVA_TOOL_OPTIONS": "-Daws.cborEnabled=false",
}
_TICK_SECONDS = 0.25
_HOWS_BRIEF = 2
_LONG_SECONDS = 60.0
_BEFORE_SHARE = 0.05
_BITE_SECONDS_MAX = 60.0
"""How long a fault stays on, beyond its time, until it has shown everything that it must."""
_RECOVERY_SECONDS_MAX = 120.0
_BROKEN_EVERY = 100
"""One record in so many is no transaction, so that there is always something for the queue."""
FLAT_RATIO = 1.25


class Phase(msgspec.Struct, frozen=True):
    """One service that fails, in several ways one after the other, and what has to be seen of it.

    `waiting` is the name of the service in the worker's metrics and log lines; `holds` says
    whether the shard must stand still meanwhile. Where the daemon's own requests fail as well
    (`client` is None) it may lose the lease, and children may be replaced.
    """

    name: str
    service: Service
    waiting: str
    hows: tuple[How, ...]
    client: Client | None = "child"
    holds: bool = True


PHASES = (
    Phase("S3", "s3", "s3", ("throttle", "close", "hang", "unavailable", "error")),
    Phase("SQS", "sqs", "dlq", ("unavailable", "throttle", "hang", "close", "error")),
    Phase(
        "DynamoDB (children)",
        "dynamodb",
        "dynamodb",
        ("throttle", "error", "hang", "close", "unavailable"),
    ),
    Phase(
        "SNS",
        "sns",
        "sns",
        ("throttle", "close", "unavailable", "error", "hang"),
        None,
        holds=False,
    ),
    Phase(
        "DynamoDB (daemon too)",
        "dynamodb",
        "dynamodb",
        ("close", "throttle", "error", "unavailable", "hang"),
        None,
    ),
)


class Fared(msgspec.Struct):
    """How the worker fared while one service failed; memory is the child's, in MiB.

    `early` is the most in the first half, `late` in the second, `after` until it had caught up.
    """

    name: str
    seconds: float = 0.0
    records: int = 0
    refused: int = 0
    refused_daemon: int = 0
    retries: float = 0.0
    lines: int = 0
    shown: bool = False
    lag_seconds: float = 0.0
    pages_waiting: float = 0.0
    early: float = 0.0
    late: float = 0.0
    after: float = 0.0
    checkpoints: int = 0
    """Checkpoints that were seen to move after the worker had said that it waits."""
    child_replaced: bool = False
    daemon_starts: float = 0.0
    caught_up_seconds: float = 0.0


class FailingReport(msgspec.Struct, frozen=True):
    """What was run and what came out; `faults` is empty where all held."""

    seed: int
    seconds: float
    records: int
    accepted: int
    documents: int
    rows: int
    rejections: int
    pages: int
    pages_sent: int
    pages_sent_again: int
    staged_left: int
    orphans: int
    fared: list[Fared]
    faults: list[str]


def failing_services(
    stack: Stack, *, seed: int, records: int, seconds: float, tell: Tell
) -> FailingReport:
    """Each service fails for `seconds` while `records` arrive at one shard, spread over all.

    Raises:
        PartError: the worker ended.
        StuckError: the rest was not taken within five minutes without progress.
    """
    with FaultProxy(stack.aws.url) as proxy:
        run = _Run(stack, proxy, list(_records(seed, records)), tell)
        try:
            return run.all(seed, seconds)
        finally:
            proxy.lift()
            run.worker.stop(WORKER_STOP_SECONDS_MAX)


def _records(seed: int, number: int) -> Iterator[Keyed]:
    """Made-up shops with thieves, of whom pages are opened in the second half at the latest."""
    shops = max(6, number // 3_000)
    days = -(-number // (shops * 60))
    stream = sample_stream(seed, shops=shops, days=max(21, days), campaigns_per_shop_week=8.0)
    for place, (key, data) in enumerate(islice(keyed(stream), number)):
        yield key, data[: len(data) // 2] if place % _BROKEN_EVERY == 0 else data


class _Run:
    """One worker that reaches AWS through `proxy`, and what is done to it."""

    def __init__(self, stack: Stack, proxy: FaultProxy, records: list[Keyed], tell: Tell) -> None:
        self._stack = stack
        self._proxy = proxy
        self._records = records
        self._tell = tell
        self._made = stack.provisioned
        self._kinesis = stack.aws.client("kinesis")
        self._dynamodb = stack.aws.client("dynamodb")
        self._put = 0
        log = stack.folder.path / "worker.log"
        log_from = log.stat().st_size if log.exists() else 0
        # Uploads and pages meet the proxy; Kinesis does not.
        through = {
            "TILLWATCH_AWS_ENDPOINT": proxy.url,
            "TILLWATCH_KINESIS_ENDPOINT": stack.aws.url,
        }
        self.worker: Part = start_worker(stack, SETTINGS | through)
        self._answers = Answers(self.worker, log_from)
        self._sampler = Sampler(self.worker.pid)

    def all(self, seed: int, seconds: float) -> FailingReport:
        """Every phase, and the verdict."""
        expected = uninterrupted(self._stack.environment(), self._records)
        self._tell(f"{expected.records:,} records, {len(expected.documents):,} accepted")
        self._put_until(int(len(self._records) * _BEFORE_SHARE))
        self._caught_up()
        fared = []
        for number, phase in enumerate(PHASES, 1):
            share = _BEFORE_SHARE + (1 - _BEFORE_SHARE) * number / len(PHASES)
            fared.append(self._phase(phase, seconds, int(len(self._records) * share)))
            self._tell(_line(fared[-1]))
        self._put_until(len(self._records))
        tips = contents(self._kinesis, self._made.stream, self._made.shards).tips
        wait_until_drained(
            self._stack.aws,
            self._made,
            tips,
            check=self._look,
            stuck_seconds_max=STUCK_SECONDS_MAX,
        )
        self._until(lambda: self._sum("tillwatch_waiting_pages") == 0, _RECOVERY_SECONDS_MAX)
        self.worker.stop(WORKER_STOP_SECONDS_MAX)
        return self._report(seed, seconds, expected, fared)

    # -- one phase --------------------------------------------------------------------------------

    def _phase(self, phase: Phase, seconds: float, until: int) -> Fared:
        """One service fails for so long, while the records up to `until` arrive."""
        fared = Fared(phase.name, records=until - self._put)
        hows = phase.hows if seconds >= _LONG_SECONDS else phase.hows[:_HOWS_BRIEF]
        first, log_from = self._put, self._answers.log_end()
        retries = self._retries(phase)
        refused = self._proxy.refused()
        starts = self._sum("tillwatch_daemon_restarts_total")
        child = self._child()
        began = time.monotonic()
        seen: Any = None
        while True:
            gone = time.monotonic() - began
            over = gone >= seconds
            how = hows[min(int(gone / seconds * len(hows)), len(hows) - 1)]
            self._proxy.fail(Failing(phase.service, how, phase.client))
            self._put_until(first + int((until - first) * min(1.0, gone / seconds)))
            self._look()
            fared.retries = self._retries(phase) - retries
            fared.lag_seconds = max(fared.lag_seconds, self._sum("tillwatch_lag_seconds"))
            fared.pages_waiting = max(fared.pages_waiting, self._sum("tillwatch_waiting_pages"))
            fared.shown |= self._shows(phase)
            if fared.shown:
                now = self._checkpoints()
                fared.checkpoints += seen is not None and now != seen
                seen = now
            if over and (self._shown_enough(phase, fared) or gone > seconds + _BITE_SECONDS_MAX):
                break
            time.sleep(_TICK_SECONDS)
        ended = time.monotonic()
        half = (began + ended) / 2
        fared.seconds = round(ended - began, 1)
        fared.early = self._sampler.most("child", began, half)
        fared.late = self._sampler.most("child", half, ended)
        now_refused = self._proxy.refused() - refused
        fared.refused = now_refused[phase.service, "child"]
        fared.refused_daemon = now_refused[phase.service, "daemon"]
        fared.lines = self._lines(phase, log_from)
        self._proxy.lift()
        self._caught_up()
        if not phase.holds:
            self._until(lambda: self._sum("tillwatch_waiting_pages") == 0, _RECOVERY_SECONDS_MAX)
        fared.caught_up_seconds = round(time.monotonic() - ended, 1)
        fared.after = self._sampler.most("child", ended, time.monotonic())
        fared.child_replaced = self._child() != child
        fared.daemon_starts = self._sum("tillwatch_daemon_restarts_total") - starts
        return fared

    def _shown_enough(self, phase: Phase, fared: Fared) -> bool:
        return fared.shown and (phase.holds or fared.checkpoints > 0)

    def _shows(self, phase: Phase) -> bool:
        """Whether the metrics say what is going on."""
        if not phase.holds:
            return self._sum("tillwatch_waiting_pages") > 0 and self._retries(phase) > 0
        return any(
            name.startswith(f"{phase.waiting},")
            for name in self._answers.samples("tillwatch_waiting")
        )

    def _lines(self, phase: Phase, begin: int) -> int:
        """Log lines that name the service as one that does not take something."""
        return sum(
            line.get("service") == phase.waiting and line["level"] == "WARNING"
            for line in self._answers.lines(begin)
        )

    # -- looking ----------------------------------------------------------------------------------

    def _look(self) -> None:
        if self.worker.exit_code is not None:
            raise PartError(
                f"the worker ended with {self.worker.exit_code}: {trouble(self.worker)}"
            )
        self._sampler.look()

    def _until(self, true: Any, seconds_max: float) -> bool:
        deadline = time.monotonic() + seconds_max
        while not true():
            self._look()
            if time.monotonic() > deadline:
                return False
            time.sleep(_TICK_SECONDS)
        return True

    def _put_until(self, end: int) -> None:
        if end > self._put:
            put_all(self._kinesis, self._made.stream, iter(self._records[self._put : end]))
            self._put = end

    def _caught_up(self) -> None:
        """Wait until everything that was put so far is behind a checkpoint."""
        tips = contents(self._kinesis, self._made.stream, self._made.shards).tips

        def reached() -> bool:
            at = self._checkpoints()
            return all(at[shard].isdigit() and int(at[shard]) >= int(tips[shard]) for shard in tips)

        if not self._until(reached, STUCK_SECONDS_MAX):
            raise PartError(f"the worker did not catch up: {trouble(self.worker)}")

    def _checkpoints(self) -> dict[str, str]:
        items = self._dynamodb.scan(TableName=self._made.application)["Items"]
        return {item["leaseKey"]["S"]: item["checkpoint"]["S"] for item in items}

    def _child(self) -> int | None:
        found = processes(self.worker.pid, "child")
        return found[0].pid if found else None

    def _retries(self, phase: Phase) -> float:
        return sum(
            value
            for labels, value in self._answers.samples("tillwatch_retries_total").items()
            if labels.startswith(f"{phase.waiting},")
        )

    def _sum(self, name: str) -> float:
        return sum(self._answers.samples(name).values())

    def _report(
        self, seed: int, seconds: float, expected: Uninterrupted, fared: list[Fared]
    ) -> FailingReport:
        found = read_outcome(self._stack)
        wrong = [
            line for phase, how in zip(PHASES, fared, strict=True) for line in _wrong(phase, how)
        ]
        return FailingReport(
            seed=seed,
            seconds=seconds,
            records=len(self._records),
            accepted=len(expected.documents),
            documents=len(found.documents),
            rows=found.rows.total(),
            rejections=found.rejections,
            pages=len(found.pages),
            pages_sent=len(found.sendings),
            pages_sent_again=repeats(found),
            staged_left=len(found.staged),
            orphans=len(found.orphans),
            fared=fared,
            faults=[*wrong, *differences(expected, found)],
        )


def _wrong(phase: Phase, fared: Fared) -> list[str]:
    """What a worker that waits would not have done, in words."""
    alone = phase.client is not None or not phase.holds
    told = {
        "no request met the fault": fared.refused == 0,
        "its metrics did not say that it waits": not fared.shown,
        "no retry was counted": fared.retries == 0,
        "no log line names the service": fared.lines == 0,
        "it checkpointed what it could not have written": phase.holds and fared.checkpoints > 0,
        "the shard stood still, though only pages had to wait": not phase.holds
        and fared.checkpoints == 0,
        f"memory grew from {fared.early} to {fared.late} MiB": fared.late
        > FLAT_RATIO * fared.early,
        "the child was replaced": alone and fared.child_replaced,
        "the daemon was started again": alone and fared.daemon_starts > 0,
    }
    return [f"{phase.name}: {what}" for what, so in told.items() if so]


def _line(fared: Fared) -> str:
    return (
        f"{fared.name}: away {fared.seconds:.0f} s, {fared.records:,} records, refused "
        f"{fared.refused} + {fared.refused_daemon} of the daemon's, {fared.retries:.0f} retries, "
        f"{fared.lines} lines, lag {fared.lag_seconds:.0f} s, pages waiting "
        f"{fared.pages_waiting:.0f}, checkpoints {fared.checkpoints}, child MiB {fared.early} "
        f"{fared.late} {fared.after}, replaced {fared.child_replaced}, daemon starts "
        f"{fared.daemon_starts:.0f}, caught up {fared.caught_up_seconds:.0f} s"
    )


def failing_text(report: FailingReport) -> str:
    """The report for a person."""
    lines = [
        f"seed {report.seed}, {report.records:,} records, each service away {report.seconds:.0f} s",
        *map(_line, report.fared),
        (
            f"accepted {report.accepted:,}, documents {report.documents:,}, rows {report.rows:,}, "
            f"dead letters {report.rejections}, left behind {report.staged_left} staged parts, "
            f"{report.orphans} snapshots"
        ),
        (
            f"pages {report.pages}, revisions sent {report.pages_sent}, sent again "
            f"{report.pages_sent_again}"
        ),
    ]
    held = "nothing lost, nothing twice, every score and page as without faults"
    return "\n".join([*lines, *([f"WRONG: {line}" for line in report.faults] or [held])])


def failing_in(
    folder: Path, *, seed: int, records: int, seconds: float, tell: Tell
) -> FailingReport:
    """Run it on a stack of its own in `folder`."""
    with Stack(folder / "state", heap="1g", progress=tell) as stack:
        return failing_services(stack, seed=seed, records=records, seconds=seconds, tell=tell)
