"""A column more breaks neither old files nor old readers."""

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from consumer.lake import open_lake
from sinks import glue
from sinks.catalogue import columns_of
from sinks.rows import rows
from sinks.schema import FINAL_OPTIONS, SCHEMA
from tests.sinks.made import scored

HOUR = "processed/date=2026-01-05/hour=12"


def without(table: Any, *names: str) -> Any:
    return table.select([name for name in table.column_names if name not in names])


def lake(folder: Path) -> Path:
    """One file of the version before this, which has no approval limit, and one of this."""
    table = rows([scored(n, approval_limit=10_000) for n in range(40)]).table
    place = folder / HOUR
    place.mkdir(parents=True)
    old = without(table.slice(0, 25), "approval_limit", "score_reasons")
    options = {k: v for k, v in FINAL_OPTIONS.items() if k in {"compression", "store_schema"}}
    pq.write_table(old, place / "a.parquet", **options)
    pq.write_table(table.slice(25), place / "b.parquet", **options)
    return folder


def test_files_of_two_versions_are_read_together(tmp_path: Path) -> None:
    asked = open_lake(str(lake(tmp_path)), application="tillwatch", zone="shop").ask(
        "SELECT count(*), count(approval_limit), count(score_reasons), sum(approval_limit) "
        "FROM transactions_now"
    )
    ((every, limited, reasoned, total),) = asked.rows()
    assert (every, limited, total) == (40, 15, 1_500)
    assert reasoned <= 15


def test_a_reader_of_before_passes_over_what_it_does_not_know(tmp_path: Path) -> None:
    place = lake(tmp_path) / HOUR / "b.parquet"
    newer = pq.read_table(place, partitioning=None)
    newer = newer.add_column(0, "loyalty_points", pa.array([7] * 15, pa.int64()))
    pq.write_table(newer, place)
    lake_before = open_lake(str(tmp_path), application="tillwatch", zone="shop")
    ((every, total),) = lake_before.ask(
        "SELECT count(*), sum(approval_limit) FROM transactions_now"
    ).rows()
    assert (every, total) == (40, 1_500)


def test_the_definition_in_glue_grows_at_its_end_and_reads_by_name(tmp_path: Path) -> None:
    """Through Glue's columns: what a file lacks is null, as Athena's Parquet reader has it."""
    grown = pa.schema([*SCHEMA, pa.field("loyalty_points", pa.int64())])
    names = [field.name for field in grown]
    from sinks.catalogue import Column, Table

    before = glue.table_input(Table("t", "m", "processed/", columns_of()), "lake")
    after = glue.table_input(
        Table(
            "t", "m", "processed/", (*columns_of(), Column("loyalty_points", "bigint", "Points."))
        ),
        "lake",
    )
    old = before["StorageDescriptor"]["Columns"]
    assert after["StorageDescriptor"]["Columns"][: len(old)] == old
    assert "orc.column.index.access" not in after["Parameters"]
    made = lake(tmp_path)
    newer = pq.read_table(made / HOUR / "b.parquet", partitioning=None)
    newer = newer.append_column("loyalty_points", pa.array([7] * 15, pa.int64()))
    pq.write_table(newer, made / HOUR / "b.parquet")
    given = [column["Name"] for column in after["StorageDescriptor"]["Columns"]]
    assert given == names
    asked = ", ".join(f'"{name}"' for name in given)
    files = [str(path) for path in sorted(made.glob(f"{HOUR}/*"))]
    relation = duckdb.sql(f"SELECT {asked} FROM read_parquet({files}, union_by_name = true)")
    found = relation.to_arrow_table()
    assert found.num_rows == 40
    assert found["loyalty_points"].null_count == 25
    assert found["approval_limit"].null_count == 25
