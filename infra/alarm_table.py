"""What is alarmed on: the table of docs/operations.md, "Alarms", as CloudWatch can ask it. Pure.

Rows of that table have their names here, and a test holds that none is missing; figures of the
worker come from `infra/metrics_lines.py`. What is there besides is CloudWatch's alone: it sees a
worker, a cluster or a topic that cannot speak for itself.
"""

from typing import Final, Literal

import msgspec

from infra.metrics_lines import NAMESPACE, NOT_READY

Missing = Literal["breaching", "notBreaching"]
MINUTE: Final = 60
HOUR: Final = 3600
ALARMS: Final = "Alarms"
"""The section of docs/operations.md with the table."""
LOG_NAMESPACE: Final = "Tillwatch/Log"


class Figure(msgspec.Struct, frozen=True):
    """One metric of CloudWatch; `of` are its dimensions, by the names in `Names`."""

    namespace: str
    name: str
    statistic: str
    of: tuple[tuple[str, str], ...] = ()


class Alarm(msgspec.Struct, frozen=True):
    """Raised when `expression` (or the one figure) is `sign` threshold for `periods` periods."""

    name: str
    meaning: str
    figures: dict[str, Figure]
    threshold: float
    expression: str = ""
    sign: Literal[">", "<", ">="] = ">"
    seconds: int = MINUTE
    periods: int = 1
    missing: Missing = "notBreaching"
    section: str = ALARMS

    @property
    def description(self) -> str:
        """What whoever is woken reads first."""
        row = f', row "{self.name}"' if self.section == ALARMS else ""
        return f'{self.meaning} Read docs/operations.md, "{self.section}"{row}.'


class Names(msgspec.Struct, frozen=True):
    """What alarms look at; values may be known only when it is deployed."""

    application: str
    account: str
    cluster: str
    service: str
    stream: str
    shards_min: int
    workers: int
    search_gib: int
    dead_letters_usual: int


def _ours(name: str, statistic: str) -> Figure:
    return Figure(NAMESPACE, name, statistic, (("application", "application"),))


def _logged(name: str) -> Figure:
    return Figure(LOG_NAMESPACE, name, "Sum")


def _search(name: str, statistic: str = "Maximum") -> Figure:
    return Figure(
        "AWS/ES", name, statistic, (("DomainName", "application"), ("ClientId", "account"))
    )


def _queue(which: str, name: str) -> Figure:
    return Figure("AWS/SQS", name, "Maximum", (("QueueName", which),))


def _task(name: str, statistic: str) -> Figure:
    of = (("ClusterName", "cluster"), ("ServiceName", "service"))
    return Figure("AWS/ECS", name, statistic, of)


def _stream(name: str, statistic: str) -> Figure:
    return Figure("AWS/Kinesis", name, statistic, (("StreamName", "stream"),))


def table(names: Names) -> tuple[Alarm, ...]:
    """Every alarm, the most urgent first."""
    return (*_workers(names), *_figures(), *_services(names))


def _workers(names: Names) -> tuple[Alarm, ...]:
    # ECS tells of each task once a minute how busy it is: so many samples, so many tasks.
    tasks = {"tasks": _task("CPUUtilization", "SampleCount")}
    return (
        Alarm(
            "no worker",
            "No worker runs; the stream keeps what comes.",
            tasks,
            1,
            sign="<",
            periods=5,
            missing="breaching",
        ),
        Alarm(
            "gives up",
            "A worker gave up: its daemon failed again and again.",
            {"lines": _logged("gives-up")},
            0,
        ),
        Alarm(
            "no shards",
            "Nobody holds some shard of the stream, or no worker tells of its shards.",
            {"held": _ours("tillwatch_shards_held", "Sum")},
            names.shards_min,
            sign="<",
            periods=5,
            missing="breaching",
        ),
        Alarm(
            "fewer workers",
            "A worker is missing, or unhealthy and replaced again and again; others go on.",
            tasks,
            names.workers,
            sign="<",
            seconds=MINUTE,
            periods=20,
            missing="breaching",
            section="Restarts",
        ),
        Alarm(
            "lag",
            "A shard is ten minutes behind, or nobody reads the stream: people are told late.",
            {"age": _stream("GetRecords.IteratorAgeMilliseconds", "Maximum")},
            600_000,
            periods=10,
            missing="breaching",
        ),
        Alarm(
            "no checkpoint",
            "Records come, and no batch has been committed for ten minutes.",
            {
                "records": _stream("IncomingRecords", "Sum"),
                "commits": _ours("tillwatch_commits_total", "Sum"),
            },
            0,
            expression="IF(FILL(records, 0) > 0 AND FILL(commits, 0) < 1, 1, 0)",
            seconds=5 * MINUTE,
            periods=2,
            section="Lag",
        ),
        Alarm(
            "critical",
            "A worker said CRITICAL: an unexpected error, or a shard that stands still.",
            {"lines": _logged("critical")},
            0,
            section="Log lines",
        ),
    )


def _figures() -> tuple[Alarm, ...]:
    records = _ours("tillwatch_records_total", "Sum")
    late, rejected = "tillwatch_late_records_total", "tillwatch_rejections_total"
    return (
        _worst(
            "lag told",
            "tillwatch_lag_seconds",
            600,
            10,
            "The worker itself says: ten minutes behind.",
            "Lag",
        ),
        _worst(
            "commit hangs",
            "tillwatch_commit_age_seconds",
            300,
            1,
            "A batch has been on its way for five minutes.",
        ),
        Alarm(
            "retries",
            "A service does not take what it is given; the log of sinks.retry says which.",
            {"tries": _ours("tillwatch_retries_total", "Sum")},
            0.02,
            expression="tries / PERIOD(tries)",
            seconds=5 * MINUTE,
            periods=3,
        ),
        _worst(
            "pages wait",
            "tillwatch_waiting_pages",
            0,
            10,
            "SNS does not take pages: people are not being told.",
        ),
        _share(
            "rejects", rejected, records, 0.02, 10 * MINUTE, "Many records are no transactions."
        ),
        _worst(
            "shard halted",
            "tillwatch_halted",
            0,
            1,
            "A shard stands still at its checkpoint, on purpose.",
        ),
        _worst(
            "not ready",
            NOT_READY,
            0,
            5,
            "A worker is not ready: daemon down, a child silent, or restoring.",
        ),
        Alarm(
            "restarts",
            "Something ends the daemon again and again.",
            {"starts": _ours("tillwatch_daemon_restarts_total", "Sum")},
            3,
            seconds=HOUR,
        ),
        _share(
            "late records", late, records, 0.01, HOUR, "Tills send after their hour has closed."
        ),
        _worst(
            "hours do not close",
            "tillwatch_open_hours",
            12,
            60,
            "Event times are spread over many hours.",
        ),
        _worst(
            "snapshots grow",
            "tillwatch_last_snapshot_seconds",
            2,
            10,
            "Snapshots take long: commits do.",
        ),
        Alarm(
            "memory",
            "A task uses more than 85 % of its memory.",
            {"used": _task("MemoryUtilization", "Maximum")},
            85,
            periods=15,
        ),
        Alarm(
            "log lost",
            "Lines of the log were lost: it is not collected fast enough.",
            {"lines": _ours("tillwatch_log_lines_dropped_total", "Sum")},
            0,
            seconds=10 * MINUTE,
        ),
    )


def _services(names: Names) -> tuple[Alarm, ...]:
    search, letters = "OpenSearch", "Dead letters"
    mib_min = names.search_gib * 1024 // 5
    failed = Figure("AWS/SNS", "NumberOfNotificationsFailed", "Sum", (("TopicName", "pages"),))
    return (
        Alarm(
            "dead letters",
            "More dead letters lie in the queue than is usual.",
            {"letters": _queue("dead_letters", "ApproximateNumberOfMessagesVisible")},
            names.dead_letters_usual,
            seconds=5 * MINUTE,
            periods=3,
            section=letters,
        ),
        Alarm(
            "dead letters grow old",
            "The oldest dead letter is ten days old; at fourteen SQS deletes it.",
            {"age": _queue("dead_letters", "ApproximateAgeOfOldestMessage")},
            10 * 24 * HOUR,
            seconds=HOUR,
            section=letters,
        ),
        Alarm(
            "pages fail",
            "SNS took a page and could not deliver it to a subscriber.",
            {"failed": failed},
            0,
            seconds=5 * MINUTE,
            section="Too many pages about something known",
        ),
        Alarm(
            "pages undelivered",
            "Pages that no subscriber got wait in the queue for them.",
            {"pages": _queue("undelivered", "ApproximateNumberOfMessagesVisible")},
            0,
            seconds=5 * MINUTE,
            section="Too many pages about something known",
        ),
        Alarm(
            "search red",
            "A primary shard of OpenSearch is missing.",
            {"red": _search("ClusterStatus.red")},
            0,
            section=search,
        ),
        Alarm(
            "search yellow",
            "OpenSearch has lacked a replica for half an hour.",
            {"yellow": _search("ClusterStatus.yellow")},
            0,
            periods=30,
            section=search,
        ),
        Alarm(
            "search disk",
            "A node of OpenSearch has less than a fifth of its disk free.",
            {"free": _search("FreeStorageSpace", "Minimum")},
            mib_min,
            sign="<",
            seconds=5 * MINUTE,
            section=search,
        ),
        Alarm(
            "search blocked",
            "OpenSearch refuses to write: its disk or its memory is full.",
            {"blocked": _search("ClusterIndexWritesBlocked")},
            0,
            periods=5,
            section=search,
        ),
        Alarm(
            "search memory",
            "OpenSearch's heap has been nearly full for 15 minutes.",
            {"heap": _search("JVMMemoryPressure")},
            92,
            seconds=5 * MINUTE,
            periods=3,
            section=search,
        ),
        Alarm(
            "search key",
            "OpenSearch cannot use its key; without it the domain is lost.",
            {"error": _search("KMSKeyError")},
            0,
            section=search,
        ),
    )


def _worst(
    name: str, metric: str, threshold: float, minutes: int, meaning: str, section: str = ALARMS
) -> Alarm:
    worst = {"worst": _ours(metric, "Maximum")}
    return Alarm(name, meaning, worst, threshold, periods=minutes, section=section)


def _share(
    name: str, part: str, whole: Figure, threshold: float, seconds: int, meaning: str
) -> Alarm:
    """A share of the records; none where none came."""
    return Alarm(
        name,
        meaning,
        {"part": _ours(part, "Sum"), "whole": whole},
        threshold,
        expression="IF(whole > 0, part / whole, 0)",
        seconds=seconds,
    )
