"""The catalogue at a real endpoint, and one question asked in three ways."""

import subprocess
import sys
import threading
import time
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from consumer.compaction import Compaction
from consumer.lake import open_lake
from local.aws import AwsEndpoint
from sinks import glue
from sinks.catalogue_views import views
from sinks.manifest import end_of
from sinks.parquet import ClosedHour
from sinks.rows import rows
from sinks.s3 import S3ObjectStore
from tests.consumer.lake_made import MadeLake, make_lake
from tests.sinks.made import NOON, SHARD, position, scored

pytestmark = pytest.mark.integration

QUERY = """SELECT shop_id, date, SUM(total_sales) as daily_sales FROM processed_table
WHERE date BETWEEN date '2026-03-29' AND date '2026-03-31'
GROUP BY shop_id, date ORDER BY date DESC"""
BUCKET = "catalogue-lake"
_SECONDS_MAX = 60.0


def wanted(zone: str = "shop", database: str = "tillwatch") -> list[dict[str, Any]]:
    return glue.definitions(database, BUCKET, "tillwatch", zone)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, aws: AwsEndpoint) -> MadeLake:
    lake = make_lake(tmp_path_factory.mktemp("lake"))
    s3 = aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": aws.region})
    for path in lake.folder.rglob("*.parquet"):
        key = path.relative_to(lake.folder).as_posix()
        s3.put_object(Bucket=BUCKET, Key=key, Body=path.read_bytes())
    return lake


def program(aws: AwsEndpoint, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).parent / "tillwatch"), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={
            "PATH": "/usr/bin:/bin",
            **aws.environment(),
            "TILLWATCH_AWS_ENDPOINT": aws.url,
            "TILLWATCH_REGION": aws.region,
            "TILLWATCH_BUCKET": BUCKET,
        },
    )


def athena(
    aws: AwsEndpoint, text: str, database: str = "tillwatch", bucket: str = BUCKET
) -> list[tuple[str, ...]]:
    client = aws.client("athena")
    started = client.start_query_execution(
        QueryString=text,
        QueryExecutionContext={"Database": database},
        ResultConfiguration={"OutputLocation": f"s3://{bucket}/answers/"},
    )
    of = {"QueryExecutionId": started["QueryExecutionId"]}
    deadline = time.monotonic() + _SECONDS_MAX
    while True:
        status = client.get_query_execution(**of)["QueryExecution"]["Status"]
        if status["State"] in {"SUCCEEDED", "FAILED"}:
            break
        assert time.monotonic() < deadline, "Athena does not answer"
        time.sleep(0.1)
    assert status["State"] == "SUCCEEDED", status
    found = [
        tuple(cell.get("VarCharValue", "") for cell in row["Data"])
        for page in client.get_paginator("get_query_results").paginate(**of)
        for row in page["ResultSet"]["Rows"]
    ]
    return found[1:]


def with_views(text: str) -> str:
    """The question with the views in front: the endpoint keeps views, and does not look into them.

    What is asked is the SQL that lies in Glue; nothing is said twice.
    """
    named = ",\n".join(
        f"{view.name} AS ({view.sql})" for view in views() if "UNNEST" not in view.sql
    )
    return f"WITH {named}\n{text}"


def test_applied_twice_is_applied_once(aws: AwsEndpoint) -> None:
    client = aws.client("glue")
    found = glue.changes(client, "twice", wanted(database="twice"))
    assert [change.name for change in found] == [table["Name"] for table in wanted()]
    glue.apply(client, "twice", found)
    assert glue.changes(client, "twice", wanted(database="twice")) == []
    glue.apply(client, "twice", [])


def test_a_change_is_told_and_made_and_nothing_else(aws: AwsEndpoint) -> None:
    client = aws.client("glue")
    before = wanted("Europe/London", "change")
    glue.apply(client, "change", glue.changes(client, "change", before))
    client.create_table(DatabaseName="change", TableInput={"Name": "of_others"})
    after = wanted("shop", "change")
    (change,) = glue.changes(client, "change", after)
    told = list(change.lines())
    assert told[0] == "~ transactions_now"
    assert any("Europe/London" in line for line in told if line.startswith("  - "))
    assert any("utc_offset_minutes * INTERVAL" in line for line in told if line.startswith("  + "))
    glue.apply(client, "change", [change])
    assert glue.changes(client, "change", after) == []
    assert client.get_table(DatabaseName="change", Name="of_others")


def test_the_named_query_in_three_ways(aws: AwsEndpoint, made: MadeLake) -> None:
    shown = program(aws, "catalogue", "apply", "--dry-run")
    assert shown.returncode == 0, shown.stderr
    assert "+ processed_table" in shown.stdout
    assert "would change" in shown.stderr
    done = program(aws, "catalogue", "apply")
    assert done.returncode == 0, done.stderr
    again = program(aws, "catalogue", "apply")
    assert again.stdout == ""

    asked = program(aws, "sql", "--csv", QUERY)
    assert asked.returncode == 0, asked.stderr
    here = [tuple(line.split(",")) for line in asked.stdout.splitlines()[1:]]

    there = athena(aws, with_views(QUERY))

    files = [str(path) for path in made.folder.glob("processed/*/*/*.parquet")]
    files += [str(path) for path in made.folder.glob("staging/*/*/*.parquet")]
    directly = duckdb.sql(
        f"""SELECT shop_id, date, CAST(sum(total) AS VARCHAR) FROM (
            SELECT DISTINCT transaction_id, type, shop_id, total, CAST(
              timezone('UTC', occurred_at) + to_minutes(utc_offset_minutes) AS DATE) AS date
            FROM read_parquet({files}, hive_partitioning = false))
        WHERE type = 'SALE' AND date BETWEEN '2026-03-29' AND '2026-03-31' GROUP BY 1, 2"""
    ).to_arrow_table()
    third = [
        tuple(map(str, row)) for row in zip(*(c.to_pylist() for c in directly.columns), strict=True)
    ]

    assert len(here) > 10
    assert plain(here) == plain(there) == plain(third)


def plain(rows: list[tuple[str, ...]]) -> list[tuple[str, str, Decimal]]:
    """In one order; a shop that was closed has no sales, and no row in the third way."""
    found = [(shop, day, Decimal(total)) for shop, day, total in rows]
    return sorted(row for row in found if row[2])


def test_athena_and_duckdb_see_the_same_rows_at_every_step_of_compacting(
    aws: AwsEndpoint, made: MadeLake, monkeypatch: Any
) -> None:
    """Through the definitions in Glue, over the bucket; a late file comes in between."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    lake = open_lake(
        f"s3://{BUCKET}", application="tillwatch", zone="shop", region=aws.region, endpoint=aws.url
    )
    client = aws.client("glue")
    glue.apply(client, "tillwatch", glue.changes(client, "tillwatch", wanted()))
    store = S3ObjectStore(aws.client("s3"), BUCKET, threading.Event())
    at = [end_of("2026-05-30")]
    steps: list[str] = []
    compaction = Compaction(store, lambda: at[0], steps.append, months=True)
    questions = (
        "SELECT count(*), count(DISTINCT transaction_id), sum(total) FROM transactions_now",
        "SELECT date, hour, count(*), sum(total) FROM transactions GROUP BY 1, 2 ORDER BY 1, 2",
    )
    expected = [text_of(lake.ask(text).rows()) for text in questions]
    assert expected[0][0][0] == str(len(made.rows))
    hours = store.keys("processed/")
    late, due = hours[7], 0
    body = store.get(late)
    store.delete(late)
    without = [text_of(lake.ask(text).rows()) for text in questions]
    assert without != expected
    for _ in range(20):
        again = compaction.run()
        if due and store.keys("compacted/manifests/") and late and not store.keys(late):
            store.put(late, body)  # what closed late: its Position lies behind no manifest's
            without, late = expected, ""
        for text, wished in zip(questions, without, strict=True):
            assert text_of(lake.ask(text).rows()) == wished
            assert athena(aws, with_views(text)) == wished
        if again is None:
            break
        due = at[0] = again
    assert store.keys("processed/") == []
    assert [key for key in store.keys("compacted/months/") if key.endswith("0000.parquet")]
    assert any("deleted" in step for step in steps)


def text_of(rows: Any) -> list[tuple[str, ...]]:
    return [tuple(map(str, row)) for row in rows]


def test_the_bucket_is_asked_as_a_folder_is(
    aws: AwsEndpoint, made: MadeLake, monkeypatch: Any
) -> None:
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    s3 = open_lake(
        f"s3://{BUCKET}", application="tillwatch", zone="shop", region=aws.region, endpoint=aws.url
    )
    folder = open_lake(str(made.folder), application="tillwatch", zone="shop")
    for view in views():
        text = f"SELECT * FROM {view.name}"
        assert sorted(s3.ask(text).rows(), key=repr) == sorted(folder.ask(text).rows(), key=repr)
    text = "SELECT page_id, status, revision, refunded_total, date FROM pages ORDER BY page_id"
    pages = text_of(s3.ask(text).rows())
    assert len(pages) == len(made.pages)
    assert athena(aws, with_views(text)) == pages


def test_what_the_version_before_wrote_is_read_through_the_definition_of_this_one(
    aws: AwsEndpoint, monkeypatch: Any
) -> None:
    """Hours of before without a column and of now with it, and both again once they are merged."""
    for name, value in aws.environment().items():
        monkeypatch.setenv(name, value)
    s3, client, bucket = aws.client("s3"), aws.client("glue"), "evolved-lake"
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region})
    table = rows([scored(n, approval_limit=10_000, shop_id="s") for n in range(40)]).table
    for first, last, part in (
        (0, 24, table.slice(0, 25).drop_columns(["approval_limit"])),
        (25, 39, table.slice(25)),
    ):
        closed = ClosedHour(NOON, SHARD, position(first).slug, position(last).slug, ())
        sink = BytesIO()
        pq.write_table(part, sink, store_schema=False)
        s3.put_object(Bucket=bucket, Key=closed.key, Body=sink.getvalue())
    definitions = glue.definitions("evolved", bucket, "tillwatch", "shop")
    glue.apply(client, "evolved", glue.changes(client, "evolved", definitions))
    lake = open_lake(
        f"s3://{bucket}", application="tillwatch", zone="shop", region=aws.region, endpoint=aws.url
    )
    text = "SELECT count(*), count(approval_limit), sum(approval_limit) FROM transactions"
    wished = [("40", "15", "1500.0000")]
    at = [end_of("2026-05-30")]
    compaction = Compaction(
        S3ObjectStore(s3, bucket, threading.Event()), lambda: at[0], lambda _: None
    )
    due: int | None = 0
    while due is not None:
        assert text_of(lake.ask(text).rows()) == wished
        assert athena(aws, with_views(text), "evolved", bucket) == wished
        due = compaction.run()
        at[0] = due or at[0]
    assert text_of(lake.ask(text).rows()) == wished
    assert athena(aws, with_views(text), "evolved", bucket) == wished
    kept = {key["Key"] for key in s3.list_objects_v2(Bucket=bucket)["Contents"]}
    assert not any(key.startswith("processed/") for key in kept)
