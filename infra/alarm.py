"""One alarm, and what it looks at. Pure; `infra/alarm_table.py` lists all of them."""

from typing import Final, Literal

import msgspec

from infra.metrics_lines import NAMESPACE

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


def ours(name: str, statistic: str) -> Figure:
    """A figure of the worker."""
    return Figure(NAMESPACE, name, statistic, (("application", "application"),))


def logged(name: str) -> Figure:
    """Lines of the log, as infra/alarms.py counts them."""
    return Figure(LOG_NAMESPACE, name, "Sum")


def search(name: str, statistic: str = "Maximum") -> Figure:
    """A figure of the OpenSearch domain."""
    return Figure(
        "AWS/ES", name, statistic, (("DomainName", "application"), ("ClientId", "account"))
    )


def queue(which: str, name: str) -> Figure:
    """A figure of SQS."""
    return Figure("AWS/SQS", name, "Maximum", (("QueueName", which),))


def task(name: str, statistic: str) -> Figure:
    """A figure of the service's tasks."""
    of = (("ClusterName", "cluster"), ("ServiceName", "service"))
    return Figure("AWS/ECS", name, statistic, of)


def stream(name: str, statistic: str) -> Figure:
    """A figure of Kinesis."""
    return Figure("AWS/Kinesis", name, statistic, (("StreamName", "stream"),))


def worst(
    name: str, metric: str, threshold: float, minutes: int, meaning: str, section: str = ALARMS
) -> Alarm:
    """The worst shard above `threshold` for so many minutes."""
    worst = {"worst": ours(metric, "Maximum")}
    return Alarm(name, meaning, worst, threshold, periods=minutes, section=section)


def share(name: str, part: str, threshold: float, seconds: int, meaning: str) -> Alarm:
    """A share of the committed records; none where none came."""
    return Alarm(
        name,
        meaning,
        {"part": ours(part, "Sum"), "whole": ours("tillwatch_records_total", "Sum")},
        threshold,
        expression="IF(whole > 0, part / whole, 0)",
        seconds=seconds,
    )
