"""A real worker whose snapshots are spoilt refuses them, and goes on after a rebuild."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

from local.drained import wait_until_drained
from local.feed import keyed
from local.outcome import read_outcome
from local.part import Part
from local.producer import put_all
from local.samples import sample_stream
from local.stack import Stack
from local.stream_reading import contents
from local.uninterrupted import uninterrupted
from local.verdict import faults
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker
from tests.integration.test_reshard import wait

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SHARDS = 2
SETTINGS = {
    "TILLWATCH_BATCH_RECORDS_MAX": "300",
    "TILLWATCH_BATCH_SECONDS_MAX": "0.5",
}
DEADLINE_SECONDS = 240


def rebuild(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sysconfig.get_path("scripts"), "tillwatch")), "rebuild", *arguments],
        env=stack.environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECONDS,
        check=False,
    )


def checkpoints(stack: Stack) -> dict[str, str]:
    table = stack.provisioned.application
    items = stack.aws.client("dynamodb").scan(TableName=table)["Items"]
    return {item["leaseKey"]["S"]: item["checkpoint"]["S"] for item in items}


def spoil(stack: Stack, *, every: bool) -> None:
    """Tear the snapshots of the checkpoints, or take every object away, those of the past too."""
    s3, made = stack.aws.client("s3"), stack.provisioned
    folder = f"snapshots/{made.application}/"
    listed = s3.list_objects_v2(Bucket=made.bucket, Prefix=folder)["Contents"]
    past = s3.list_objects_v2(Bucket=made.bucket, Prefix=f"history/{made.application}/")["Contents"]
    at = checkpoints(stack)
    for key in (entry["Key"] for entry in [*listed, *(past if every else ())]):
        shard, _, name = key.removeprefix(folder).partition("/")
        if every:
            s3.delete_object(Bucket=made.bucket, Key=key)
        elif name.partition("-")[0] == at[shard]:
            body = s3.get_object(Bucket=made.bucket, Key=key)["Body"].read()
            s3.put_object(Bucket=made.bucket, Key=key, Body=body[: len(body) // 2])


@pytest.mark.parametrize(
    "every",
    [pytest.param(False, marks=pytest.mark.thorough, id="torn"), pytest.param(True, id="gone")],
)
def test_a_worker_goes_on_from_a_rebuilt_state_as_if_nothing_had_happened(
    stack: Stack, *, every: bool
) -> None:
    made = stack.renew(shards=SHARDS)
    kinesis = stack.aws.client("kinesis")
    records = list(keyed(sample_stream(5, shops=3, days=20, campaigns_per_shop_week=6.0)))
    half = len(records) * 9 // 10
    put_all(kinesis, made.stream, iter(records[:half]))
    tips = contents(kinesis, made.stream, made.shards).tips
    assert len(tips) == SHARDS

    def started(**more: str) -> Part:
        return start_worker(stack, SETTINGS | more)

    worker = started()
    try:
        wait(lambda: checkpoints(stack) == tips, worker)
        busy = rebuild(stack, "--all", "--since", "TRIM_HORIZON", "--yes")
        assert busy.returncode == 1
        assert busy.stderr.count("which is at work: stop the worker") == SHARDS
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)
    fine = rebuild(stack, "--all")
    assert (fine.returncode, fine.stdout.count("nothing to do")) == (0, SHARDS)

    spoil(stack, every=every)
    halted = started()
    before = len(halted.log.read_bytes())
    try:
        wait(lambda: halted.log.read_bytes()[before:].count(b"halted: the shard") == SHARDS, halted)
        said = halted.log.read_text(errors="replace")
        assert "cannot be used: " + ("it is not there" if every else "its checksum") in said
        assert "tillwatch rebuild" in said
        if every:  # beside a worker whose shards stand still
            rebuilt(stack, "--force", start="nothing")
    finally:
        halted.stop(WORKER_STOP_SECONDS_MAX)
    if not every:
        rebuilt(stack, start="the snapshot of ")

    put_all(kinesis, made.stream, iter(records[half:]))
    worker = started(TILLWATCH_HOURS_CLOSE_IDLE_SECONDS="5")
    try:
        drained(stack, worker)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)
    expected = uninterrupted(stack.environment(), records)
    outcome = read_outcome(stack)
    assert expected.sendings, "somebody is paged"
    assert faults(expected, outcome) == []
    assert outcome.staged == []


def rebuilt(stack: Stack, *more: str, start: str) -> None:
    dry = rebuild(stack, "--all", "--dry-run")
    assert dry.stdout.count("nothing was changed") == SHARDS, dry.stderr
    done = rebuild(stack, "--all", "--yes", *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("is made: ") == SHARDS
    assert done.stdout.count(f"began from {start}") == SHARDS
    assert "not brought back" not in done.stdout


def drained(stack: Stack, worker: Part) -> None:
    def alive() -> None:
        assert worker.exit_code is None, worker.log_tail()

    found = contents(
        stack.aws.client("kinesis"), stack.provisioned.stream, stack.provisioned.shards
    )
    wait_until_drained(stack.aws, stack.provisioned, found.tips, check=alive)
