"""A planted person through the real worker: found in no place where bytes end, then erased."""

import io
import json
import subprocess
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pyarrow.parquet as pq
import pytest
import zstandard

from consumer.snapshot import MAGIC as SNAPSHOT
from local.drained import wait_until_drained
from local.part import Part
from local.producer import put_all
from local.stack import Stack
from local.stream_reading import contents
from local.worker import CONSOLE_STOP_SECONDS_MAX, WORKER_STOP_SECONDS_MAX, start_console
from local.worker import start_worker as start
from sinks.archive_object import MAGIC as ARCHIVE
from tests.integration.planted import (
    CLEAR,
    CUSTOMER,
    EMAIL,
    NAME,
    TEXT,
    TOKEN,
    broken,
    found_in,
    kept_of,
    personal,
    trade,
)
from tests.integration.test_aggregated import aggregated
from tests.integration.test_dead_letters import TILLWATCH

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

KEY, OLD_KEY = "a key for planted people", "the key that was before it"
SECRET = "tillwatch/planted"
SETTINGS = {
    "TILLWATCH_PSEUDONYM_KEY": "",
    "TILLWATCH_PSEUDONYM_KEY_SECRET": SECRET,
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "2",
    "TILLWATCH_LOG_LEVEL": "DEBUG",
    "TILLWATCH_ARCHIVE_KEY": b64encode(bytes(range(32))).decode(),
    "TILLWATCH_REJECTED_SHARE_MAX": "1",
    "TILLWATCH_MEASUREMENT_SECONDS": "1",
}
RAW = ("dead-letters/",)
"""What holds records as they came: docs/privacy.md says how long, and how it is kept."""


class Chain:
    """A stack with a worker, and everything that came out of it."""

    def __init__(self, stack: Stack, worker: Part) -> None:
        self.stack = stack
        self.worker = worker
        self.made = stack.provisioned

    def put(self, data: bytes) -> None:
        kinesis = self.stack.aws.client("kinesis")
        kinesis.put_record(StreamName=self.made.stream, PartitionKey="shop-1", Data=data)

    def drain(self) -> None:
        found = contents(self.stack.aws.client("kinesis"), self.made.stream, self.made.shards)

        def alive() -> None:
            assert self.worker.exit_code is None, self.worker.log_tail()

        wait_until_drained(self.stack.aws, self.made, found.tips, check=alive)

    def environment(self) -> dict[str, str]:
        return self.stack.environment() | SETTINGS

    def command(self, *arguments: str, status: int = 0, said: str = "") -> str:
        done = subprocess.run(
            [TILLWATCH, *arguments],
            env=self.environment(),
            input=said,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def documents(self, index: str = "*") -> list[dict[str, Any]]:
        client = self.stack.search_client()
        try:
            client.indices.refresh(index=index)
            body = {"query": {"match_all": {}}, "size": 5_000}
            return list(client.search(index=index, body=body)["hits"]["hits"])
        finally:
            client.close()

    def objects(self) -> Iterator[tuple[str, bytes]]:
        s3 = self.stack.aws.client("s3")
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=self.made.bucket)
        for entry in (entry for page in pages for entry in page.get("Contents", ())):
            body = s3.get_object(Bucket=self.made.bucket, Key=entry["Key"])["Body"].read()
            yield entry["Key"], body

    def rows(self) -> list[dict[str, Any]]:
        return [
            row
            for key, body in self.objects()
            if key.startswith("processed/")
            for row in pq.ParquetFile(io.BytesIO(body)).read().to_pylist()
        ]

    def messages(self, queue_url: str) -> list[str]:
        sqs = self.stack.aws.client("sqs")
        bodies: dict[str, str] = {}
        while got := sqs.receive_message(
            QueueUrl=queue_url, MaxNumberOfMessages=10, VisibilityTimeout=30
        ).get("Messages"):
            bodies |= {message["ReceiptHandle"]: message["Body"] for message in got}
        for handle in bodies:
            sqs.change_message_visibility(
                QueueUrl=queue_url, ReceiptHandle=handle, VisibilityTimeout=0
            )
        return list(bodies.values())

    def tables(self) -> Iterator[tuple[str, str]]:
        dynamodb = self.stack.aws.client("dynamodb")
        pages = dynamodb.get_paginator("list_tables").paginate()
        for name in [name for page in pages for name in page["TableNames"]]:
            yield name, repr(dynamodb.scan(TableName=name)["Items"])


@pytest.fixture
def chain(stack: Stack) -> Iterator[Chain]:
    stack.renew()
    keep_the_key_in_a_secret(stack)
    worker = start(stack, SETTINGS)
    try:
        yield Chain(stack, worker)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)


def plain(key: str, body: bytes) -> str:
    """What is in an object, every column and every packed byte of it."""
    if key.endswith(".parquet"):
        return repr(pq.ParquetFile(io.BytesIO(body)).read().to_pylist())
    if body.startswith(SNAPSHOT):
        packed = body[len(SNAPSHOT) + 2 + 16 :]
        return repr(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
    return repr(body)


def keep_the_key_in_a_secret(stack: Stack) -> None:
    secrets = stack.aws.client("secretsmanager")
    value = json.dumps({"key": KEY, "old": [OLD_KEY]})
    secrets.create_secret(Name=SECRET, SecretString=value)


def fetched(address: str, path: str) -> str:
    url = f"http://{address}/{path}"
    try:
        with urllib.request.urlopen(url, timeout=20) as answer:
            text: str = answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.read().decode()
    return text


def test_a_planted_person_comes_out_nowhere_and_is_erased(chain: Chain) -> None:
    records = trade()
    keyed = (("shop-1", data) for data in records)
    put_all(chain.stack.aws.client("kinesis"), chain.made.stream, keyed)
    chain.put(aggregated("shop-1", [records[-1].replace(b"t-000908", b"t-000909"), broken()[0]]))
    for data in broken():
        chain.put(data)
    chain.drain()
    assert len(chain.documents("transactions-*")) == len(records) + 1
    pages = chain.documents("pages-*")
    assert "card" in {page["_source"]["entity"]["kind"] for page in pages}
    give_a_verdict_and_a_rule(chain, pages[0]["_id"])
    chain.drain()

    assert_clean_everywhere(chain)
    assert_letters_are_raw_by_design_and_masked_when_shown(chain)
    erase(chain)


def give_a_verdict_and_a_rule(chain: Chain, page_id: str) -> None:
    chain.command("verdict", page_id, "ok", "--note", TEXT, "--by", EMAIL)
    chain.command("suppress", "--shop", "shop-1", "--for", "2h", "--note", TEXT, "--by", EMAIL)


def assert_clean_everywhere(chain: Chain) -> None:
    for hit in chain.documents():
        assert found_in(json.dumps(hit)) == [], hit
    # The person's sales are there, with what is not personal.
    theirs = [hit["_source"] for hit in chain.documents("transactions-*")]
    theirs = [source for source in theirs if source.get("customer_id") == CUSTOMER]
    assert len(theirs) == 10
    assert theirs[0]["reason"] == "for ‹email› (‹phone›), card ‹card›"
    assert theirs[0]["lines"][1]["item_id"] == "4006381333931"
    assert theirs[0]["lines"][1]["description"] == "Mug 2 @ 1.99"

    folders = set()
    for key, body in chain.objects():
        folders.add(key.partition("/")[0])
        if not key.startswith(RAW):
            assert found_in(plain(key, body)) == [], key
        if key.startswith("archive/"):
            assert body.startswith(ARCHIVE)
    assert {"processed", "snapshots", "archive", "dead-letters"} <= folders
    assert len(chain.rows()) == len(chain.documents("transactions-*"))

    sent = chain.messages(chain.made.pages_queue_url)
    assert sent
    for body in sent:
        assert found_in(body) == []
    for name, items in chain.tables():
        assert found_in(items) == [], name
    assert_clean_to_people(chain)


def assert_clean_to_people(chain: Chain) -> None:
    log = chain.worker.log.read_text(errors="replace")
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert any(line["logger"].startswith("tillwatch.child") for line in lines)
    assert any(line["logger"].startswith("kcl.") for line in lines)
    assert found_in(log, (*CLEAR, KEY, OLD_KEY)) == []
    port = next(line["port"] for line in lines if "metrics and health are" in line["message"])
    for path in ("metrics", "healthz", "readyz"):
        assert found_in(fetched(f"127.0.0.1:{port}", path)) == []

    console, address = start_console(chain.stack)
    try:
        host = address.removeprefix("http://").rstrip("/")
        pages = [page["_id"] for page in chain.documents("pages-*")]
        evidence = "".join(fetched(host, f"api/evidence?page_id={page}") for page in pages)
        assert "t-0009" in evidence
        shown = [f"api/page?page_id={page}" for page in pages]
        for path in ("", "api/live", *shown, f"api/live?window={TOKEN}"):
            assert found_in(evidence + fetched(host, path)) == [], path
    finally:
        console.stop(CONSOLE_STOP_SECONDS_MAX)
    told = chain.command("sql", "SELECT * FROM transactions WHERE type = 'REFUND'", "--json")
    assert CUSTOMER in told
    assert found_in(told) == []


def assert_letters_are_raw_by_design_and_masked_when_shown(chain: Chain) -> None:
    bodies = [json.loads(body) for body in chain.messages(chain.made.dead_letter_queue_url)]
    assert len(bodies) == len(broken()) + 1
    for body in bodies:
        assert ("data" in body) != ("data_key" in body)
        told = {name: value for name, value in body.items() if name != "data"}
        assert found_in(json.dumps(told)) == []
    listed = chain.command("dlq", "list", "--json")
    assert found_in(listed) == []
    ids = [json.loads(line)["letter_id"] for line in listed.splitlines()[:-1]]
    for letter_id in ids[::3]:
        assert found_in(chain.command("dlq", "show", letter_id)) == []


def erase(chain: Chain) -> None:
    kept = kept_of(KEY)
    before = sum(row["total"] for row in chain.rows())
    who = ("--customer", CUSTOMER, "--card", "-", "--email", EMAIL)
    told = chain.command("erase", *who, "--dry-run", "--json", said=f"{TOKEN}\n")
    assert found_in(told, (*kept, TOKEN, EMAIL, NAME)) == []
    dry = places(told)
    assert dry["OpenSearch: sales"]["found"] == 10
    assert dry["OpenSearch: pages"]["found"] >= 1
    assert dry["Parquet: hourly"]["found"] >= 1
    assert dry["Parquet: pages"]["found"] >= 1
    assert dry["Dead letters"]["found"] == len(broken()) + 1
    assert sum(place["erased"] for place in dry.values()) == 0

    told = chain.command("erase", *who, "--yes", "--json", said=f"{TOKEN}\n")
    assert found_in(told, (*kept, TOKEN, EMAIL, NAME)) == []
    done = places(told)
    assert {name: place["erased"] for name, place in done.items()} == {
        name: place["found"] for name, place in dry.items()
    }
    for hit in chain.documents():
        assert found_in(json.dumps(hit), kept) == [], hit
    for key, body in chain.objects():
        if key.startswith(("processed/", "staging/", "compacted/", "pages/", "dead-letters/")):
            assert found_in(plain(key, body), kept) == [], key
    rows = chain.rows()
    assert len(rows) == len(chain.documents("transactions-*"))
    assert sum(row["total"] for row in rows) == before
    again = places(chain.command("erase", *who, "--yes", "--json", said=f"{TOKEN}\n"))
    assert {place["found"] for place in again.values()} == {0}


def places(told: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
    return {line["place"]: line for line in lines}


def test_what_is_planted_is_what_is_looked_for() -> None:
    """So the test above can fail: every needle stands in what is sent."""
    data = json.dumps(personal()).encode()
    assert len(found_in(data)) == 5
    assert found_in(TEXT.encode("unicode_escape")) == found_in(TEXT)
