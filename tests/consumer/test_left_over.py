"""A process that stands still behind its accepted checkpoint, and cleans up when another has it."""

from events.position import Position
from tests.consumer.world import SHARD, World, as_records, day_of_trade

DATA = day_of_trade(120)


def test_who_cleans_up_late_leaves_alone_what_its_successor_wrote() -> None:
    world = World(batch_records_max=20)
    slow, records = world.worker(), as_records(DATA)
    slow.pipeline.take(iter(records))
    succeeded = []

    def accepted_and_then_frozen(position: Position | None) -> None:
        world.accept(position)
        world.leases.owner = "worker-2"
        successor = world.worker("worker-2")
        successor.pipeline.take(iter(records[20:]))
        successor.committer.commit(successor.pipeline.cut(0), world.accept)
        succeeded.append(successor)

    slow.committer.commit(slow.pipeline.cut(0), accepted_and_then_frozen)
    assert succeeded
    assert world.checkpoint is not None
    world.leases.owner = "worker-1"
    restored = world.worker()  # SnapshotError, if the successor's snapshot was deleted
    restored.pipeline.take(iter(records[40:60]))
    whole = Position(SHARD, "60")
    cut = restored.pipeline.cut(0, whole=True, at=whole)
    restored.committer.commit(cut, world.accept, shard_end=True)  # PiecesLost, likewise
    assert set(world.row_ids()) == world.documents()
    assert set(world.row_ids().values()) == {1}


def test_what_a_dead_worker_staged_is_deleted_by_the_next_one_and_not_what_that_one_needs() -> None:
    world = World(batch_records_max=20)
    world.leases.owner = "dead"
    dead, records = world.worker("dead"), as_records(DATA)
    dead.pipeline.take(iter(records))
    dead.committer._write_everywhere(dead.committer.prepare(dead.pipeline.cut(0)))
    (left,) = world.store.keys(f"staging/{SHARD}/")
    world.leases.owner = "alive"
    alive = world.worker("alive")
    alive.pipeline.take(iter(records))
    alive.committer.commit(alive.pipeline.cut(0), world.accept)
    (kept,) = world.store.keys(f"staging/{SHARD}/")
    assert kept != left
