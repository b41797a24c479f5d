"""A shard whose snapshot is refused: its state made anew, and the worker goes on as if nothing."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache

import msgspec
import pytest

from anomaly.detector import DetectorConfig
from anomaly.state import StateError
from consumer.duplicates import Duplicates
from consumer.golden import GoldenScores
from consumer.lease_table import LeaseRow
from consumer.lineage import Ancestry, HashRange
from consumer.pipeline import Pipeline
from consumer.rebuild_records import StreamOrArchive
from consumer.rebuild_rows import RebuildError
from consumer.rebuilding import Made, Places, Rebuild
from consumer.rotation import SLICES_MAX, Slices
from consumer.scorer import Scorer
from consumer.shard_records import Since
from consumer.snapshot import SHARD_END, SnapshotError, State
from events.instant import HOUR, MINUTE, Instant, to_iso
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from sinks.fence import FencedOff, Held
from sinks.memory import MemoryFence
from sinks.parquet import ClosedHour, ParquetSink
from tests.consumer.world import (
    KEY_GROUPS,
    SHARD,
    START,
    Crash,
    World,
    as_records,
    day_of_trade,
    run_through,
    wire,
)

DATA = day_of_trade(420)
CUT = 330
"""Records that are committed when the snapshot is spoilt."""


@dataclass
class Stream:
    """A stream that keeps what lies behind its `horizon`."""

    data: Sequence[bytes]
    horizon: int = 0
    reads: int = 0

    def read(
        self,
        shard_id: str,
        own: HashRange,  # noqa: ARG002 -- the reader's signature
        since: Since,
        until: Position | None,
        behind: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Record]:
        assert shard_id == SHARD
        behind(0)
        for record in as_records(self.data):
            sequence = int(record.position.sequence_number)
            if sequence <= self.horizon or sequence < int(since.sequence_number or 0):
                continue
            if since.time is not None and (record.arrived_at or 0) < since.time:
                continue
            if until is not None and record.position.order > until.order:
                return
            self.reads += 1
            yield record

    def forgets_before(self, now: Instant) -> Instant | None:
        return now - HOUR if self.horizon else None


@cache
def first_positions(data: tuple[bytes, ...]) -> dict[str, Position]:
    """Where each transaction came first."""
    found: dict[str, Position] = {}
    for record in as_records(data):
        with suppress(ValueError):
            found.setdefault(json.loads(record.data)["transaction_id"], record.position)
    return found


@dataclass
class Place:
    """A world, its stream, and what a rebuild needs besides."""

    world: World = field(default_factory=World)
    stream: Stream = field(default_factory=lambda: Stream(DATA))
    came_back: set[str] = field(default_factory=set)
    """Transactions whose document was made of a letter that was redriven."""
    parents: dict[str, HashRange | None] = field(default_factory=dict)
    records: StreamOrArchive | None = None

    def row(self, shard_id: str) -> LeaseRow | None:
        at = self.world.checkpoint
        checkpoint = SHARD_END if self.world.ended else at.slug if at else None
        return LeaseRow(shard_id, checkpoint=checkpoint) if shard_id == SHARD else None

    def of(self, shard_id: str) -> Ancestry:  # noqa: ARG002 -- there is one shard
        return Ancestry(HashRange(), self.parents)

    def position_of(
        self,
        transaction_id: str,
        occurred_at: Instant,  # noqa: ARG002 -- there is one index
    ) -> Position | None:
        if transaction_id in self.came_back:
            return Position(SHARD, "999")
        known = transaction_id in self.world.index.transactions
        return first_positions(tuple(self.stream.data))[transaction_id] if known else None

    def rebuild(self) -> Rebuild:
        world = self.world
        places = Places(
            row=self.row,
            lease=world.leases.of("worker-1"),
            fence=world.fence,
            lineage=self,
            records=self.records or self.stream,  # type: ignore[arg-type]  # it reads likewise
            snapshot_store=world.store,
            lake=world.store,
            staging="staging/",
            standing=self,
        )
        return Rebuild(
            places,
            world.snapshots,
            pipeline_of(world),
            DetectorConfig(key_groups=KEY_GROUPS).model_version(),
            KEY_GROUPS,
            clock=lambda: START,
        )

    def run(self, **more: object) -> Made:
        return self.rebuild().run(SHARD, **more)  # type: ignore[arg-type]

    def named(self) -> str:
        """The key of the checkpoint's snapshot."""
        row = self.row(SHARD)
        assert row is not None
        assert row.checkpoint is not None
        return self.world.fence.look(SHARD).snapshots[row.checkpoint]

    def everything(self) -> dict[str, bytes]:
        return {key: self.world.store.get(key) for key in self.world.store.keys("")}


def pipeline_of(world: World) -> Callable[[State], Pipeline]:
    def made(state: State) -> Pipeline:
        duplicates = Duplicates(200)
        duplicates.restore(state.duplicates)
        return Pipeline(
            Parser(Pseudonymizer(b"a key for tests only")).parse_all,
            Scorer(DetectorConfig(key_groups=KEY_GROUPS), state.shops, state.groups),
            duplicates,
            key_groups=KEY_GROUPS,
            batch_records_max=70,
            batch_bytes_max=2**20,
            lateness=world.lateness,
            watermark=state.hours.watermark,
        )

    return made


def committed(place: Place, records: int = CUT) -> None:
    """A worker commits so many records, and is gone."""
    parts = place.world.worker()
    parts.committer.publish()
    behind = place.world.checkpoint
    stream = iter(
        as_records(place.stream.data)[int(behind.sequence_number) if behind else 0 : records]
    )
    while True:
        parts.pipeline.take(stream)
        if parts.pipeline.empty:
            return
        parts.committer.commit(parts.pipeline.cut(0), place.world.accept)


def spoil(place: Place, key: str) -> None:
    data = place.world.store.get(key)
    place.world.store.put(key, data[: len(data) // 2] + bytes(len(data) - len(data) // 2))


def uninterrupted() -> World:
    world = World()
    run_through(world, DATA)
    return world


@pytest.fixture(scope="module")
def whole() -> World:
    return uninterrupted()


def agrees(place: Place, whole: World) -> None:
    """The worker goes on to the end, and everything is as if it had never been interrupted."""
    run_through(place.world, place.stream.data)
    assert place.world.outcome() == whole.outcome()
    assert max(place.world.row_ids().values()) == 1
    assert set(place.world.row_ids()) == place.world.documents()
    assert place.world.mailbox.sent == whole.mailbox.sent
    assert place.world.store.keys("staging/") == []


def test_the_world_is_worth_it(whole: World) -> None:
    assert whole.mailbox.sent, "somebody is paged"
    place = Place()
    committed(place)
    state = place.world.worker().committer._hours.state
    assert len(state.open) >= 2, "hours are open where it is cut"
    assert place.world.rows(), "others are published"


# -- what is spoilt, and what it is made from -----------------------------------------------------


def test_a_torn_snapshot_is_made_anew_from_the_one_before(whole: World) -> None:
    place = Place()
    committed(place)
    spoil(place, place.named())
    with pytest.raises(SnapshotError):
        place.world.worker()
    why = place.rebuild().refused(SHARD)
    assert why is not None
    assert "checksum" in why
    made = place.run()
    assert "which is good" in made.start
    assert 0 < made.read.records <= 50, "no more than the last batch is read again"
    assert made.read.lacking == ""
    assert made.lost_rows == 0
    assert place.rebuild().refused(SHARD) is None
    agrees(place, whole)


def test_without_any_snapshot_it_is_made_from_the_stream(whole: World) -> None:
    place = Place()
    committed(place)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    made = place.run()
    assert (made.start, made.read.records, made.read.lacking) == ("nothing", CUT, "")
    agrees(place, whole)


def test_asked_for_the_horizon_it_passes_good_snapshots_over(whole: World) -> None:
    place = Place()
    committed(place)
    made = place.run(since=Since())
    assert (made.start, made.read.records) == ("nothing", CUT)
    agrees(place, whole)


def test_what_can_be_read_of_the_checkpoint_stays_as_it_is() -> None:
    data = [
        wire(number, shop=f"shop-{number % 60}", at=START + number * MINUTE)
        for number in range(420)
    ]
    place = Place(World(batch_records_max=20), Stream(data))
    committed(place)
    before = place.world.worker().committer._hours.state
    named = place.named()
    for key in place.world.store.keys("snapshots/"):
        if key != named:
            spoil(place, key)
    why = place.rebuild().refused(SHARD)
    assert why is not None
    assert named not in why
    parts = place.world.store.keys("staging/")
    made = place.run()
    assert (made.start, made.staged_rows) == ("nothing", 0)
    assert place.world.worker().committer._hours.state == before
    assert place.world.store.keys("staging/") == parts
    whole = World()
    run_through(whole, data)
    agrees(place, whole)


def test_pages_that_waited_are_told_and_those_that_went_out_are_not_told_again(
    whole: World,
) -> None:
    waited, sent = Place(), Place()
    waited.world.mailbox.available = False
    for place in (waited, sent):
        committed(place)
        waited.world.mailbox.available = True
        for key in place.world.store.keys("snapshots/"):
            place.world.store.delete(key)
        assert place.run().pages == len(whole.mailbox.sent)
        agrees(place, whole)


def test_scores_that_differ_are_gone_on_from_nowhere(
    whole: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Place()
    committed(place)
    compute = GoldenScores.__call__
    monkeypatch.setattr(
        GoldenScores,
        "__call__",
        lambda self, state: {shop: score / 2 for shop, score in compute(self, state).items()},
    )
    why = place.rebuild().refused(SHARD)
    assert why is not None
    assert "golden scores differ" in why
    made = place.run()
    assert (made.start, made.read.records) == ("nothing", CUT)
    assert place.rebuild().refused(SHARD) is None
    agrees(place, whole)


def test_a_state_that_the_detector_does_not_take_is_made_anew(whole: World) -> None:
    place = Place()
    committed(place)
    calls = []
    work, build = place.rebuild(), pipeline_of(place.world)

    def refusing(state: State) -> Pipeline:
        calls.append(len(state.shops))
        if state.shops:
            raise StateError("of another configuration")
        return build(state)

    work._pipeline = refusing
    assert work.refused(SHARD) == "of another configuration"
    made = work.run(SHARD)
    assert made.start == "nothing"
    assert calls[-1] == 0
    agrees(place, whole)


# -- rows -----------------------------------------------------------------------------------------


def crashed(place: Place, records: int, step: str) -> None:
    """A worker takes more records behind the checkpoint, and ends before its next one."""
    parts = place.world.worker()
    behind = place.world.checkpoint
    assert behind is not None
    begin = int(behind.sequence_number)
    parts.pipeline.take(iter(as_records(DATA)[begin : begin + records]))

    def refuse(position: Position | None) -> None:
        raise Crash(step)

    with pytest.raises(Crash):
        parts.committer.commit(parts.pipeline.cut(0), refuse)


@pytest.mark.parametrize("at", [150, 290, 310])
def test_parts_of_batches_that_never_counted_are_left_out(whole: World, at: int) -> None:
    place = Place()
    committed(place, at)
    crashed(place, 30, "before the checkpoint")
    place.world.batch_records_max = 45
    # A worker that died before it had swept: what the one before it staged still lies there.
    stale = {key: place.world.store.get(key) for key in place.world.store.keys(f"staging/{SHARD}/")}
    committed(place, CUT)
    for key, body in stale.items():
        place.world.store.put(key, body)
    crashed(place, 20, "before the checkpoint")
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    before = set(place.world.store.keys("staging/"))
    place.run()
    anew = set(place.world.store.keys("staging/")) - before
    assert bool(anew) == (at == 290), "the rest of a part of which some is published or staged"
    agrees(place, whole)


def test_staged_parts_that_are_gone_are_made_anew_from_the_stream(whole: World) -> None:
    place = Place()
    committed(place)
    gone = place.world.store.keys(f"staging/{SHARD}/")
    for key in [*gone[::2], *place.world.store.keys("snapshots/")]:
        place.world.store.delete(key)
    made = place.run()
    assert made.lost_rows > 0
    agrees(place, whole)


def test_a_staged_part_that_is_torn_is_made_anew_and_a_published_file_is_not_guessed(
    whole: World,
) -> None:
    place = Place()
    committed(place)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    staged = place.world.store.keys(f"staging/{SHARD}/")
    spoil(place, staged[-1])
    published = place.world.store.keys("processed/")[-1]
    before = place.world.store.get(published)
    spoil(place, published)
    with pytest.raises(RebuildError, match=f"{published} cannot be read"):
        place.run()
    place.world.store.put(published, before)
    assert place.run().lost_rows > 0
    agrees(place, whole)


@pytest.mark.parametrize("snapshot", ["good", "torn"])
@pytest.mark.parametrize("part", ["gone", "torn"])
def test_staged_parts_that_are_lost_under_a_snapshot_are_made_anew(
    whole: World, snapshot: str, part: str
) -> None:
    place = Place()
    committed(place)
    key = place.world.store.keys(f"staging/{SHARD}/")[0]
    if part == "gone":
        place.world.store.delete(key)
    else:
        spoil(place, key)
    if snapshot == "torn":
        spoil(place, place.named())
    why = place.rebuild().refused(SHARD)
    assert why is not None
    assert ("staged parts are gone or broken" in why) == (snapshot == "good")
    made = place.run()
    assert made.lost_rows > 0
    assert "which is good" in made.start
    assert place.rebuild().refused(SHARD) is None
    agrees(place, whole)


def test_what_a_sink_refused_gets_no_row(whole: World) -> None:
    place = Place()
    committed(place)
    refused = next(iter(place.world.index.transactions))
    # As if OpenSearch had refused it: a letter, and neither document nor row.
    del place.world.index.transactions[refused]
    for key in place.world.store.keys(""):
        if not key.startswith("processed/"):
            place.world.store.delete(key)
    rows = place.world.row_ids()
    made = place.run()
    assert made.lost_rows == len(place.world.documents()) - len(set(rows) - {refused})
    run_through(place.world, DATA)
    assert set(place.world.row_ids()) | {refused} == set(whole.row_ids())
    assert max(place.world.row_ids().values()) == 1


def test_what_a_sink_refused_and_came_back_as_another_record_gets_no_second_row() -> None:
    place = Place()
    committed(place)
    refused = next(iter(place.world.index.transactions))
    place.came_back.add(refused)
    for key in place.everything():
        place.world.store.delete(key)
    made = place.run()
    assert made.lost_rows == len(place.world.documents()) - 1
    run_through(place.world, DATA)
    assert refused not in place.world.row_ids()


@pytest.mark.parametrize("call", range(4))
def test_a_rebuild_that_dies_is_done_again(
    whole: World, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    place = Place()
    committed(place, 290)
    crashed(place, 30, "before the checkpoint")
    stale = {key: place.world.store.get(key) for key in place.world.store.keys(f"staging/{SHARD}/")}
    place.world.batch_records_max = 45
    committed(place, CUT)
    for key, body in stale.items():
        place.world.store.put(key, body)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    calls = {"left": call}

    def dying(of: Callable[..., None]) -> Callable[..., None]:
        def run(*arguments: object) -> None:
            calls["left"] -= 1
            if calls["left"] == -1 and call % 2:
                raise Crash
            of(*arguments)
            if calls["left"] == -1:
                raise Crash

        return run

    with monkeypatch.context() as patched:
        patched.setattr(place.world.store, "put", dying(place.world.store.put))
        patched.setattr(place.world.fence, "note", dying(place.world.fence.note))
        try:
            place.run()
        except Crash:
            refused = place.rebuild().refused(SHARD)
            assert (refused is None) == (call == 2), "what counts is changed by the last call"
    if call != 2:
        place.run()
    agrees(place, whole)


def test_another_bucket_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.rebuild_replay.LOST_ROWS_MAX", 10)
    place = Place()
    committed(place)
    for key in place.everything():
        place.world.store.delete(key)
    with pytest.raises(RebuildError, match="more than 10 transactions"):
        place.run()
    assert place.everything() == {}


# -- what the stream has forgotten ----------------------------------------------------------------


@pytest.mark.parametrize(
    "since", [None, Since(time=START + 150 * MINUTE)], ids=["trimmed", "since"]
)
def test_what_the_stream_has_forgotten_is_said_and_nothing_is_lost_or_doubled(
    since: Since | None,
) -> None:
    place = Place()
    committed(place)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    if since is None:
        place.stream.horizon = 150
    sent = list(place.world.mailbox.sent)
    made = place.run(since=since)
    assert made.read.first_at is not None
    assert to_iso(made.read.first_at) in made.read.lacking
    assert "baselines begin" in made.read.lacking
    assert "Pages that waited" in made.read.lacking
    assert made.pages == 0
    run_through(place.world, DATA)
    assert set(place.world.row_ids()) == place.world.documents()
    assert max(place.world.row_ids().values()) == 1
    assert place.world.mailbox.sent[: len(sent)] == sent


@pytest.mark.parametrize("horizon", [310, CUT], ids=["some", "all"])
def test_a_gap_behind_a_good_snapshot_is_said(horizon: int) -> None:
    place = Place()
    committed(place)
    spoil(place, place.named())
    place.stream.horizon = horizon
    made = place.run()
    assert "which is good" in made.start
    assert "is forgotten by the stream" in made.read.lacking
    run_through(place.world, DATA)
    assert set(place.world.row_ids()) == place.world.documents()


# -- the end of a shard, and its parents ----------------------------------------------------------


def test_the_end_of_a_shard_is_made_anew_for_its_children(whole: World) -> None:
    place = Place()
    run_through(place.world, DATA)
    final = place.world.snapshots("shardId-1").final(SHARD)
    assert final is not None
    spoil(place, place.named())
    made = place.run()
    assert made.checkpoint == SHARD_END
    again = place.world.snapshots("shardId-1").final(SHARD)
    assert again is not None
    assert (again.shops, again.groups) == (final.shops, final.groups)
    assert again.hours.open == {}
    assert again.hours.to_publish == [], "everything is published"
    assert place.world.outcome() == whole.outcome()


def test_hours_that_were_open_at_the_end_are_for_the_children_to_publish(whole: World) -> None:
    place = Place()
    committed(place, len(DATA))
    place.world.ended = True
    at = place.world.checkpoint
    assert at is not None
    place.world.fence.note(
        SHARD,
        Held(
            place.world.fence.look(SHARD).epoch,
            {SHARD_END: place.world.fence.look(SHARD).snapshots[at.slug]},
        ),
    )
    place.run()
    final = place.world.snapshots("shardId-1").final(SHARD)
    assert final is not None
    assert final.hours.open == {}
    ParquetSink(place.world.store).publish_many(final.hours.to_publish)
    assert place.world.outcome() == whole.outcome()


def test_a_child_begins_again_with_what_its_parents_left(whole: World) -> None:
    place = Place()
    parent = World(store=place.world.store, fence=place.world.fence)
    run_through(parent, DATA)
    theirs = place.world.snapshots().final(SHARD)
    assert theirs is not None
    place.world.fence = MemoryFence()
    place.world.fence.advance("shardId-parent")
    snapshots = place.world.snapshots("shardId-parent")
    snapshots.take(place.world.leases.of("worker-1"))
    duty = ClosedHour(0, "shardId-parent", "1-0", "2-0", (("staging/shardId-parent/a", 0),))
    theirs.hours.to_publish = [duty]
    theirs.hours.staged = {"staging/shardId-parent/a": 1}
    snapshots.write(SHARD_END, theirs, Slices(0, SLICES_MAX), "model")
    place.parents = {"shardId-parent": HashRange()}
    place.world.checkpoint = Position(SHARD, "0")
    made = place.run()
    assert made.start == "what shardId-parent left"
    assert made.read.lacking == ""
    state = place.world.snapshots().members(SHARD, place.world.fence.look(SHARD), "0-0")[-1].written
    assert (state.shops, state.groups) == (theirs.shops, theirs.groups)
    assert state.hours.to_publish == [duty]
    assert state.hours.staged == {"staging/shardId-parent/a": 1}

    spoil(place, place.world.fence.look("shardId-parent").snapshots[SHARD_END])
    spoil(place, place.named())
    made = place.run()
    assert "its parents left nothing" in made.start
    assert "what shops did before is not in them" in made.read.lacking


# -- who may --------------------------------------------------------------------------------------


def test_a_dry_run_changes_nothing() -> None:
    place = Place()
    committed(place)
    spoil(place, place.named())
    before, fence = place.everything(), place.world.fence.look(SHARD)
    place.world.leases.owner = "worker-2"
    made = place.run(dry_run=True)
    assert made.read.records > 0
    assert made.snapshot_bytes == 0
    assert place.everything() == before
    assert place.world.fence.look(SHARD) == fence


def test_a_shard_that_is_held_is_refused() -> None:
    place = Place()
    committed(place)
    spoil(place, place.named())
    before, fence = place.everything(), place.world.fence.look(SHARD)
    place.world.leases.owner = "worker-2"
    with pytest.raises(FencedOff, match="worker-2"):
        place.run()
    assert place.everything() == before
    assert place.world.fence.look(SHARD) == fence


def test_a_process_of_before_is_fenced_off(whole: World) -> None:
    place = Place()
    committed(place)
    zombie = place.world.worker()
    zombie.pipeline.take(iter(as_records(DATA)[CUT : CUT + 20]))
    spoil(place, place.named())
    place.run()
    with pytest.raises(FencedOff):
        zombie.committer.commit(zombie.pipeline.cut(0), place.world.accept)
    agrees(place, whole)


def test_who_is_overtaken_by_a_worker_says_so() -> None:
    place = Place()
    committed(place)
    spoil(place, place.named())
    work = place.rebuild()
    where = iter([place.row(SHARD), LeaseRow(SHARD, checkpoint="999-0")])
    work._places = msgspec.structs.replace(work._places, row=lambda _: next(where))
    with pytest.raises(RebuildError, match="moved meanwhile"):
        work.run(SHARD)


def test_a_shard_without_a_checkpoint_has_nothing_to_rebuild() -> None:
    place = Place()
    assert place.rebuild().refused(SHARD) is None
    with pytest.raises(RebuildError, match="has no checkpoint"):
        place.run()
    with pytest.raises(RebuildError, match="does not know shardId-7"):
        place.rebuild().refused("shardId-7")
