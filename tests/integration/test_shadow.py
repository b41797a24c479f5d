"""A shadow beside a real worker: its pages are those of its own configuration, and all it leaves.

One stream, a live worker that nothing happens to, and a shadow that is killed with -9 on the way.
"""

import json
import signal
import subprocess
import sysconfig
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from consumer.candidate import detector_config
from consumer.child import build_pipeline
from consumer.duplicates import Duplicates
from consumer.pipeline import batches
from consumer.scorer import Scorer
from consumer.settings import Settings
from consumer.shadow import Comparison, compare
from consumer.told import Told, refunded
from events.page import Page
from events.position import Position
from events.record import Record
from events.verdict import Verdict, wire_verdict
from local.drained import wait_until_drained
from local.feed import Keyed, keyed
from local.outcome import hits, read_outcome
from local.part import Part
from local.producer import put_all
from local.provision import Provisioned, provision_shadow
from local.samples import sample_stream
from local.stack import Stack
from local.stream_reading import contents
from local.uninterrupted import uninterrupted
from local.verdict import faults
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker
from sinks.archive_object import name_of
from sinks.schema import PAGE_SCHEMA
from sinks.shadow_notes import folder_of
from sinks.sns import SENT

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

NAME = "bold"
DEADLINE_SECONDS = 120.0
SETTINGS = {
    "TILLWATCH_BATCH_RECORDS_MAX": "150",
    "TILLWATCH_BATCH_SECONDS_MAX": "0.5",
    "TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "3",
    "TILLWATCH_MEASUREMENT_SECONDS": "1",
    "TILLWATCH_HISTORY_HOURS": "0",  # so that the shadow begins with nothing, as the live one did
    "TILLWATCH_ARCHIVE_KEY": b64encode(b"a key of 32 bytes for tests only").decode(),
}
CANDIDATE = {
    "pages_per_shop_week": 5.0,
    "without": ["cashier", "register", "volume", "receipt", "pattern"],
}


def pages_of(environment: Mapping[str, str], records: list[Keyed]) -> dict[tuple[str, int], Page]:
    """Every state of every page, in one process and without a break."""
    settings = Settings.model_validate(
        {
            name: environment[f"TILLWATCH_{name.upper()}"]
            for name in Settings.model_fields
            if f"TILLWATCH_{name.upper()}" in environment
        }
    )
    scorer = Scorer(detector_config(settings))
    duplicates = Duplicates(settings.duplicates_remembered_min)
    stream = (
        Record(Position("shardId-0", str(number)), data, shop)
        for number, (shop, data) in enumerate(records, 1)
    )
    cuts = batches(build_pipeline(settings, scorer, duplicates), stream)
    return {(page.page_id, page.revision): page for cut in cuts for page in cut.batch.pages}


def told(states: Mapping[tuple[str, int], Page]) -> list[Told]:
    """Each page as it stood last."""
    last = {page.page_id: Told.of(page) for _, page in sorted(states.items(), key=lambda it: it[0])}
    sent = {page.page_id for page in states.values() if page.status in SENT}
    return [page for page in last.values() if page.page_id in sent]


def as_row(page: Page) -> dict[str, Any]:
    """What a row of the lake says of a state, but for where on the stream it was told."""
    plain = {name: getattr(page, name) for name in PAGE_SCHEMA.names if hasattr(page, name)}
    for name in ("opened_at", "updated_at", "refunded_total"):
        del plain[name]
    return plain | {
        "entity_kind": page.entity.kind,
        "entity_id": page.entity.id,
        "evidence": list(page.evidence),
        "refunded": str(Told.of(page).refunded),
    }


def objects(stack: Stack) -> list[str]:
    s3, bucket = stack.aws.client("s3"), stack.provisioned.bucket
    found = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in found for entry in page.get("Contents", ())]


def shadow_rows(stack: Stack) -> dict[tuple[str, int], dict[str, Any]]:
    s3, bucket = stack.aws.client("s3"), stack.provisioned.bucket
    rows: dict[tuple[str, int], dict[str, Any]] = {}
    for key in objects(stack):
        if not key.startswith(f"{folder_of(stack.provisioned.application, NAME)}pages/"):
            continue
        body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        for row in pq.read_table(BytesIO(body), partitioning=None).to_pylist():
            total = row.pop("refunded_total")
            row["refunded"] = str(total.quantize(total.__class__("0.01")))
            for name in ("opened_at", "updated_at", "shard_id"):
                del row[name]
            del row["sequence_number"], row["sub_sequence_number"]
            before = rows.setdefault((row["page_id"], row["revision"]), row)
            assert before == row  # however often it was written
    return rows


def checkpoints(stack: Stack, made: Provisioned) -> dict[str, str]:
    """How far each shard has come that has any checkpoint."""
    items = stack.aws.client("dynamodb").scan(TableName=made.application)["Items"]
    found = {it["leaseKey"]["S"]: it["checkpoint"]["S"] for it in items}
    return {shard: at for shard, at in found.items() if at.isdigit()}


def wait(true: Callable[[], object], alive: Callable[[], None]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not true():
        alive()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def kill_all_of(worker: Part) -> None:
    """kill -9 to the supervisor, its daemon and its children, all at once."""
    family = [psutil.Process(worker.pid)]
    family += family[0].children(recursive=True)
    assert len(family) > 2
    for one in family:
        with suppress(psutil.NoSuchProcess):
            one.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def tillwatch(
    stack: Stack, *arguments: str, more: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sysconfig.get_path("scripts"), "tillwatch")), *arguments],
        env=stack.environment() | SETTINGS | dict(more or {}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


class Beside:
    """A live worker and its shadow, started as they are needed and ended with the test."""

    def __init__(self, stack: Stack, candidate: Path, **more: str) -> None:
        self._stack = stack
        self.settings = SETTINGS | more
        self.made = provision_shadow(stack.aws, stack.provisioned, NAME)
        self.candidate = {
            "TILLWATCH_SHADOW": NAME,
            "TILLWATCH_DETECTOR_FILE": str(candidate),
        }
        self.live = start_worker(stack, self.settings)
        self.shadow: Part | None = None

    def start(self) -> Part:
        self.shadow = start_worker(self._stack, self.settings | self.candidate)
        return self.shadow

    def alive(self) -> None:
        for worker in self.running():
            assert worker.exit_code is None, worker.log_tail()

    def running(self) -> list[Part]:
        return [worker for worker in (self.live, self.shadow) if worker is not None]

    def drain(self) -> None:
        made, kinesis = self._stack.provisioned, self._stack.aws.client("kinesis")
        tips = contents(kinesis, made.stream, made.shards).tips
        for each, sent in ((made, True), (self.made, False))[: len(self.running())]:
            wait_until_drained(self._stack.aws, each, tips, check=self.alive, pages_sent=sent)

    def end(self) -> None:
        for worker in self.running():
            worker.terminate()
        for worker in self.running():
            worker.stop(WORKER_STOP_SECONDS_MAX)


@pytest.fixture
def beside(stack: Stack, tmp_path: Path) -> Iterator[Beside]:
    stack.renew(shards=2)
    file = tmp_path / "candidate.json"
    file.write_text(json.dumps(CANDIDATE))
    both = Beside(stack, file)
    both.start()
    yield both
    both.end()


def trade() -> list[Keyed]:
    made = sample_stream(
        13, shops=6, days=12, campaigns_per_shop_week=3.0, intensity=1.5, sales_max=60
    )
    return list(keyed(made))


def lost_by(live: Mapping[str, str], candidate: Mapping[str, str]) -> Told:
    """A page that the candidate loses."""
    records = trade()
    return compare(told(pages_of(live, records)), told(pages_of(candidate, records))).lost[0]


def take_with_a_kill(stack: Stack, beside: Beside, records: list[Keyed]) -> None:
    """Both take all of it; the shadow dies while the second half comes in."""
    made, kinesis = stack.provisioned, stack.aws.client("kinesis")
    middle = len(records) // 2
    put_all(kinesis, made.stream, iter(records[:middle]))
    at = contents(kinesis, made.stream, made.shards).tips
    wait(lambda: checkpoints(stack, beside.made).items() >= at.items(), beside.alive)
    with ThreadPoolExecutor(1) as other:
        coming = other.submit(put_all, kinesis, made.stream, iter(records[middle:]))
        wait(lambda: not checkpoints(stack, beside.made).items() >= at.items(), beside.alive)
        kill_all_of(beside.running()[1])
        coming.result()
    tips = contents(kinesis, made.stream, made.shards).tips
    left = checkpoints(stack, beside.made)
    assert any(int(left.get(shard, "0")) < int(tip) for shard, tip in tips.items())
    beside.start()
    beside.drain()
    beside.end()


def own_folders(beside: Beside) -> tuple[str, str]:
    live = beside.made.application.removesuffix(f"-shadow-{NAME}")
    return folder_of(live, NAME), f"snapshots/{beside.made.application}/"


def assert_live_is_as_if_alone(
    stack: Stack, beside: Beside, live: Mapping[str, str], records: list[Keyed]
) -> None:
    made = stack.provisioned
    assert faults(uninterrupted(live, records), read_outcome(stack)) == []
    client = stack.search_client()
    try:
        # Nobody wrote a document a second time, and one worker alone measured.
        assert {hit["_version"] for hit in hits(client, "transactions-*")} == {1}
        found = client.search(index="operations-*", body={"size": 1_000})["hits"]["hits"]
    finally:
        client.close()
    assert len({hit["_source"]["worker"] for hit in found}) == 1
    keys = [key for key in objects(stack) if not key.startswith(own_folders(beside))]
    folders = {key.partition("/")[0] for key in keys}
    assert folders <= {"archive", "pages", "processed", "snapshots", "verdicts", "dead-letters"}
    archive = [name for key in keys if (name := name_of(key, made.stream))]
    for shard in made.shards:
        mine = [name for name in archive if name.shard_id == shard]
        mine.sort(key=lambda name: name.first.order)
        assert mine
        assert all(one.last == two.after for one, two in pairwise(mine))


def assert_report_lists(stack: Stack, difference: Comparison, out: Path) -> None:
    done = tillwatch(stack, "shadow", "report", "--name", NAME, "--json", "--out", str(out))
    assert done.returncode == 0, done.stderr
    line = json.loads(done.stdout)
    for name in ("gained", "lost"):
        pages = sorted(getattr(difference, name), key=lambda it: (it.opened_at, it.page_id))
        assert [page["page_id"] for page in line[name]] == [page.page_id for page in pages]
        money = {currency: str(total) for currency, total in refunded(pages).items()}
        assert line["money"][name] == money
    assert line["lost_found"] == {"fraud": 1}
    assert line["holes"] == []  # it was killed, and the stream had all that it needed
    assert (line["failed"], len(line["model_versions"])) == (0, 1)
    assert f"Of the {len(difference.lost)} lost pages people judged 1: 1 fraud." in out.read_text()


def assert_its_end_leaves_the_rest(stack: Stack, beside: Beside) -> None:
    others = [key for key in objects(stack) if not key.startswith(own_folders(beside))]
    done = tillwatch(stack, "shadow", "end", "--name", NAME, "--yes", "--force")
    assert done.returncode == 0, done.stderr
    assert objects(stack) == others
    pages = stack.aws.client("dynamodb").get_paginator("list_tables").paginate()
    tables = [name for page in pages for name in page["TableNames"]]
    assert not [table for table in tables if table.startswith(beside.made.application)]
    assert stack.provisioned.application in tables


def test_a_shadow_tells_what_a_candidate_would_and_touches_nothing(
    stack: Stack, beside: Beside, tmp_path: Path
) -> None:
    live = stack.environment() | SETTINGS
    candidate = live | beside.candidate
    judged = lost_by(live, candidate)
    verdict = Verdict(judged.page_id, judged.shop_id, judged.reason, "fraud", judged.opened_at)
    records = [*trade(), (judged.shop_id, wire_verdict(verdict))]
    take_with_a_kill(stack, beside, records)
    assert_live_is_as_if_alone(stack, beside, live, records)
    states = pages_of(candidate, records)
    assert shadow_rows(stack) == {state: as_row(page) for state, page in states.items()}
    difference = compare(told(pages_of(live, records)), told(states))
    assert difference.gained
    assert difference.lost
    assert_report_lists(stack, difference, tmp_path / "report.html")
    assert_its_end_leaves_the_rest(stack, beside)


@pytest.mark.thorough
def test_it_begins_on_the_live_state_and_is_made_anew_out_of_the_archive(
    stack: Stack, tmp_path: Path
) -> None:
    """The candidate is the live configuration, so that from where it began all is as live."""
    stack.renew(shards=1)
    file = tmp_path / "candidate.json"
    file.write_text("{}")
    beside = Beside(stack, file, TILLWATCH_HISTORY_HOURS="1")
    made, kinesis, records = stack.provisioned, stack.aws.client("kinesis"), trade()
    thirds = [records[: len(records) // 3], records[len(records) // 3 : -300], records[-300:]]
    live = stack.environment() | SETTINGS
    try:
        put_all(kinesis, made.stream, iter(thirds[0]))
        beside.drain()
        beside.start()
        wait(lambda: b"the shadow begins on the live worker" in log(stack), beside.alive)
        put_all(kinesis, made.stream, iter(thirds[1]))
        beside.drain()
        every = pages_of(live, records[:-300])
        rows = shadow_rows(stack)
        assert rows == {state: as_row(every[state]) for state in rows}
        assert set(rows) >= set(every) - set(pages_of(live, thirds[0]))

        # Made anew out of the archive it goes on as before.
        assert beside.shadow is not None
        beside.shadow.stop(WORKER_STOP_SECONDS_MAX)
        since = ("rebuild", "--all", "--yes", "--since", "2020-01-01", "--force")
        done = tillwatch(stack, *since, more=beside.candidate)
        assert done.returncode == 0, done.stderr
        assert "is made" in done.stdout
        assert [key for key in objects(stack) if key.startswith("staging/")] == []
        beside.start()
        put_all(kinesis, made.stream, iter(thirds[2]))
        beside.drain()
        every = pages_of(live, records)
        rows = shadow_rows(stack)
        assert rows == {state: as_row(every[state]) for state in rows}
        assert set(rows) >= set(every) - set(pages_of(live, thirds[0]))
    finally:
        beside.end()


def log(stack: Stack) -> bytes:
    return (stack.folder.path / "worker.log").read_bytes()
