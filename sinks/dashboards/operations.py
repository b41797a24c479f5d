"""*Operations*: whether the workers keep up, what is rejected, what is tried again. Pure.

Lag and retries are the workers' own measurements: a picture of what happened, while alarms belong
to the metrics. Why they are in OpenSearch too: docs/decisions/0011-measurements.md.
"""

from sinks.dashboards import charts
from sinks.dashboards.aggregations import (
    by_time,
    by_value,
    count,
    highest,
    latest,
    percentiles,
    total,
)
from sinks.dashboards.layout import Panel, Row, dashboard
from sinks.dashboards.listing import listing
from sinks.dashboards.patterns import DELAY, MEASUREMENTS, REJECTIONS, SHARDS, TRANSACTIONS

_SHARDS_MAX = 32
"""Shards that a chart shows: those with the most."""
_OF_SHARDS = "NOT _exists_:service"
_OF_SERVICES = "_exists_:service"

_about = charts.note(
    "operations-note",
    "What this shows",
    "Lag, retries and records are measured by each worker every "
    "`TILLWATCH_MEASUREMENT_SECONDS`, and written as well as may be: while OpenSearch is away "
    "nothing is seen here, and the retries of that time come with the first measurement after it. "
    "Alarms belong to the worker's metrics. Rejections without a time of arrival, as from a file, "
    "are in `rejections-undated` and not shown.",
)
_lag = charts.lines(
    "lag",
    "Lag by shard, seconds",
    MEASUREMENTS,
    [
        highest("lag_seconds", "highest lag, s"),
        by_time("measured_at", "auto", "Time"),
        by_value("shard_id", "Shard", size=_SHARDS_MAX, schema="group"),
    ],
    _OF_SHARDS,
)
_now = charts.table(
    "shards-now",
    "Shards, as last measured",
    MEASUREMENTS,
    [
        highest("measured_at", "Measured at"),
        latest("lag_seconds", "measured_at", "Lag, s"),
        latest("checkpoint_age_seconds", "measured_at", "Since its checkpoint, s"),
        latest("waiting_for", "measured_at", "Waits for"),
        latest("waiting_pages", "measured_at", "Pages not sent"),
        by_value("shard_id", "Shard", size=_SHARDS_MAX),
    ],
    _OF_SHARDS,
)
_records = charts.columns(
    "records",
    "Records by shard",
    MEASUREMENTS,
    [
        total("records", "records"),
        by_time("measured_at", "auto", "Time"),
        by_value("shard_id", "Shard", size=_SHARDS_MAX, schema="group"),
    ],
    _OF_SHARDS,
)
_retries = charts.columns(
    "retries",
    "Retries by service",
    MEASUREMENTS,
    [
        total("retries", "tries not taken"),
        by_time("measured_at", "auto", "Time"),
        by_value("service", "Service", size=8, schema="group"),
    ],
    _OF_SERVICES,
)
_rejected = charts.columns(
    "rejections-by-reason",
    "Rejections by reason",
    REJECTIONS,
    [
        count("rejections"),
        by_time("arrived_at", "auto", "Arrived"),
        by_value("reason", "Reason", size=10, schema="group"),
    ],
)
_reasons = charts.table(
    "rejections-table",
    "Rejections by stage and reason",
    REJECTIONS,
    [
        count("Rejections"),
        highest("arrived_at", "The last one"),
        by_value("stage", "Stage", size=10),
        by_value("reason", "Reason", size=25),
    ],
)
_rejections = listing(
    "latest-rejections",
    "Latest rejections",
    REJECTIONS,
    ["stage", "reason", "field", "detail", "shop_id", "data_bytes", "position.shard_id"],
    sort=[("arrived_at", "desc")],
)
_delay = charts.lines(
    "till-delay",
    "From the till to the stream, seconds",
    TRANSACTIONS,
    [
        percentiles(DELAY.name, (50.0, 95.0, 99.0), "delay, s"),
        by_time("occurred_at", "auto", "Occurred"),
    ],
    "_exists_:arrived_at",
)
_batches = listing(
    "last-batches",
    "The last batch of each shard (30 days)",
    SHARDS,
    [
        "shard_id",
        "records",
        "transactions",
        "pages",
        "rejections",
        "behind_millis",
        "last_event_at",
        "position.sequence_number",
    ],
    sort=[("written_at", "desc")],
)

OPERATIONS = dashboard(
    "operations-dashboard",
    "Tillwatch: Operations",
    "The workers: lag, what they wait for, retries, and what was rejected for which reason.",
    [
        Row(6, (Panel(_about, 48),)),
        Row(15, (Panel(_lag, 24), Panel(_now, 24))),
        Row(15, (Panel(_records, 24), Panel(_retries, 24))),
        Row(15, (Panel(_rejected, 24), Panel(_reasons, 24))),
        Row(15, (Panel(_delay, 24), Panel(_batches, 24, "now-30d"))),
        Row(18, (Panel(_rejections, 48),)),
    ],
    since="now-3h",
    refresh_seconds=30,
)
OBJECTS = (
    _about,
    _lag,
    _now,
    _records,
    _retries,
    _rejected,
    _reasons,
    _rejections,
    _delay,
    _batches,
    OPERATIONS,
)
