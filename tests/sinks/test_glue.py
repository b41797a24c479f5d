"""The catalogue in Glue: complete, the declared schema's own."""

import json
from base64 import b64decode

import pytest

from sinks import glue
from sinks.catalogue import athena_type, columns_of, nested, tables
from sinks.catalogue_meanings import MEANINGS
from sinks.catalogue_views import business_date, views
from sinks.schema import SCHEMA

WANTED = glue.definitions("tillwatch", "lake", "tillwatch", "Europe/London")


def test_every_column_is_said_to_mean_something() -> None:
    assert list(MEANINGS) == SCHEMA.names
    assert [column.name for column in columns_of()] == SCHEMA.names
    assert set(nested()) == {
        field.name for field in SCHEMA if athena_type(field.type).startswith("array(")
    }


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("varchar", "string"),
        ("decimal(18,4)", "decimal(18,4)"),
        ("timestamp(3)", "timestamp"),
        (
            "array(row(item_id varchar, quantity decimal(18,3), more row(a integer)))",
            "array<struct<item_id:string,quantity:decimal(18,3),more:struct<a:int>>>",
        ),
    ],
)
def test_types_have_hives_names(kind: str, expected: str) -> None:
    assert glue.hive_type(kind) == expected


def test_partitions_are_projected_onto_the_folders_that_are_published() -> None:
    from sinks.parquet import ClosedHour
    from tests.sinks.made import NOON

    table = WANTED[0]
    parameters = table["Parameters"]
    assert parameters["projection.enabled"] == "true"
    template = parameters["storage.location.template"]
    folder = template.replace("${date}", "2026-01-05").replace("${hour}", "12")
    key = ClosedHour(NOON, "shard", "a", "b", ()).key
    assert f"s3://lake/{key}".startswith(folder)
    assert [key["Name"] for key in table["PartitionKeys"]] == ["date", "hour"]


def test_a_view_is_kept_as_athena_keeps_it() -> None:
    for view, stored in zip(views("Europe/London"), WANTED[7:], strict=True):
        packed = stored["ViewOriginalText"].removeprefix("/* Presto View: ").removesuffix(" */")
        held = json.loads(b64decode(packed))
        assert held["originalSql"] == view.sql
        assert [column["name"] for column in held["columns"]] == [
            column["Name"] for column in stored["StorageDescriptor"]["Columns"]
        ]
        assert stored["TableType"] == "VIRTUAL_VIEW"


def test_views_stand_behind_what_they_read() -> None:
    known = {table.name for table in tables("tillwatch")}
    names = known | {view.name for view in views()}
    for view in views():
        words = set(view.sql.replace("(", " ").replace(")", " ").split())
        # `refunds` is a column, too.
        assert words & names - {"refunds"} <= known | {view.name}
        known.add(view.name)


@pytest.mark.parametrize("zone", ["", "x'; DROP TABLE y", "Europe/", "../etc"])
def test_what_is_no_time_zone_is_refused(zone: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        business_date(zone)


def test_the_page_is_the_one_that_is_written_from_the_schema() -> None:
    from pathlib import Path

    from sinks.catalogue_page import page

    written = Path(__file__).parents[2] / "docs" / "data-catalogue.md"
    assert written.read_text() == page(), "run: tillwatch catalogue page > docs/data-catalogue.md"
