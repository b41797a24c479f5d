"""What is alarmed on: the table of docs/operations.md, "Alarms", as CloudWatch can ask it. Pure.

Rows of that table have their names here, and a test holds that none is missing; figures of the
worker come from `infra/metrics_lines.py`. What is there besides is CloudWatch's alone: it sees a
worker, a cluster or a topic that cannot speak for itself.
"""

from infra.alarm import (
    HOUR,
    MINUTE,
    Alarm,
    Figure,
    Names,
    logged,
    ours,
    queue,
    search,
    share,
    stream,
    task,
    worst,
)
from infra.metrics_lines import NOT_READY


def table(names: Names) -> tuple[Alarm, ...]:
    """Every alarm, the most urgent first."""
    return (*_workers(names), *_waits(), *_worth_a_look(), *_queues(names), *_search(names))


def _workers(names: Names) -> tuple[Alarm, ...]:
    # ECS tells of each task once a minute how busy it is: so many samples, so many tasks.
    tasks = {"tasks": task("CPUUtilization", "SampleCount")}
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
            {"lines": logged("gives-up")},
            0,
        ),
        Alarm(
            "no shards",
            "Nobody holds some shard of the stream, or no worker tells of its shards.",
            {"held": ours("tillwatch_shards_held", "Sum")},
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
            {"age": stream("GetRecords.IteratorAgeMilliseconds", "Maximum")},
            600_000,
            periods=10,
            missing="breaching",
        ),
        Alarm(
            "no checkpoint",
            "Records come, and no batch has been committed for ten minutes.",
            {
                "records": stream("IncomingRecords", "Sum"),
                "commits": ours("tillwatch_commits_total", "Sum"),
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
            {"lines": logged("critical")},
            0,
            section="Log lines",
        ),
    )


def _waits() -> tuple[Alarm, ...]:
    return (
        worst(
            "lag told",
            "tillwatch_lag_seconds",
            600,
            10,
            "The worker itself says: ten minutes behind.",
            "Lag",
        ),
        worst(
            "commit hangs",
            "tillwatch_commit_age_seconds",
            300,
            1,
            "A batch has been on its way for five minutes.",
        ),
        Alarm(
            "retries",
            "A service does not take what it is given; the log of sinks.retry says which.",
            {"tries": ours("tillwatch_retries_total", "Sum")},
            0.02,
            expression="tries / PERIOD(tries)",
            seconds=5 * MINUTE,
            periods=3,
        ),
        worst(
            "pages wait",
            "tillwatch_waiting_pages",
            0,
            10,
            "SNS does not take pages: people are not being told.",
        ),
        share(
            "rejects",
            "tillwatch_rejections_total",
            0.02,
            10 * MINUTE,
            "Many records are no transactions.",
        ),
        worst(
            "shard halted",
            "tillwatch_halted",
            0,
            1,
            "A shard stands still at its checkpoint, on purpose.",
        ),
        worst(
            "not ready",
            NOT_READY,
            0,
            5,
            "A worker is not ready: daemon down, a child silent, or restoring.",
        ),
    )


def _worth_a_look() -> tuple[Alarm, ...]:
    return (
        Alarm(
            "restarts",
            "Something ends the daemon again and again.",
            {"starts": ours("tillwatch_daemon_restarts_total", "Sum")},
            3,
            seconds=HOUR,
        ),
        share(
            "late records",
            "tillwatch_late_records_total",
            0.01,
            HOUR,
            "Tills send after their hour has closed.",
        ),
        worst(
            "hours do not close",
            "tillwatch_open_hours",
            12,
            60,
            "Event times are spread over many hours.",
        ),
        worst(
            "snapshots grow",
            "tillwatch_last_snapshot_seconds",
            2,
            10,
            "Snapshots take long: commits do.",
        ),
        Alarm(
            "memory",
            "A task uses more than 85 % of its memory.",
            {"used": task("MemoryUtilization", "Maximum")},
            85,
            periods=15,
        ),
        Alarm(
            "log lost",
            "Lines of the log were lost: it is not collected fast enough.",
            {"lines": ours("tillwatch_log_lines_dropped_total", "Sum")},
            0,
            seconds=10 * MINUTE,
        ),
    )


def _queues(names: Names) -> tuple[Alarm, ...]:
    letters = "Dead letters"
    failed = Figure("AWS/SNS", "NumberOfNotificationsFailed", "Sum", (("TopicName", "pages"),))
    return (
        Alarm(
            "dead letters",
            "More dead letters lie in the queue than is usual.",
            {"letters": queue("dead_letters", "ApproximateNumberOfMessagesVisible")},
            names.dead_letters_usual,
            seconds=5 * MINUTE,
            periods=3,
            section=letters,
        ),
        Alarm(
            "dead letters grow old",
            "The oldest dead letter is ten days old; at fourteen SQS deletes it.",
            {"age": queue("dead_letters", "ApproximateAgeOfOldestMessage")},
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
            {"pages": queue("undelivered", "ApproximateNumberOfMessagesVisible")},
            0,
            seconds=5 * MINUTE,
            section="Too many pages about something known",
        ),
    )


def _search(names: Names) -> tuple[Alarm, ...]:
    cluster = "OpenSearch"
    mib_min = names.search_gib * 1024 // 5
    return (
        Alarm(
            "search red",
            "A primary shard of OpenSearch is missing.",
            {"red": search("ClusterStatus.red")},
            0,
            section=cluster,
        ),
        Alarm(
            "search yellow",
            "OpenSearch has lacked a replica for half an hour.",
            {"yellow": search("ClusterStatus.yellow")},
            0,
            periods=30,
            section=cluster,
        ),
        Alarm(
            "search disk",
            "A node of OpenSearch has less than a fifth of its disk free.",
            {"free": search("FreeStorageSpace", "Minimum")},
            mib_min,
            sign="<",
            seconds=5 * MINUTE,
            section=cluster,
        ),
        Alarm(
            "search blocked",
            "OpenSearch refuses to write: its disk or its memory is full.",
            {"blocked": search("ClusterIndexWritesBlocked")},
            0,
            periods=5,
            section=cluster,
        ),
        Alarm(
            "search memory",
            "OpenSearch's heap has been nearly full for 15 minutes.",
            {"heap": search("JVMMemoryPressure")},
            92,
            seconds=5 * MINUTE,
            periods=3,
            section=cluster,
        ),
        Alarm(
            "search key",
            "OpenSearch cannot use its key; without it the domain is lost.",
            {"error": search("KMSKeyError")},
            0,
            section=cluster,
        ),
    )
