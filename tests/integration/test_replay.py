"""A real worker's records come out of the archive again, and with them every bit of its scores."""

import json
import subprocess
import sysconfig
from base64 import b64encode
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.drained import wait_until_drained
from local.feed import keyed
from local.producer import put_all
from local.samples import sample_stream
from local.stack import Stack
from local.stream_reading import contents
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SETTINGS = {
    "TILLWATCH_BATCH_RECORDS_MAX": "300",
    "TILLWATCH_BATCH_SECONDS_MAX": "0.5",
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "5",
    "TILLWATCH_ARCHIVE_KEY": b64encode(b"a key of 32 bytes for tests only").decode(),
}
DEADLINE_SECONDS = 240


def tillwatch(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sysconfig.get_path("scripts"), "tillwatch")), *arguments],
        env=stack.environment() | SETTINGS,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def worked_through(stack: Stack) -> None:
    """A worker takes a made-up chain's weeks off the stream, and is ended."""
    made = stack.provisioned
    kinesis = stack.aws.client("kinesis")
    put_all(kinesis, made.stream, keyed(sample_stream(5, shops=3, days=12)))
    found = contents(kinesis, made.stream, made.shards)
    worker = start_worker(stack, SETTINGS)
    try:

        def alive() -> None:
            assert worker.exit_code is None, worker.log_tail()

        wait_until_drained(stack.aws, made, found.tips, check=alive)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)


def documents(stack: Stack) -> dict[str, dict[str, Any]]:
    client = stack.search_client()
    try:
        client.indices.refresh(index="transactions-*")
        body = {"query": {"term": {"type": "REFUND"}}, "size": 10_000}
        hits = client.search(index="transactions-*", body=body)["hits"]["hits"]
        return {hit["_id"]: hit["_source"] for hit in hits}
    finally:
        client.close()


def production(stack: Stack) -> Any:
    """Everything that a replay could have changed."""
    aws, made = stack.aws, stack.provisioned
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=made.bucket)
    objects = {entry["Key"]: entry["ETag"] for page in pages for entry in page["Contents"]}
    dynamodb = aws.client("dynamodb")
    tables = [
        sorted(map(str, dynamodb.scan(TableName=table)["Items"]))
        for table in (made.application, made.ledger_table)
    ]
    count = "ApproximateNumberOfMessages"
    queues = [
        aws.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=[count])["Attributes"]
        for url in (made.pages_queue_url, made.dead_letter_queue_url)
    ]
    client = stack.search_client()
    try:
        client.indices.refresh(index="*")
        indices = {
            row["index"]: (row["docs.count"], row["docs.deleted"])
            for row in client.cat.indices(format="json")
        }
    finally:
        client.close()
    return objects, tables, queues, indices


def scores(folder: Path) -> dict[str, Any]:
    lines = (folder / "scores.jsonl").read_text().splitlines()
    return {line["transaction_id"]: line["score"] for line in map(json.loads, lines)}


def test_scores_come_out_of_the_archive_again_and_nothing_is_touched(
    stack: Stack, tmp_path: Path
) -> None:
    stack.renew()
    worked_through(stack)
    standing = documents(stack)
    assert len(standing) > 50
    before = production(stack)
    arrivals = sorted(datetime.fromisoformat(it["arrived_at"]) for it in standing.values())
    middle, end = arrivals[len(arrivals) // 2], arrivals[-1] + timedelta(minutes=1)
    for begin, exact_from in ((arrivals[0] - timedelta(hours=1), "nothing"), (middle, "snapshot")):
        folder = tmp_path / exact_from
        done = tillwatch(
            *(stack, "replay", "--from", begin.isoformat(), "--to", end.isoformat()),
            *("--source", "archive", "--out", str(folder)),
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["exact"], done.stderr
        assert exact_from in told["shards"][0]["start"]
        assert told["shards"][0]["sources"] == ["archive"]
        expected = {
            name: it["score"]
            for name, it in standing.items()
            if datetime.fromisoformat(it["arrived_at"]) >= begin
        }
        assert scores(folder) == expected
        assert (folder / "pages.jsonl").exists()
        assert list(folder.rglob("processed/**/*.parquet"))
    worst = max(standing, key=lambda name: standing[name]["score"]["value"])
    told = tillwatch(stack, "explain", worst, "--replay", "--source", "archive")
    assert told.returncode == 0, told.stderr
    assert "the same, bit for bit" in told.stdout
    assert repr(standing[worst]["score"]["value"]) in told.stdout
    as_json = json.loads(tillwatch(stack, "explain", worst, "--json").stdout)
    assert as_json["score"]["value"] == standing[worst]["score"]["value"]
    assert "card_token" not in json.dumps(as_json)
    nowhere = tillwatch(stack, "explain", "t-that-never-was")
    assert nowhere.returncode == 1
    assert "stands nowhere" in nowhere.stderr
    assert production(stack) == before
