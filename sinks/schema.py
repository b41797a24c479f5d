"""The declared schema of every Parquet file, staged and final."""

from typing import Any

import pyarrow as pa

TIME = pa.timestamp("us", tz="UTC")
MONEY = pa.decimal128(18, 4)
"""Four decimals are as many as any currency of ISO 4217 has."""

MONEY_DECIMALS = 4
QUANTITY = pa.decimal128(18, 3)

LINE = pa.struct(
    [
        ("item_id", pa.string()),
        ("description", pa.string()),
        ("category", pa.string()),
        ("quantity", QUANTITY),
        ("unit_price", MONEY),
    ]
)
REASON = pa.struct(
    [
        ("kind", pa.string()),
        ("entity_kind", pa.string()),
        ("entity_id", pa.string()),
        ("expected", pa.float64()),
        ("observed", pa.float64()),
        ("unit", pa.string()),
        ("share", pa.float64()),
    ]
)
# Parquet's own name for what a list holds.
LINES = pa.list_(pa.field("element", LINE))
REASONS = pa.list_(pa.field("element", REASON))

SCHEMA: Any = pa.schema(
    [
        pa.field("transaction_id", pa.string(), nullable=False),
        pa.field("shop_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("occurred_at", TIME, nullable=False),
        pa.field("utc_offset_minutes", pa.int16(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("total", MONEY, nullable=False),
        ("register_id", pa.string()),
        ("cashier_id", pa.string()),
        ("payment_method", pa.string()),
        ("card_token", pa.string()),
        ("customer_id", pa.string()),
        ("contact_name", pa.string()),
        ("contact_email", pa.string()),
        ("original_transaction_id", pa.string()),
        ("reason", pa.string()),
        ("approval_limit", MONEY),
        ("lines", LINES),
        ("unknown", pa.string()),
        ("score", pa.float64()),
        ("score_reasons", REASONS),
        ("model_version", pa.string()),
        pa.field("shard_id", pa.string(), nullable=False),
        pa.field("sequence_number", pa.string(), nullable=False),
        pa.field("sub_sequence_number", pa.int64(), nullable=False),
        ("arrived_at", TIME),
    ]
)

VERSION = pa.field("version", pa.string(), nullable=False)
COMPACTED_SCHEMA: Any = pa.schema([*SCHEMA, VERSION])
"""Of the files that hold past days: each row says which version of its day it belongs to."""

MANIFEST_SCHEMA: Any = pa.schema(
    [
        pa.field("hour", pa.int32(), nullable=False),
        pa.field("shard_id", pa.string(), nullable=False),
        pa.field("through_sequence_number", pa.string(), nullable=False),
        pa.field("through_sub_sequence_number", pa.int64(), nullable=False),
        VERSION,
    ]
)

PAGE_SCHEMA: Any = pa.schema(
    [
        pa.field("page_id", pa.string(), nullable=False),
        pa.field("status", pa.string(), nullable=False),
        pa.field("revision", pa.int64(), nullable=False),
        pa.field("shop_id", pa.string(), nullable=False),
        pa.field("opened_at", TIME, nullable=False),
        pa.field("updated_at", TIME, nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("entity_kind", pa.string(), nullable=False),
        pa.field("entity_id", pa.string(), nullable=False),
        pa.field("severity", pa.int32(), nullable=False),
        pa.field("after_transaction_id", pa.string(), nullable=False),
        pa.field("evidence", pa.list_(pa.field("element", pa.string())), nullable=False),
        pa.field("refunds", pa.int64(), nullable=False),
        pa.field("observed", pa.float64(), nullable=False),
        pa.field("expected", pa.float64(), nullable=False),
        pa.field("refunded_total", MONEY, nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("score", pa.float64(), nullable=False),
        pa.field("model_version", pa.string(), nullable=False),
        pa.field("summary", pa.string(), nullable=False),
        ("suppressed_by", pa.string()),
        pa.field("shard_id", pa.string(), nullable=False),
        pa.field("sequence_number", pa.string(), nullable=False),
        pa.field("sub_sequence_number", pa.int64(), nullable=False),
    ]
)
"""Of the states of pages."""

VERDICT_SCHEMA: Any = pa.schema(
    [
        pa.field("page_id", pa.string(), nullable=False),
        pa.field("shop_id", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("finding", pa.string(), nullable=False),
        pa.field("given_at", TIME, nullable=False),
    ]
)
"""Of what people said of pages; who, and in what words, stays out of the lake."""

REPEATING = [
    "shop_id",
    "type",
    "utc_offset_minutes",
    "currency",
    "register_id",
    "cashier_id",
    "payment_method",
    "reason",
    "model_version",
    "shard_id",
    "lines.list.element.item_id",
    "lines.list.element.description",
    "lines.list.element.category",
    "lines.list.element.quantity",
    "lines.list.element.unit_price",
    "score_reasons.list.element.kind",
    "score_reasons.list.element.entity_kind",
    "score_reasons.list.element.unit",
]
"""Columns written as a dictionary; elsewhere values seldom repeat and it would be wasted work."""

_OPTIONS: dict[str, Any] = {
    "version": "2.6",
    "use_dictionary": REPEATING,
    "write_statistics": ["shop_id", "occurred_at", "type"],
    "store_schema": False,
}
# Statistics where Athena can skip by them. The file says its types itself, without Arrow's copy.

_ENCODINGS = {
    "occurred_at": "DELTA_BINARY_PACKED",
    "transaction_id": "DELTA_BYTE_ARRAY",
    "sequence_number": "DELTA_BYTE_ARRAY",
    "sub_sequence_number": "DELTA_BINARY_PACKED",
    "arrived_at": "DELTA_BINARY_PACKED",
}
"""Sorted by shop and time, these differ little from row to row: only the differences are kept."""

FINAL_OPTIONS = _OPTIONS | {
    "compression": "zstd",
    "compression_level": 1,
    "column_encoding": _ENCODINGS,
}

COMPACTED_OPTIONS = _OPTIONS | {
    "use_dictionary": [*(name for name in REPEATING if name != "cashier_id"), "version"],
    "compression": "zstd",
    "compression_level": 19,
    "column_encoding": _ENCODINGS | {"cashier_id": "DELTA_LENGTH_BYTE_ARRAY"},
}
"""A past day is written once and read for a month: it may cost ten times the CPU."""

STAGED_OPTIONS = _OPTIONS | {"compression": "snappy"}
"""A staged part is read once and deleted: snappy takes a third of zstd's time where a replayed day
is cut into many small row groups."""
