"""Which indices there are, by what time, and with what fields: the index patterns. Pure.

Contact fields are left out, hashed as they are: nobody needs them to look at refunds. Card tokens
are keyed hashes, and shown as such.
"""

from sinks.dashboards.fields import Calculated, fields
from sinks.dashboards.saved_object import PREFIX, Json, SavedObject, compact
from sinks.templates import templates

_HIDDEN = frozenset({"contact_name", "contact_email"})

REFUND = Calculated("refund", "doc['type'].value == 'REFUND' ? 1 : 0")
"""1 for a refund, else 0: its average over sales and refunds is the refund rate."""

_MILLIS = "doc['occurred_at'].value.toInstant().toEpochMilli()"
SHOP_HOUR = Calculated(
    "shop_hour",
    f"(({_MILLIS} / 60000L + doc['utc_offset_minutes'].value) % 1440L + 1440L) % 1440L / 60L",
)
"""The hour of the day, 0 to 23, by the till's own clock."""

DELAY = Calculated(
    "delay_seconds",
    "doc['arrived_at'].size() == 0 ? 0 : "
    f"(doc['arrived_at'].value.toInstant().toEpochMilli() - {_MILLIS}) / 1000.0",
)
"""From the till's time to the stream's. Ask it of documents that have `arrived_at` alone."""

_MONEY: Json = {"id": "number", "params": {"pattern": "0,0.00"}}
_SHARE: Json = {"id": "percent", "params": {"pattern": "0.0%"}}
_SCORE: Json = {"id": "number", "params": {"pattern": "0.000"}}
_SECONDS: Json = {"id": "number", "params": {"pattern": "0,0.0"}}


def _pattern(
    name: str,
    time_field: str,
    *calculated: Calculated,
    formats: dict[str, Json] | None = None,
) -> SavedObject:
    template = templates()[f"tillwatch-{name}"]
    (indices,) = template["index_patterns"]
    listed = fields(template["template"]["mappings"], calculated, _HIDDEN)
    attributes = {
        "title": indices,
        "timeFieldName": time_field,
        "fields": compact(listed),
        "fieldFormatMap": compact(formats or {}),
    }
    if name == "transactions":
        # Someone who refreshes the field list gets them back there; the documents come without.
        attributes["sourceFilters"] = compact([{"value": field} for field in sorted(_HIDDEN)])
    return SavedObject(f"{PREFIX}{name}", "index-pattern", attributes)


TRANSACTIONS = _pattern(
    "transactions",
    "occurred_at",
    REFUND,
    SHOP_HOUR,
    DELAY,
    formats={
        "total": _MONEY,
        "approval_limit": _MONEY,
        "lines.unit_price": _MONEY,
        "score.value": _SCORE,
        REFUND.name: _SHARE,
        DELAY.name: _SECONDS,
    },
)
PAGES = _pattern("pages", "opened_at", formats={"refunded_total": _MONEY, "score": _SCORE})
VERDICTS = _pattern("verdicts", "given_at")
SUPPRESSIONS = _pattern("suppressions", "given_at")
REJECTIONS = _pattern("rejections", "arrived_at")
SHARDS = _pattern("operations", "written_at")
MEASUREMENTS = _pattern(
    "measurements",
    "measured_at",
    formats={"lag_seconds": _SECONDS, "checkpoint_age_seconds": _SECONDS},
)

PATTERNS = (TRANSACTIONS, PAGES, VERDICTS, SUPPRESSIONS, REJECTIONS, SHARDS, MEASUREMENTS)
