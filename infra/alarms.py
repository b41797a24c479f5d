"""The alarms in CloudWatch, and the lines of the log that some of them count."""

from typing import Any, Final

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_logs as logs

from infra.alarm import LOG_NAMESPACE, Alarm, Figure, Names
from infra.alarm_table import table
from infra.kept import Kept

LINES: Final = {
    "gives-up": '{ $.level = "ERROR" && $.message = "*giving up*" }',
    "critical": '{ $.level = "CRITICAL" }',
}
"""Lines of the log that are counted, by metric; docs/operations.md, "Log lines"."""
_SIGNS: Final = {
    ">": "GREATER_THAN_THRESHOLD",
    "<": "LESS_THAN_THRESHOLD",
    ">=": "GREATER_THAN_OR_EQUAL_TO_THRESHOLD",
}
_MISSING: Final = {"breaching": "BREACHING", "notBreaching": "NOT_BREACHING"}


def alarms(stack: Any, names: Names, kept: Kept) -> None:
    """Every alarm of the table; each tells the topic of alarms when it begins and when it ends."""
    for name, pattern in LINES.items():
        logs.MetricFilter(
            stack,
            f"lines-{name}",
            log_group=kept.log,
            filter_pattern=logs.FilterPattern.literal(pattern),
            metric_namespace=LOG_NAMESPACE,
            metric_name=f"{names.application}-{name}",
            metric_value="1",
        )
    known = {
        "application": names.application,
        "account": names.account,
        "cluster": names.cluster,
        "service": names.service,
        "stream": names.stream,
        "dead_letters": kept.dead_letters.queue_name,
        "undelivered": kept.undelivered.queue_name,
        "pages": kept.pages.topic_name,
    }
    telling = actions.SnsAction(kept.alarms)
    for alarm in table(names):
        made = cloudwatch.Alarm(
            stack,
            alarm.name.replace(" ", "-"),
            alarm_name=f"{names.application}: {alarm.name}",
            alarm_description=alarm.description,
            metric=_metric(alarm, names, known),
            threshold=alarm.threshold,
            evaluation_periods=alarm.periods,
            comparison_operator=getattr(cloudwatch.ComparisonOperator, _SIGNS[alarm.sign]),
            treat_missing_data=getattr(cloudwatch.TreatMissingData, _MISSING[alarm.missing]),
        )
        made.add_alarm_action(telling)
        made.add_ok_action(telling)


def _metric(alarm: Alarm, names: Names, known: dict[str, str]) -> Any:
    period = Duration.seconds(alarm.seconds)
    metrics = {name: _of(figure, names, known, period) for name, figure in alarm.figures.items()}
    if not alarm.expression:
        (metric,) = metrics.values()
        return metric
    return cloudwatch.MathExpression(
        expression=alarm.expression, using_metrics=metrics, period=period, label=alarm.name
    )


def _of(figure: Figure, names: Names, known: dict[str, str], period: Any) -> Any:
    logged = figure.namespace == LOG_NAMESPACE
    return cloudwatch.Metric(
        namespace=figure.namespace,
        metric_name=f"{names.application}-{figure.name}" if logged else figure.name,
        dimensions_map={dimension: known[name] for dimension, name in figure.of} or None,
        statistic=figure.statistic,
        period=period,
    )
