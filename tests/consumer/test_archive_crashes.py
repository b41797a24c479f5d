"""What is checkpointed is archived, whole and without a gap, wherever the worker died."""

from contextlib import suppress

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumer.archive_records import ArchivedRecords
from consumer.pipeline import batches
from events.instant import DAY
from sinks.archive import ArchiveSink
from sinks.sink import Sink
from tests.consumer.test_replaying import DATA, END, KEYS, RECORDS, STREAM
from tests.consumer.world import SHARD, Crash, Crashing, World, booby_trap


def sinks(world: World) -> list[Sink]:
    return [world.index, ArchiveSink(world.store, STREAM, KEYS)]


def go_on(world: World) -> None:
    """Deliver everything behind the checkpoint."""
    parts = world.worker()
    behind = 0 if world.checkpoint is None else int(world.checkpoint.sequence_number)
    for cut in batches(parts.pipeline, iter(RECORDS[behind:])):
        parts.committer.commit(cut, world.accept)


def archived_up_to_the_checkpoint(world: World) -> None:
    if world.checkpoint is None:
        return
    archive = ArchivedRecords(world.store, STREAM, KEYS, kept=30 * DAY)
    runs = archive.find(SHARD, None, END, END)
    assert runs[0].after is None
    found = list(archive.read(runs[0].names, None))
    committed = int(world.checkpoint.sequence_number)
    assert found[:committed] == RECORDS[:committed]
    assert len({record.position for record in found}) == len(found)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    crashes=st.lists(
        st.tuples(st.integers(1, 60), st.booleans(), st.sampled_from([20, 50, 130])),
        min_size=1,
        max_size=5,
    )
)
def test_killed_at_any_call_what_is_checkpointed_is_archived(
    crashes: list[tuple[int, bool, int]],
) -> None:
    world = World(keeps_records=True, sinks_before=sinks)
    for at, before, batch_records_max in crashes:
        world.batch_records_max = batch_records_max
        crash = Crashing(at, before=before)
        booby_trap(world, crash)
        try:
            with suppress(Crash):
                go_on(world)
        finally:
            crash.disarm()
        archived_up_to_the_checkpoint(world)
    go_on(world)
    assert world.checkpoint == RECORDS[-1].position
    archived_up_to_the_checkpoint(world)
    assert len(RECORDS) == len(DATA)
