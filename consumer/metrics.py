"""The worker's metrics in Prometheus' text form; docs/metrics.md lists every one of them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import msgspec
from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector

from consumer.children import Child, Children, Shard
from consumer.telemetry import HALTED, OTHER, Report
from consumer.vitals import Vitals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metric(msgspec.Struct, frozen=True):
    """One metric by its full name. Counters begin anew with the supervisor, never with a child."""

    name: str
    kind: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    help: str


def _counted(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "counter", labels, text)


def _measured(name: str, text: str, *labels: str) -> Metric:
    return Metric(name, "gauge", labels, text)


# What children count, by the field of `Totals`.
_TOTALS = {
    "commits": _counted("tillwatch_commits_total", "Batches through all five steps.", "shard"),
    "records": _counted("tillwatch_records_total", "Records of committed batches.", "shard"),
    "record_bytes": _counted("tillwatch_record_bytes_total", "Bytes of these records.", "shard"),
    "transactions": _counted(
        "tillwatch_transactions_total", "Transactions among these records.", "shard"
    ),
    "refunds": _counted("tillwatch_refunds_total", "Refunds among these transactions.", "shard"),
    "pages": _counted("tillwatch_pages_total", "Pages that were opened.", "shard"),
    "repeated": _counted(
        "tillwatch_repeated_records_total", "Records that came again, and counted once.", "shard"
    ),
    "late": _counted(
        "tillwatch_late_records_total", "Records that came after their hour had closed.", "shard"
    ),
    "hours_published": _counted(
        "tillwatch_published_hours_total", "Closed hours whose final files were written.", "shard"
    ),
    "commit_seconds": _counted(
        "tillwatch_commit_seconds_total", "Time that commits took, waiting included.", "shard"
    ),
    "snapshot_bytes": _counted(
        "tillwatch_snapshot_bytes_total", "Bytes of the snapshots written.", "shard"
    ),
    "snapshot_seconds": _counted(
        "tillwatch_snapshot_seconds_total", "Time that building and writing them took.", "shard"
    ),
    "reports_dropped": _counted(
        "tillwatch_reports_dropped_total", "Reports of children that did not get through.", "shard"
    ),
}
_REJECTIONS = _counted(
    "tillwatch_rejections_total", "Rejections in the dead-letter queue.", "shard", "stage", "reason"
)
_RETRIES = _counted(
    "tillwatch_retries_total", "Tries that a service did not take.", "shard", "service"
)


def lag_of(report: Report, since: float) -> float | None:
    """As of what the daemon said last; what is in a commit is at least as old as the commit."""
    if report.lag_seconds is None:
        return None
    behind = report.lag_seconds + report.lag_age + since
    return max(behind, _aged(report.commit_age, since) or 0.0)


def _aged(age: float | None, since: float) -> float | None:
    return None if age is None else age + since


# What a child's last report says; None where it says nothing of the kind.
_GAUGES: dict[Metric, Callable[[Report, float], float | None]] = {
    _measured(
        "tillwatch_lag_seconds", "How far the shard is behind what happens, at most.", "shard"
    ): lag_of,
    _measured(
        "tillwatch_checkpoint_age_seconds", "Since the child's last checkpoint.", "shard"
    ): lambda report, since: _aged(report.checkpoint_age, since),
    _measured(
        "tillwatch_commit_age_seconds", "Since the commit on its way began; 0 without one.", "shard"
    ): lambda report, since: _aged(report.commit_age, since) or 0.0,
    _measured(
        "tillwatch_beat_age_seconds", "Since the child's main thread last beat.", "shard"
    ): lambda report, since: report.beat_age + since,
    _measured(
        "tillwatch_child_resident_bytes", "Memory of the shard's process.", "shard"
    ): lambda report, _: report.resident_bytes or None,
}

# What its last commit left behind, by the field of `Commit`.
_BEHIND = {
    "snapshot_bytes": _measured(
        "tillwatch_last_snapshot_bytes", "Size of the last snapshot.", "shard"
    ),
    "snapshot_seconds": _measured(
        "tillwatch_last_snapshot_seconds", "Time that the last snapshot took.", "shard"
    ),
    "hours_open": _measured("tillwatch_open_hours", "Hours that still take records.", "shard"),
    "parts_staged": _measured(
        "tillwatch_staged_parts", "Staged parts not yet in final files.", "shard"
    ),
    "pages_waiting": _measured(
        "tillwatch_waiting_pages", "Pages not yet taken by the topic.", "shard"
    ),
}
_WAITING = _measured(
    "tillwatch_waiting", "1 for the service that the shard waits for.", "shard", "service"
)
_HALTED = _measured(
    "tillwatch_halted", "1 while the shard stands still on purpose, else 0.", "shard"
)
_SHARDS = _measured("tillwatch_shards_held", "Shards that a child of this worker has.")
_UP = _measured("tillwatch_daemon_up", "1 while the KCL daemon runs.")
_DAEMON_BYTES = _measured("tillwatch_daemon_resident_bytes", "Memory of the KCL daemon.")
_RESTARTS = _counted("tillwatch_daemon_restarts_total", "Starts of the daemon after the first.")
_REPLACED = _counted(
    "tillwatch_children_replaced_total", "Children replaced by the watch.", "cause"
)
_LINES = _counted("tillwatch_log_lines_dropped_total", "Lines of log that nobody read fast enough.")

METRICS = (
    *_TOTALS.values(),
    _REJECTIONS,
    _RETRIES,
    *_GAUGES,
    *_BEHIND.values(),
    _WAITING,
    _HALTED,
    _SHARDS,
    _UP,
    _DAEMON_BYTES,
    _RESTARTS,
    _REPLACED,
    _LINES,
)
"""Every metric of ours, as docs/metrics.md lists them."""


class Metrics(Collector):
    """Gathers what there is to say at the moment that somebody asks."""

    def __init__(
        self, children: Children, vitals: Vitals, lines_dropped: Callable[[], int]
    ) -> None:
        self._children = children
        self._vitals = vitals
        self._lines_dropped = lines_dropped
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All metrics, for `CONTENT_TYPE`; also the supervisor's own process_*."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Family]:
        """See prometheus_client's Collector."""
        shards = self._children.shards()
        yield from _of_totals(shards)
        held = {name: shard.child for name, shard in shards.items() if shard.child is not None}
        yield from self._of_reports(held)
        vitals = self._vitals
        yield _family(_SHARDS, [((), len(held))])
        yield _family(_UP, [((), 0 if vitals.daemon_pid is None else 1)])
        yield _family(_DAEMON_BYTES, [((), resident_bytes(vitals.daemon_pid))])
        yield _family(_RESTARTS, [((), max(0, vitals.daemon_starts - 1))])
        yield _family(_REPLACED, [((cause,), n) for cause, n in dict(vitals.replaced).items()])
        yield _family(_LINES, [((), self._lines_dropped())])

    def _of_reports(self, held: dict[str, Child]) -> Iterator[Family]:
        now = self._children.clock()
        for metric, value_of in _GAUGES.items():
            values = (
                ((name,), value_of(child.report, now - child.received_at))
                for name, child in held.items()
            )
            yield _family(metric, [(of, value) for of, value in values if value is not None])
        yield _family(
            _HALTED,
            [((name,), float(child.report.doing == HALTED)) for name, child in held.items()],
        )
        for field, metric in _BEHIND.items():
            yield _family(
                metric,
                [
                    ((name,), getattr(child.report.last, field))
                    for name, child in held.items()
                    if child.report.last is not None
                ],
            )
        yield _family(
            _WAITING,
            [
                ((name, child.report.waiting_for), 1)
                for name, child in held.items()
                if child.report.waiting_for is not None
            ],
        )


def _of_totals(shards: dict[str, Shard]) -> Iterator[Family]:
    for field, metric in _TOTALS.items():
        yield _family(
            metric, [((name,), getattr(shard.totals, field)) for name, shard in shards.items()]
        )
    yield _family(
        _REJECTIONS,
        [
            ((name, *_stage_and_reason(known)), number)
            for name, shard in shards.items()
            for known, number in shard.totals.rejections.items()
        ],
    )
    yield _family(
        _RETRIES,
        [
            ((name, service), number)
            for name, shard in shards.items()
            for service, number in shard.totals.retries.items()
        ],
    )


def _stage_and_reason(known: str) -> tuple[str, str]:
    stage, slash, reason = known.partition("/")
    return (stage, reason) if slash else (OTHER, stage)


def _family(metric: Metric, values: list[tuple[tuple[str, ...], float]]) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(metric.name, metric.help, labels=metric.labels)
    for labels, value in values:
        family.add_metric(labels, value)
    return family


def resident_bytes(pid: int | None) -> int:
    """What a process holds in memory; 0 where it has ended, or the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
