"""What analysts see of the lake: tables and views, their columns, types and meanings. Pure.

Types come from the declared Parquet schema; the names are Trino's, which Athena speaks.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
import pyarrow as pa

from sinks.catalogue_meanings import (
    LINE_MEANINGS,
    MEANINGS,
    PAGE_MEANINGS,
    REASON_MEANINGS,
    VERDICT_MEANINGS,
)
from sinks.manifest import COMPACTED, HOURLY, MANIFESTS
from sinks.page_rows import PAGES, VERDICTS
from sinks.schema import LINE, PAGE_SCHEMA, REASON, SCHEMA, VERDICT_SCHEMA

SHOP_ZONE = "shop"
"""As a time zone: the business day is the one that the till's own clock showed."""


class Column(msgspec.Struct, frozen=True):
    """A column; `kind` is its type as Athena writes it in SQL."""

    name: str
    kind: str
    meaning: str


class Table(msgspec.Struct, frozen=True):
    """Files of one folder of the bucket; `partitions` are the names in the folders' own."""

    name: str
    meaning: str
    folder: str
    columns: tuple[Column, ...]
    partitions: tuple[Column, ...] = ()


class View(msgspec.Struct, frozen=True):
    """A stored query in Athena's dialect, with the columns that it gives."""

    name: str
    meaning: str
    sql: str
    columns: tuple[Column, ...]


DATE = Column("date", "date", "Day on which it occurred, in UTC; the folder's name.")
HOUR = Column("hour", "integer", "Hour in which it occurred, in UTC; the folder's name.")
OPENED = Column("date", "date", "Day on which the page was opened, in UTC; the folder's name.")
GIVEN = Column("date", "date", "Day on which it was given, in UTC; the folder's name.")
MONTH = Column("month", "varchar", "Month in which it occurred, in UTC; the folder's name.")
VERSION = Column("version", "varchar", "Which files of its day the row is from; one set counts.")
MANIFEST = (
    Column("hour", "integer", "Hour of the day."),
    Column("shard_id", "varchar", "The shard."),
    Column("through_sequence_number", "varchar", "Rows up to here are in the version: the record."),
    Column("through_sub_sequence_number", "bigint", "Likewise: the part of the record."),
    VERSION,
)


def athena_type(kind: Any) -> str:
    """The name of an Arrow type in Athena's SQL.

    Raises:
        ValueError: it has none here.
    """
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    if pa.types.is_list(kind):
        return f"array({athena_type(kind.value_type)})"
    if pa.types.is_struct(kind):
        return f"row({', '.join(f'{field.name} {athena_type(field.type)}' for field in kind)})"
    names = {
        "string": "varchar",
        "int16": "smallint",
        "int32": "integer",
        "int64": "bigint",
        "double": "double",
        "bool": "boolean",
        "timestamp[us, tz=UTC]": "timestamp(3)",
    }
    if str(kind) not in names:
        raise ValueError(f"no name for {kind} in Athena")
    return names[str(kind)]


def columns_of(schema: Any = SCHEMA, meanings: Mapping[str, str] = MEANINGS) -> tuple[Column, ...]:
    """The columns of a Parquet schema, with what they mean.

    Raises:
        KeyError: nothing says what one of them means.
    """
    return tuple(
        Column(field.name, athena_type(field.type), meanings[field.name]) for field in schema
    )


def nested() -> dict[str, tuple[Column, ...]]:
    """What one element of each list column holds."""
    kinds = {"lines": (LINE, LINE_MEANINGS), "score_reasons": (REASON, REASON_MEANINGS)}
    return {
        name: tuple(Column(f.name, athena_type(f.type), meanings[f.name]) for f in kind)
        for name, (kind, meanings) in kinds.items()
    }


def tables(application: str, schema: Any = SCHEMA) -> tuple[Table, ...]:
    """The tables that lie in the bucket; `application` is whose staged parts are read."""
    columns = columns_of(schema)
    return (
        Table(
            "hourly_files",
            "Hours as they were published. Rows of days that are merged stay in here a while, and "
            "then go: ask `transactions` instead.",
            HOURLY,
            columns,
            (DATE, HOUR),
        ),
        Table(
            "daily_files",
            "Past days in few files, in every version that is still there: ask `transactions`.",
            f"{COMPACTED}days/",
            (*columns, VERSION),
            (DATE,),
        ),
        Table(
            "monthly_files",
            "Past months of few rows, likewise.",
            f"{COMPACTED}months/",
            (*columns, VERSION),
            (MONTH,),
        ),
        Table(
            "manifests",
            "Which version of a past day counts, and which rows of hourly files it replaces.",
            MANIFESTS,
            MANIFEST,
            (DATE,),
        ),
        Table(
            "staged",
            "Parts of hours that are not published yet, as batches wrote them. It can hold a row "
            "twice, and rows that are published already: ask `recent` instead.",
            f"staging/{application}/",
            columns,
        ),
        Table(
            "page_states",
            "Every state of every page that was told. It can hold a state twice: ask `pages`.",
            PAGES,
            columns_of(PAGE_SCHEMA, PAGE_MEANINGS),
            (OPENED,),
        ),
        Table(
            "verdict_records",
            "What people said of pages. It can hold a verdict twice: ask `verdicts`.",
            VERDICTS,
            columns_of(VERDICT_SCHEMA, VERDICT_MEANINGS),
            (GIVEN,),
        ),
    )
