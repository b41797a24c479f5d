"""What a worker measured of a shard, as documents for the dashboards. Pure.

One document per shard and measurement, and one per service that had to be tried again since the
last. They lie in an index per day, beside the transactions, and count for nothing: metrics and
alarms are those of docs/metrics.md.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec

from events.instant import Instant, to_datetime

INDEX_PATTERN = "operations-*"

_KEYWORD = {"type": "keyword", "ignore_above": 1_024}
_LONG = {"type": "long"}
_SECONDS = {"type": "double"}
MAPPING: dict[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "measured_at": {"type": "date", "format": "strict_date_optional_time"},
        "worker": _KEYWORD,
        "shard_id": _KEYWORD,
        "seconds": _SECONDS,
        "lag_seconds": _SECONDS,
        "checkpoint_age_seconds": _SECONDS,
        "waiting_for": _KEYWORD,
        "waiting_pages": _LONG,
        "records": _LONG,
        "transactions": _LONG,
        "rejections": _LONG,
        "service": _KEYWORD,
        "retries": _LONG,
    },
}


class Measurement(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One shard at one moment. Numbers of things are since the measurement before, `seconds` ago.

    With a `service` it says nothing but how often that one did not take something: `retries`.
    """

    measured_at: Instant
    worker: str
    shard_id: str
    seconds: float
    lag_seconds: float | None = None
    checkpoint_age_seconds: float | None = None
    waiting_for: str | None = None
    waiting_pages: int | None = None
    records: int | None = None
    transactions: int | None = None
    rejections: int | None = None
    service: str | None = None
    retries: int | None = None


class _Timed(msgspec.Struct):
    measured_at: datetime


def bulk_body(measurements: Iterable[Measurement]) -> bytes:
    """The bulk body of these; each in the index of its day (UTC), under an id of OpenSearch's."""
    lines: list[bytes] = []
    for found in measurements:
        moment = to_datetime(found.measured_at)
        day = moment.date().isoformat().replace("-", ".")
        document = msgspec.to_builtins(found) | msgspec.to_builtins(_Timed(moment))
        lines.append(msgspec.json.encode({"index": {"_index": f"operations-{day}"}}))
        lines.append(msgspec.json.encode(document))
    return b"".join(line + b"\n" for line in lines)
