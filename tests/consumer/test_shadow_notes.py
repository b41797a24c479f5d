"""What a shadow writes down: the holes in what it saw, and what the candidate fails at."""

import gc
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from consumer.candidate import detector_config
from consumer.lease import WORKER_VARIABLE
from consumer.lineage import Ancestry, HashRange, KinesisLineage
from consumer.rebuild_start import Starts
from consumer.services import aws_client
from consumer.settings import Settings
from consumer.shadow_services import still_has
from consumer.shard_records import ShardRecords
from consumer.snapshot_history import SnapshotHistory
from events.instant import DAY, HOUR, Instant
from events.position import Position
from local.aws import AwsEndpoint
from local.provision import provision_shadow
from sinks.directory import DirectoryObjectStore
from sinks.dynamodb_fence import DynamoFence
from sinks.fence import Held
from sinks.memory import MemoryObjectStore
from sinks.s3 import S3ObjectStore
from sinks.shadow_notes import (
    FAILURES_SHOWN_MAX,
    Failure,
    Noted,
    Notes,
    folder_of,
)
from tests.consumer.conftest import WORKER, Holding
from tests.consumer.shadow_world import BOLD, DATA, FOLDER, NAME, Family, ShadowWorld, may_die
from tests.consumer.test_assembly import AT, CUT, assembly, settings, snapshot_at_the_cut
from tests.consumer.test_poison import Poison
from tests.consumer.world import (
    SHARD,
    START,
    Crash,
    Crashing,
    World,
    as_records,
    deliver,
    run_through,
)

HALF = 200


# -- what it has missed ---------------------------------------------------------------------------


def holes_said(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [record for record in caplog.records if "is not known to have seen" in record.message]


def at_half(live: World) -> Instant:
    """How far event time has come at the live worker's snapshot, which a shadow begins on."""
    ((start, *_),) = [list(Starts(live.store, live.snapshots(), Family(), 2).history(SHARD, None))]
    assert start.state.hours.watermark is not None
    return start.state.hours.watermark


def test_what_lies_between_the_live_state_and_the_first_record_is_a_hole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The stream had forgotten it, or was read from its end."""
    live = World(history_period=HOUR, history_kept=1_000 * HOUR)
    deliver(live, as_records(DATA[:HALF]))
    shadow = ShadowWorld(live=live)
    later = as_records(DATA)[HALF + 30 :]
    for _ in range(2):  # it dies before its first checkpoint, and says it once
        crash = Crashing(1, before=True)
        crash.trap(shadow, "accept")
        with pytest.raises(Crash):
            deliver(shadow, later)
        crash.disarm()
        assert shadow.checkpoint is None
    deliver(shadow, later)
    begun = shadow.noted().begun[0]
    first = later[0].position.slug
    (hole,) = shadow.noted().holes
    assert (hole.shard_id, hole.after, hole.first) == (SHARD, begun.position, first)
    assert hole.begin == begun.at == at_half(live)
    assert hole.end == later[0].arrived_at
    (said,) = holes_said(caplog)
    assert (said.levelname, said.after, said.first) == ("WARNING", begun.position, first)


def test_a_stream_that_goes_on_from_what_is_known_leaves_no_hole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    live = World(history_period=HOUR, history_kept=1_000 * HOUR)
    deliver(live, as_records(DATA[:HALF]))
    for behind in (0, 1, 40):
        shadow = ShadowWorld(live=replace_store(live))
        note = begin_at(shadow)
        deliver(shadow, as_records(DATA)[note - 1 - behind :])
        assert shadow.checkpoint == Position(SHARD, str(len(DATA)))
        assert shadow.noted().holes == ()
    assert holes_said(caplog) == []


def replace_store(live: World) -> World:
    """A live world of the same objects, beside which another shadow can begin."""
    other = World(history_period=HOUR, history_kept=1_000 * HOUR)
    for key in live.store.keys("history/"):
        other.store.put(key, live.store.get(key))
    return other


def begin_at(shadow: ShadowWorld) -> int:
    """The number of the record that its state is equal to."""
    shadow.worker()
    (begun,) = shadow.noted().begun
    assert begun.position is not None
    return int(begun.position.partition("-")[0])


def test_a_stop_longer_than_the_stream_remembers_leaves_a_hole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shadow = ShadowWorld()
    deliver(shadow, as_records(DATA[:100]))
    deliver(shadow, as_records(DATA)[100:150])
    assert shadow.noted().holes == ()
    shadow.goes_on = False
    deliver(shadow, as_records(DATA)[170:])
    (hole,) = shadow.noted().holes
    assert (hole.after, hole.first) == ("150-0", "171-0")
    assert hole.begin is not None
    assert hole.end == as_records(DATA)[170].arrived_at
    assert hole.begin < hole.end
    assert len(holes_said(caplog)) == 1


def test_what_began_with_nothing_and_was_forgotten_before_the_first_checkpoint_is_a_hole() -> None:
    shadow = ShadowWorld()
    crash = Crashing(1, before=True)
    crash.trap(shadow, "accept")
    with pytest.raises(Crash):
        deliver(shadow, as_records(DATA))
    crash.disarm()
    deliver(shadow, as_records(DATA)[5:])
    (hole,) = shadow.noted().holes
    assert (hole.after, hole.first) == ("1-0", "6-0")


class Trimmed:
    """A Kinesis that has forgotten all records of a shard before the sequence number `kept`."""

    def __init__(self, kept: int, refusing: str | None = None) -> None:
        self._kept, self._refusing = kept, refusing

    def get_shard_iterator(self, *, StartingSequenceNumber: str, **_: str) -> Any:  # noqa: N803
        if self._refusing:
            error: Any = {"Error": {"Code": self._refusing}}
            raise ClientError(error, "GetShardIterator")
        return {"ShardIterator": str(max(int(StartingSequenceNumber), self._kept))}

    def get_records(self, *, ShardIterator: str, **_: int) -> Any:  # noqa: N803 -- botocore's
        at = datetime.fromtimestamp(1_767_600_000, UTC)
        some = [
            {
                "SequenceNumber": str(number),
                "PartitionKey": "shop",
                "Data": b"{}",
                "ApproximateArrivalTimestamp": at,
            }
            for number in range(int(ShardIterator), 20)
        ]
        return {"Records": some, "MillisBehindLatest": 0, "NextShardIterator": "20"}


def test_the_stream_is_asked_whether_it_has_the_last_record_yet() -> None:
    def has(client: Trimmed, number: int) -> bool:
        reader = ShardRecords(client, "tills", threading.Event(), pause_seconds=0)
        return still_has(reader, Position(SHARD, str(number)))

    assert has(Trimmed(5), 5)
    assert has(Trimmed(5), 7)
    assert not has(Trimmed(5), 4)
    assert not has(Trimmed(5, "InvalidArgumentException"), 7)
    with pytest.raises(ClientError):
        has(Trimmed(5, "AccessDeniedException"), 7)


# -- what the candidate fails at ------------------------------------------------------------------


def test_what_the_candidate_cannot_score_is_noted_once_each() -> None:
    shadow = ShadowWorld()
    with Poison(scoring=frozenset({7, 60, 61, 130})).spread():
        deadly = may_die(shadow, 9, before=False)
        with pytest.raises(Crash):
            run_through(shadow, DATA)
        deadly.disarm()
        run_through(shadow, DATA)
    noted = shadow.noted()
    assert noted.failed == 4  # and not what is no transaction: live dead letters have it
    assert [one.position for one in noted.failures] == ["8-0", "61-0", "62-0", "131-0"]
    (one, *_) = noted.failures
    assert (one.shard_id, one.reason, one.shop_id) == (SHARD, "scoring_failed", "shop-1")
    assert one.model_version == BOLD.model_version()
    assert one.detail.startswith("ZeroDivisionError: no rate for")


def test_of_many_failures_a_few_are_told_and_all_are_counted() -> None:
    notes = Notes(MemoryObjectStore(), FOLDER)
    for number in range(3 * FAILURES_SHOWN_MAX, 0, -1):
        notes.note_failure(Failure("b" if number % 2 else "a", f"{number}-0", "why", "what"))
    noted = notes.read()
    assert noted.failed == 3 * FAILURES_SHOWN_MAX
    told = [one.position for one in noted.failures]
    assert told == [f"{number}-0" for number in range(1, FAILURES_SHOWN_MAX + 1)]


# -- in a child -----------------------------------------------------------------------------------


@pytest.fixture
def child(
    aws: AwsEndpoint, holding: Holding, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Settings]:
    """Settings of a shadow whose shard is held, and beside which a live worker left its state."""
    for name, value in (aws.environment() | {WORKER_VARIABLE: WORKER}).items():
        monkeypatch.setenv(name, value)
    beside = provision_shadow(aws, holding.made, NAME)
    aws.client("dynamodb").put_item(
        TableName=beside.application,
        Item={"leaseKey": {"S": SHARD}, "leaseOwner": {"S": WORKER}},
    )
    # The stream has no shard of that name, which a child would wait for.
    monkeypatch.setattr(KinesisLineage, "of", lambda *_: Ancestry(HashRange()))
    live = settings(tmp_path, holding, bucket=holding.made.bucket)
    snapshot_at_the_cut(live)
    store = DirectoryObjectStore(tmp_path)
    history = SnapshotHistory(store, live.application, SHARD, period=HOUR, kept=DAY)
    assert history.keep(AT.slug, store.keys("snapshots/"), START)
    yield settings(tmp_path, holding, bucket=holding.made.bucket, shadow=NAME)
    gc.unfreeze()
    gc.enable()


def noted_by(child: Settings, checkpoint: Position | None, first: int) -> Noted:
    """What is noted once a child has written its first batch, which begins with record `first`."""
    made, _ = assembly(child)
    parts = made.build(SHARD, checkpoint)
    parts.pipeline.take(iter(as_records(DATA[first - 1 :], first=first)))
    for write in parts.committer.prepare(parts.pipeline.cut()).taken():
        write()
    made.end()
    client = aws_client(child, "s3")
    store = S3ObjectStore(client, child.bucket, threading.Event())
    return Notes(store, folder_of(child.application, NAME)).read()


@pytest.mark.parametrize(("first", "holes"), [(CUT - 20, []), (CUT, []), (CUT + 1, ["151-0"])])
def test_a_child_notes_what_lies_behind_the_live_state(
    child: Settings, first: int, holes: list[str]
) -> None:
    noted = noted_by(child, None, first)
    assert [one.position for one in noted.begun] == [AT.slug]
    assert [one.first for one in noted.holes] == holes
    assert noted.configs.keys() == {detector_config(child).model_version()}


def test_a_child_notes_what_lies_behind_a_checkpoint_that_the_stream_forgot(
    child: Settings,
) -> None:
    """It does not even know the shard any more, and the live worker has gone on."""
    noted_by(child, None, CUT)
    live = DynamoFence(
        aws_client(child, "dynamodb"), child.ledger_table, child.application, threading.Event()
    )
    held = live.look(SHARD)
    noted = noted_by(child, AT, CUT + 1)
    assert noted.holes == ()  # the live worker stands there too: nothing came
    live.note(SHARD, Held(held.epoch, {"999-0": held.snapshots[AT.slug]}))
    (hole,) = noted_by(child, AT, CUT + 1).holes
    assert (hole.after, hole.first) == (AT.slug, "151-0")
