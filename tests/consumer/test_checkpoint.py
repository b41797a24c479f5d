"""The commit: a crash at any step, and what a restart makes of it."""

import io
import threading
import weakref
from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.checkpoint import EndFollows
from consumer.snapshot import SnapshotError
from events.batch import Batch
from events.position import Position
from sinks.parquet import ParquetSink
from sinks.prepared import Prepared
from sinks.sink import Written
from tests.consumer.world import (
    SHARD,
    START,
    Crash,
    Crashing,
    PromptOutbox,
    World,
    as_records,
    booby_trap,
    day_of_trade,
    run_through,
    wire,
)

DATA = day_of_trade(360)


@pytest.fixture(scope="module")
def uninterrupted() -> World:
    world = World()
    run_through(world, DATA)
    return world


def test_the_uninterrupted_run_counts_everything_once(uninterrupted: World) -> None:
    ids = {body for body in DATA if body.endswith(b"}")}
    assert len(uninterrupted.documents()) == len(ids)
    assert set(uninterrupted.row_ids()) == uninterrupted.documents()
    assert max(uninterrupted.row_ids().values()) == 1
    assert len(uninterrupted.letters.rejections) == sum(b"broken" in body for body in DATA)
    assert uninterrupted.pages()
    assert uninterrupted.ended
    assert uninterrupted.store.keys("staging/") == []


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    crashes=st.lists(st.tuples(st.integers(1, 45), st.booleans()), min_size=1, max_size=4),
    batch_records_max=st.sampled_from([20, 50, 130]),
)
def test_killed_at_any_call_and_started_again_it_ends_as_if_nothing_had_happened(
    uninterrupted: World, crashes: list[tuple[int, bool]], batch_records_max: int
) -> None:
    world = World(batch_records_max=batch_records_max)
    for at, before in crashes:
        crash = Crashing(at, before=before)
        booby_trap(world, crash)
        try:
            if not world.ended:
                run_through(world, DATA)
        except Crash:
            pass
        finally:
            crash.disarm()
    if not world.ended:
        run_through(world, DATA)
    else:
        # Only the publishing behind the last checkpoint may be left, which a child would finish.
        finish(world)
    assert same(world, uninterrupted)


def finish(world: World) -> None:
    """Do what the final snapshot says is still to publish and to tell, as a child does."""
    state = world.snapshots("shardId-child").final(SHARD)
    assert state is not None
    lake = ParquetSink(world.store)
    lake.publish_many(state.hours.to_publish)
    lake.discard(list(state.hours.staged))
    PromptOutbox(world.mailbox.send, threading.Event(), state.pages).flush()


def same(world: World, other: World) -> bool:
    """Documents, pages, rejections and rows, the rows with their scores bit by bit."""
    ours, theirs = world.outcome(), other.outcome()
    return all(a == b for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("size", [7, 64, 600])
def test_scores_and_pages_do_not_depend_on_the_batches(uninterrupted: World, size: int) -> None:
    world = World(batch_records_max=size)
    run_through(world, DATA)
    assert same(world, uninterrupted)


class _Order:
    """Notes the order in which the steps reach the outside."""

    def __init__(self, world: World) -> None:
        self.seen: list[str] = []
        self.world = world
        put = world.store.put

        def noting(key: str, body: bytes) -> None:
            self.seen.append(key.partition("/")[0])
            put(key, body)

        world.store.put = noting  # type: ignore[method-assign]  # a spy
        write = world.index.write

        def indexing(batch: Batch) -> Written:
            self.seen.append("index")
            return write(batch)

        world.index.write = indexing  # type: ignore[method-assign]  # a spy
        letters = world.letters.write_rejections

        def lettering(rejections: Sequence[Any]) -> None:
            self.seen.append("letters")
            letters(rejections)

        world.letters.write_rejections = lettering  # type: ignore[method-assign]  # a spy

    def checkpoint(self, position: Position | None) -> None:
        self.seen.append("checkpoint")
        self.world.accept(position)


def test_the_five_steps_come_in_their_order() -> None:
    world = World(batch_records_max=1_000)
    order = _Order(world)
    parts = world.worker()
    parts.pipeline.take(iter(as_records(DATA[:100])))
    parts.committer.commit(parts.pipeline.cut(0), order.checkpoint, close_hours=True)
    assert set(order.seen[:2]) == {"index", "staging"}
    assert order.seen[2:5] == ["letters", "snapshots", "checkpoint"]
    assert set(order.seen[5:]) == {"processed"}
    assert order.seen[5:]


@pytest.mark.parametrize(
    ("broken", "must_not_happen"),
    [
        ("index", {"snapshots", "checkpoint", "processed"}),
        ("staging", {"snapshots", "checkpoint", "processed"}),
        ("letters", {"snapshots", "checkpoint", "processed"}),
        ("snapshots", {"checkpoint", "processed"}),
        ("checkpoint", {"processed"}),
    ],
)
def test_a_step_that_fails_stops_those_behind_it(broken: str, must_not_happen: set[str]) -> None:
    world = World(batch_records_max=1_000)
    order = _Order(world)

    class Failing(list[str]):
        def append(self, name: str) -> None:
            super().append(name)
            if name == broken:
                raise Crash

    order.seen = Failing()
    parts = world.worker()
    parts.pipeline.take(iter(as_records(DATA[:100])))
    with pytest.raises(Crash):
        parts.committer.commit(parts.pipeline.cut(0), order.checkpoint, close_hours=True)
    assert not must_not_happen & set(order.seen)
    assert world.checkpoint is None


def test_a_batch_whose_shard_has_ended_publishes_and_deletes_nothing_before_the_end() -> None:
    world = World(batch_records_max=1_000)
    order = _Order(world)
    parts = world.worker()

    def ended(_: Position | None) -> None:
        raise EndFollows

    parts.pipeline.take(iter(as_records(DATA[:100])))
    committed = parts.committer.commit(parts.pipeline.cut(0), ended, close_hours=True)
    assert committed.hours_published == 0
    assert order.seen[-1] == "snapshots"
    assert world.checkpoint is None
    assert world.row_ids() == {}
    end = parts.pipeline.cut(0, whole=True, at=as_records(DATA[:100])[-1].position)
    parts.committer.commit(end, order.checkpoint, shard_end=True)
    assert set(world.row_ids()) == world.documents()
    assert world.documents()


def test_what_a_sink_refuses_for_good_is_a_dead_letter_and_nowhere_else() -> None:
    world = World()
    world.index._refused = frozenset({"t-000003"})
    run_through(world, [wire(number) for number in range(10)])
    (letter,) = world.letters.rejections.values()
    assert letter.stage == "memory"
    assert letter.model_version
    assert "t-000003" not in world.documents()
    assert world.row_ids() == dict.fromkeys(world.documents(), 1)
    assert len(world.documents()) == 9


def test_a_late_record_adds_a_file_and_rewrites_none() -> None:
    world = World(batch_records_max=5)
    hour = 3_600_000_000
    batches = [[0, 1, 2, 3, 4], [3, 4, 5, 6, 6], [0, 6, 6, 6, 6], [9, 9, 9, 9, 9]]
    times = [at * hour for batch in batches for at in batch]
    run_through(world, [wire(n, at=START + at) for n, at in enumerate(times)])
    first_hour = [key for key in world.store.keys("processed/") if "hour=08" in key]
    assert len(first_hour) == 2
    assert sorted(world.row_ids().values()) == [1] * len(times)


def test_without_the_snapshot_of_its_checkpoint_a_shard_is_refused() -> None:
    world = World()
    run_through(world, DATA[:60])
    world.ended = False
    assert world.checkpoint is not None
    world.store.delete(world.fence.look(SHARD).snapshots[world.checkpoint.slug])
    with pytest.raises(SnapshotError, match="not there"):
        world.worker()


def test_final_files_are_the_same_bytes_however_often_they_are_published() -> None:
    world = World()
    run_through(world, DATA[:200])
    before = {key: world.store.get(key) for key in world.store.keys("processed/")}
    again = World()
    run_through(again, DATA[:200])
    assert {key: again.store.get(key) for key in again.store.keys("processed/")} == before
    assert all(io.BytesIO(body).read(4) == b"PAR1" for body in before.values())


class _Body:
    """The bytes of a batch, of which a test can tell whether they are held yet."""


class _Holding:
    """A sink whose bytes can be told of."""

    name = "holding"

    def __init__(self) -> None:
        self.held: weakref.ref[_Body] | None = None

    def write(self, batch: Batch) -> Written:
        return self.prepare(batch).write()

    def prepare(self, batch: Batch) -> Prepared:  # noqa: ARG002 -- Builder's signature
        body = _Body()
        self.held = weakref.ref(body)
        return Prepared(partial(self._send, body))

    def close(self) -> None:
        """Nothing to let go of."""

    def _send(self, body: _Body) -> Written:
        assert self.held is not None
        assert self.held() is body
        return Written()


def test_the_bytes_of_a_batch_are_let_go_of_when_they_are_written() -> None:
    sink = _Holding()
    world = World(sinks_before=lambda _: [sink])
    parts = world.worker()
    parts.pipeline.take(iter(as_records(DATA[:20])))
    cut = parts.pipeline.cut(0)
    ready = parts.committer.prepare(cut)
    assert sink.held is not None
    assert sink.held() is not None

    def accept(position: Position | None) -> None:
        assert sink.held is not None
        assert sink.held() is None, "hours are merged, and the next batch is built, beside them"
        world.accept(position)

    parts.committer.commit(cut, accept, ready=ready)
    assert world.checkpoint == cut.batch.last
