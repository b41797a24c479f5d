"""A shard's parts from the settings: restored to exactly the checkpoint, on the right services."""

import gc
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from consumer.candidate import detector_config
from consumer.child import Assembly, build_pipeline
from consumer.duplicates import Duplicates
from consumer.garbage import BATCHES_BETWEEN_MAX, Garbage
from consumer.golden import GoldenScores
from consumer.lease import WORKER_VARIABLE
from consumer.logs import JsonFormatter
from consumer.scorer import Scorer
from consumer.services import CONNECT_SECONDS_MAX, READ_SECONDS_MAX, Services, aws_client
from consumer.settings import Settings
from consumer.snapshot import SnapshotError, State
from consumer.snapshots import Snapshots
from consumer.telemetry import Commit
from events.batch import Batch
from events.position import Position
from sinks.directory import DirectoryObjectStore
from sinks.s3 import S3ObjectStore
from tests.consumer.conftest import WORKER, Holding
from tests.consumer.world import SHARD, START, as_records, day_of_trade, wire

CLOSED = "http://127.0.0.1:9"
DATA = day_of_trade(240)
CUT = 150
AT = Position(SHARD, str(CUT))


@pytest.fixture(autouse=True)
def the_collector_as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "made-up")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "made-up")
    monkeypatch.setenv(WORKER_VARIABLE, WORKER)
    yield
    gc.unfreeze()
    gc.enable()


def settings(folder: Path | None, holding: Holding | None = None, **more: object) -> Settings:
    given = holding.environment if holding else {}
    complete: dict[str, object] = {
        "stream": "tills",
        "aws_endpoint": CLOSED,
        "opensearch_url": CLOSED,
        "opensearch_user": "reader",
        "opensearch_password": "correct horse battery staple",
        "bucket": "lake",
        "snapshot_directory": folder,
        "topic_arn": "arn:aws:sns:eu-west-1:1:pages",
        "dead_letter_queue_url": f"{CLOSED}/letters",
        "pseudonym_key": "correct horse battery staple",
        "batch_records_max": 10_000,
    }
    complete |= {
        name.removeprefix("TILLWATCH_").lower(): value
        for name, value in given.items()
        if name != WORKER_VARIABLE
    }
    return Settings.model_validate(complete | more)


def batch_of(settings: Settings, data: list[bytes], *, arrived_at: int | None = None) -> Batch:
    """Everything in one batch, by a pipeline that was never interrupted."""
    pipeline = build_pipeline(
        settings,
        Scorer(detector_config(settings)),
        Duplicates(settings.duplicates_remembered_min),
    )
    records = as_records(data)
    if arrived_at is not None:
        records = [msgspec.structs.replace(record, arrived_at=arrived_at) for record in records]
    pipeline.take(iter(records))
    return pipeline.cut().batch


def snapshot_at_the_cut(settings: Settings) -> None:
    """What a worker that died behind the first records left."""
    pipeline = build_pipeline(
        settings,
        Scorer(detector_config(settings)),
        Duplicates(settings.duplicates_remembered_min),
    )
    pipeline.take(iter(as_records(DATA[:CUT])))
    cut = pipeline.cut()
    services = Services(settings, threading.Event())
    snapshots = Snapshots(
        services.snapshot_store,
        services.fence,
        settings.application,
        SHARD,
        settings.key_groups,
        GoldenScores(settings.key_groups),
    )
    snapshots.take(services.lease)
    state = State(
        shops=dict(cut.detector.shops),
        groups=dict(cut.detector.groups),
        duplicates={group: [ids] for group, ids in cut.duplicates.items()},
    )
    snapshots.write(AT.slug, state, cut.slices, "model")


def assembly(settings: Settings) -> tuple[Assembly, JsonFormatter]:
    logs = JsonFormatter()
    return Assembly(settings, threading.Event(), logs), logs


def test_restored_it_goes_on_as_if_it_had_never_stopped(tmp_path: Path, holding: Holding) -> None:
    chosen = settings(tmp_path, holding)
    snapshot_at_the_cut(chosen)
    made, _ = assembly(chosen)
    parts = made.build(SHARD, AT)
    parts.pipeline.take(iter(as_records(DATA[CUT:], first=CUT + 1)))
    found = parts.pipeline.cut().batch
    whole = batch_of(chosen, DATA)
    assert found.scored
    assert found.scored == tuple(s for s in whole.scored if s.position.order > AT.order)
    assert found.rejections == tuple(r for r in whole.rejections if r.position.order > AT.order)
    assert found.pages == whole.pages[len(batch_of(chosen, DATA[:CUT]).pages) :]
    assert not parts.has_open_hours()
    made.end()


def test_without_a_checkpoint_it_begins_with_nothing(tmp_path: Path, holding: Holding) -> None:
    chosen = settings(tmp_path, holding)
    made, _ = assembly(chosen)
    parts = made.build(holding.made.shards[0], None)
    parts.pipeline.take(iter(as_records(DATA)))
    assert parts.pipeline.cut().batch == batch_of(chosen, DATA)
    made.end()


def test_a_checkpoint_without_its_snapshot_is_refused(tmp_path: Path, holding: Holding) -> None:
    chosen = settings(tmp_path, holding)
    snapshot_at_the_cut(chosen)
    with pytest.raises(SnapshotError, match=f"{SHARD} at {CUT + 1}-0"):
        assembly(chosen)[0].build(SHARD, Position(SHARD, str(CUT + 1)))


def test_another_number_of_key_groups_is_refused(tmp_path: Path, holding: Holding) -> None:
    snapshot_at_the_cut(settings(tmp_path, holding))
    with pytest.raises(SnapshotError, match="TILLWATCH_KEY_GROUPS is 5"):
        assembly(settings(tmp_path, holding, key_groups=5))[0].build(SHARD, AT)


def test_settings_reach_the_pipeline(tmp_path: Path) -> None:
    chosen = settings(tmp_path, required_fields=("cashier_id",), future_seconds_max=0)
    data = [wire(0, at=START + 1_000, cashier_id="c-1"), wire(1)]
    (early, bare) = batch_of(chosen, data, arrived_at=START).rejections
    assert (early.reason, bare.reason) == ("occurred_in_future", "missing_field")
    assert bare.field == "cashier_id"


def test_every_line_behind_a_commit_says_shard_and_position(
    tmp_path: Path, holding: Holding, caplog: pytest.LogCaptureFixture
) -> None:
    made, logs = assembly(settings(tmp_path, holding))
    with caplog.at_level(logging.INFO, "tillwatch.child"):
        made.build(holding.made.shards[0], None)
        made.committed(
            Commit(
                position="9-0",
                records=7,
                transactions=5,
                rejections={"parse/not_json": 2},
                snapshot_bytes=1_234,
                hours_published=1,
            )
        )
    made.end()
    taken, committed = (json.loads(logs.format(record)) for record in caplog.records)
    assert (taken["message"], taken["shops"], taken["open_hours"]) == ("shard taken", 0, 0)
    assert committed["message"] == "committed"
    assert (committed["shard_id"], committed["position"]) == (holding.made.shards[0], "9-0")
    assert (committed["records"], committed["transactions"]) == (7, 5)
    assert committed["rejections"] == {"parse/not_json": 2}
    assert (committed["snapshot_bytes"], committed["hours_published"]) == (1_234, 1)


def test_snapshots_lie_in_the_bucket_unless_a_directory_is_named(tmp_path: Path) -> None:
    stop = threading.Event()
    assert isinstance(Services(settings(tmp_path), stop).snapshot_store, DirectoryObjectStore)
    in_bucket = Services(settings(None, opensearch_password=None), stop)
    assert isinstance(in_bucket.snapshot_store, S3ObjectStore)
    assert [sink.name for sink in in_bucket.sinks] == ["opensearch", "parquet"]


def test_every_call_to_aws_has_its_deadlines(tmp_path: Path) -> None:
    config = aws_client(settings(tmp_path), "s3").meta.config
    assert (config.connect_timeout, config.read_timeout) == (CONNECT_SECONDS_MAX, READ_SECONDS_MAX)
    assert config.region_name == "eu-west-1"
    assert aws_client(settings(tmp_path), "s3").meta.endpoint_url == CLOSED


def test_garbage_is_collected_every_so_many_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    garbage = Garbage()
    garbage.start()
    assert not gc.isenabled()
    collections: list[int] = []
    monkeypatch.setattr(gc, "collect", lambda: collections.append(1))
    for _ in range(2 * BATCHES_BETWEEN_MAX):
        garbage.after_batch()
    assert len(collections) == 2
