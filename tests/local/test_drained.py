"""Drained is said when everything is committed and published, and not before."""

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from consumer.hours import HoursState, OpenHour
from consumer.rotation import SLICES_MAX, Slices
from consumer.snapshot import Snapshot, State, encode
from events.instant import HOUR
from events.page import Page
from local.aws import AwsEndpoint
from local.drained import StuckError, wait_until_drained
from local.provision import Provisioned, provision
from sinks.dynamodb import Ledger
from sinks.dynamodb_fence import DynamoFence
from sinks.fence import Held
from sinks.parquet import ClosedHour
from tests.sinks.made import page

pytestmark = pytest.mark.integration

Commit = Callable[..., None]


@pytest.fixture
def made(aws: AwsEndpoint, tmp_path: Path) -> Provisioned:
    return provision(aws, name=f"drained-{tmp_path.name.replace('_', '-')}"[:50], shards=1)


@pytest.fixture
def commit(aws: AwsEndpoint, made: Provisioned) -> Commit:
    """Leave behind what a worker's commit leaves at a sequence number."""

    def commit(sequence: str, hours: HoursState, *pages: Page) -> None:
        shard = made.shards[0]
        at, key = f"{sequence}-0", f"snapshots/{shard}/{sequence}"
        whole = Slices(0, SLICES_MAX)
        written = State(hours=hours, pages=list(pages))
        snapshot = Snapshot(made.application, shard, at, 4, "m", "r", whole, (), written)
        aws.client("s3").put_object(Bucket=made.bucket, Key=key, Body=encode(snapshot))
        fence = DynamoFence(
            aws.client("dynamodb"), made.ledger_table, made.application, threading.Event()
        )
        fence.note(shard, Held(fence.advance(shard).epoch, {at: key}))
        aws.client("dynamodb").update_item(
            TableName=made.application,
            Key={"leaseKey": {"S": shard}},
            UpdateExpression="SET checkpoint = :at",
            ExpressionAttributeValues={":at": {"S": sequence}},
        )

    return commit


def look(aws: AwsEndpoint, made: Provisioned, tip: str = "100") -> None:
    wait_until_drained(aws, made, {made.shards[0]: tip}, check=lambda: None, stuck_seconds_max=0.1)


def closed(made: Provisioned) -> ClosedHour:
    return ClosedHour(HOUR, made.shards[0], "1-0", "100-0", (("staging/a", 0),))


def test_shard_without_checkpoint_is_not_drained(aws: AwsEndpoint, made: Provisioned) -> None:
    with pytest.raises(StuckError, match="checkpoint short of its end"):
        look(aws, made)


def test_sequence_numbers_are_numbers(aws: AwsEndpoint, made: Provisioned, commit: Commit) -> None:
    commit("99", HoursState())  # as text, it would be past 100
    with pytest.raises(StuckError, match="checkpoint short of its end"):
        look(aws, made)


def test_open_hour_is_waited_for(aws: AwsEndpoint, made: Provisioned, commit: Commit) -> None:
    commit("100", HoursState(open={HOUR: OpenHour(HOUR, [("staging/a", 0)], "1-0", "100-0")}))
    with pytest.raises(StuckError, match="open hours"):
        look(aws, made)


def test_closed_hour_counts_once_its_file_is_there(
    aws: AwsEndpoint, made: Provisioned, commit: Commit
) -> None:
    commit("100", HoursState(to_publish=[closed(made)]))
    with pytest.raises(StuckError, match="open hours"):
        look(aws, made)
    aws.client("s3").put_object(Bucket=made.bucket, Key=closed(made).key, Body=b"rows")
    look(aws, made)


def test_waiting_page_is_waited_for_until_it_is_noted_as_sent(
    aws: AwsEndpoint, made: Provisioned, commit: Commit
) -> None:
    commit("100", HoursState(), page(0), page(1))
    ledger = Ledger(aws.client("dynamodb"), made.ledger_table, "the worker")
    ledger.claim(page(0).page_id, 0)
    ledger.mark_sent(page(0).page_id, 0)
    with pytest.raises(StuckError, match="unsent pages"):
        look(aws, made)
    ledger.claim(page(1).page_id, 1)
    with pytest.raises(StuckError, match="unsent pages"):
        look(aws, made)
    ledger.mark_sent(page(1).page_id, 1)
    look(aws, made)


def test_staged_parts_of_a_killed_worker_are_no_reason_to_wait(
    aws: AwsEndpoint, made: Provisioned, commit: Commit
) -> None:
    aws.client("s3").put_object(Bucket=made.bucket, Key="staging/orphan", Body=b"rows")
    commit("100", HoursState())
    look(aws, made)


def test_trouble_ends_the_wait(aws: AwsEndpoint, made: Provisioned) -> None:
    def check() -> None:
        raise RuntimeError("the worker died")

    with pytest.raises(RuntimeError, match="the worker died"):
        wait_until_drained(aws, made, {made.shards[0]: "1"}, check=check)


def test_progress_elsewhere_keeps_the_wait_up(aws: AwsEndpoint, made: Provisioned) -> None:
    looks = iter(range(4))

    def progress() -> int:
        return next(looks, 4)

    with pytest.raises(StuckError):
        wait_until_drained(
            aws,
            made,
            {made.shards[0]: "1"},
            check=lambda: None,
            progress=progress,
            stuck_seconds_max=0.1,
        )
    assert next(looks, None) is None


def test_empty_stream_is_drained(aws: AwsEndpoint, made: Provisioned) -> None:
    wait_until_drained(aws, made, {}, check=lambda: None)
