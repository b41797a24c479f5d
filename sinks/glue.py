"""The catalogue in AWS Glue: what Athena knows of the lake. Definitions are pure; two calls apply.

Partitions are projected: Athena works out the folders from date and hour, and nothing has to be
registered when an hour is published. Views are stored as Athena itself stores them.
"""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import msgspec

from sinks.catalogue import Column, Table, View, tables
from sinks.catalogue_views import views

FIRST_DATE = "2020-01-01"
"""Projected folders begin here: nothing older is looked for."""

_PROJECTIONS = {
    "date": {
        "type": "date",
        "format": "yyyy-MM-dd",
        # A till's clock may be a day ahead.
        "range": f"{FIRST_DATE},NOW+2DAYS",
        "interval": "1",
        "interval.unit": "DAYS",
    },
    "hour": {"type": "integer", "range": "0,23", "digits": "2"},
    "month": {
        "type": "date",
        "format": "yyyy-MM",
        "range": f"{FIRST_DATE[:7]},NOW",
        "interval": "1",
        "interval.unit": "MONTHS",
    },
}
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    },
}
_VIEW_TEXT = "/* Presto View */"
_COMMENT_CHARACTERS_MAX = 255  # Glue's own limit


class Change(msgspec.Struct, frozen=True):
    """One table of the catalogue that is not as it should be; `now` is None where there is none."""

    name: str
    now: dict[str, Any] | None
    then: dict[str, Any]

    def lines(self) -> Iterator[str]:
        """The change for a person: what goes and what comes, a line each."""
        yield f"{'+' if self.now is None else '~'} {self.name}"
        before, after = _flat(self.now or {}), _flat(self.then)
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) == after.get(key):
                continue
            if key in before:
                yield f"  - {key}: {before[key]}"
            if key in after:
                yield f"  + {key}: {after[key]}"


def hive_type(kind: str) -> str:
    """The name that Glue has for a type of Athena's SQL."""
    if kind.startswith("array("):
        return f"array<{hive_type(kind[6:-1])}>"
    if kind.startswith("row("):
        fields = (field.split(" ", 1) for field in _fields(kind[4:-1]))
        return f"struct<{','.join(f'{name}:{hive_type(of)}' for name, of in fields)}>"
    return {"varchar": "string", "integer": "int", "timestamp(3)": "timestamp"}.get(kind, kind)


def _fields(text: str) -> Iterator[str]:
    """The parts of `text` between commas that stand in no brackets."""
    depth, begin = 0, 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == "," and not depth:
            yield text[begin:at].strip()
            begin = at + 1
    yield text[begin:].strip()


def table_input(table: Table, bucket: str) -> dict[str, Any]:
    """Glue's definition of `table`, whose files lie in `bucket`."""
    location = f"s3://{bucket}/{table.folder}"
    parameters = {"EXTERNAL": "TRUE", "classification": "parquet"}
    if table.partitions:
        parameters["projection.enabled"] = "true"
        folder = location
        for column in table.partitions:
            for name, value in _PROJECTIONS[column.name].items():
                parameters[f"projection.{column.name}.{name}"] = value
            folder += f"{column.name}=${{{column.name}}}/"
        parameters["storage.location.template"] = folder
    return {
        "Name": table.name,
        "Description": table.meaning,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": parameters,
        "PartitionKeys": _columns(table.partitions),
        "StorageDescriptor": {"Columns": _columns(table.columns), "Location": location, **_PARQUET},
    }


def view_input(view: View, database: str) -> dict[str, Any]:
    """Glue's definition of `view`, in the form in which Athena keeps its views."""
    stored = {
        "originalSql": view.sql,
        "catalog": "awsdatacatalog",
        "schema": database,
        "columns": [{"name": column.name, "type": column.kind} for column in view.columns],
    }
    text = b64encode(json.dumps(stored).encode()).decode()
    return {
        "Name": view.name,
        "Description": view.meaning,
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {"presto_view": "true", "comment": "Presto View"},
        "PartitionKeys": [],
        "ViewOriginalText": f"/* Presto View: {text} */",
        "ViewExpandedText": _VIEW_TEXT,
        "StorageDescriptor": {"Columns": _columns(view.columns), "Location": "", "SerdeInfo": {}},
    }


def _columns(columns: tuple[Column, ...]) -> list[dict[str, str]]:
    return [
        {
            "Name": column.name,
            "Type": hive_type(column.kind),
            "Comment": column.meaning[:_COMMENT_CHARACTERS_MAX],
        }
        for column in columns
    ]


def definitions(database: str, bucket: str, application: str, zone: str) -> list[dict[str, Any]]:
    """Every table and view, each behind those it reads.

    Raises:
        ValueError: `zone` is no time zone.
    """
    return [
        *(table_input(table, bucket) for table in tables(application)),
        *(view_input(view, database) for view in views(zone)),
    ]


def changes(glue: Any, database: str, wanted: list[dict[str, Any]]) -> list[Change]:
    """What in `database` is not as wanted; tables that nobody wanted are left alone.

    Raises:
        botocore.exceptions.ClientError: Glue refuses.
    """
    try:
        pages = glue.get_paginator("get_tables").paginate(DatabaseName=database)
        held = {table["Name"]: table for page in pages for table in page["TableList"]}
    except glue.exceptions.EntityNotFoundException:
        held = {}
    found = []
    for then in wanted:
        now = held.get(then["Name"])
        same = None if now is None else _likewise(now, then)
        if same != then:
            found.append(Change(then["Name"], same, then))
    return found


def apply(glue: Any, database: str, found: list[Change]) -> None:
    """Make the database where there is none, and every change in it; safe to repeat.

    Raises:
        botocore.exceptions.ClientError: Glue refuses.
    """
    try:
        glue.get_database(Name=database)
    except glue.exceptions.EntityNotFoundException:
        meaning = "What Tillwatch saw at the tills: docs/data-catalogue.md."
        glue.create_database(DatabaseInput={"Name": database, "Description": meaning})
    for change in found:
        if change.now is None:
            glue.create_table(DatabaseName=database, TableInput=change.then)
        else:
            glue.update_table(DatabaseName=database, TableInput=change.then)


def _likewise(now: Any, then: Any) -> Any:
    """Of `now` what `then` speaks of: Glue adds times, owners and defaults of its own."""
    if isinstance(then, dict) and isinstance(now, dict):
        return {key: _likewise(now[key], value) for key, value in then.items() if key in now}
    return now


def _flat(value: Any, path: str = "") -> dict[str, str]:
    if isinstance(value, dict):
        parts = [_flat(inner, f"{path}.{key}" if path else key) for key, inner in value.items()]
    elif isinstance(value, list):
        parts = [_flat(inner, f"{path}[{_name(inner, at)}]") for at, inner in enumerate(value)]
    else:
        return {path: _readable(str(value))}
    return {key: text for part in parts for key, text in part.items()}


def _name(item: Any, at: int) -> str:
    return str(item.get("Name", at)) if isinstance(item, dict) else str(at)


def _readable(text: str) -> str:
    """A stored view's SQL instead of its packed form."""
    if not text.startswith("/* Presto View: "):
        return text
    from base64 import b64decode

    packed = text.removeprefix("/* Presto View: ").removesuffix(" */")
    return " ".join(str(json.loads(b64decode(packed))["originalSql"]).split())
