"""S3, SQS, DynamoDB and SNS fail in turn while records arrive: the worker waits, and catches up."""

import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from local.answers import Answers
from local.drained import wait_until_drained
from local.failing_phases import PHASES, FailingReport, Fared, Phase, told, wrong
from local.fault_proxy import Failing, FaultProxy
from local.faults import processes
from local.feed import Keyed, keyed
from local.outcome import read_outcome
from local.part import Part, PartError
from local.producer import put_all
from local.resident import Sampler
from local.samples import sample_stream
from local.soaking import STUCK_SECONDS_MAX, Tell
from local.stack import Stack
from local.stream_reading import tips
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
        self._tips: dict[str, str] = {}
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
            self._tell(told(fared[-1]))
        self._put_until(len(self._records))
        self._caught_up()
        wait_until_drained(
            self._stack.aws,
            self._made,
            self._tips,
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
            shown = over and self._shown_enough(phase, fared, log_from)
            if shown or gone > seconds + _BITE_SECONDS_MAX:
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

    def _shown_enough(self, phase: Phase, fared: Fared, log_from: int) -> bool:
        if phase.holds or not fared.shown:
            return fared.shown
        # Pages are told of at the end of a round, while batches go on.
        return fared.checkpoints > 0 and self._lines(phase, log_from) > 0

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
        self._tips = tips(self._kinesis, self._made.stream, self._made.shards, self._tips)

        def reached() -> bool:
            at = self._checkpoints()
            return all(
                at[of].isdigit() and int(at[of]) >= int(tip) for of, tip in self._tips.items()
            )

        self._look()
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
        broken = [
            said for phase, how in zip(PHASES, fared, strict=True) for said in wrong(phase, how)
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
            faults=[*broken, *differences(expected, found)],
        )


def failing_in(
    folder: Path, *, seed: int, records: int, seconds: float, tell: Tell
) -> FailingReport:
    """Run it on a stack of its own in `folder`."""
    with Stack(folder / "state", heap="1g", progress=tell) as stack:
        return failing_services(stack, seed=seed, records=records, seconds=seconds, tell=tell)
