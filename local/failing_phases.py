"""Services that fail, one after the other, and what has to be seen of a worker meanwhile."""

import msgspec

from local.fault_proxy import Client, How, Service

FLAT_RATIO = 1.25
"""How much more memory the child may have late in a fault than early in it."""


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


def wrong(phase: Phase, fared: Fared) -> list[str]:
    """What a worker that waits would not have done, in words."""
    alone = phase.client is not None or not phase.holds
    signs = {
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
    return [f"{phase.name}: {what}" for what, so in signs.items() if so]


def told(fared: Fared) -> str:
    """One phase in a line, for a person."""
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
        *map(told, report.fared),
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
