"""A shard's state made anew where the stream has forgotten the records: out of the raw archive."""

import pytest

from consumer.archive_records import ArchivedRecords
from consumer.rebuild_records import StreamOrArchive
from consumer.rebuild_rows import RebuildError
from consumer.shard_records import Since
from events.instant import DAY, MINUTE
from sinks.archive import ArchiveSink
from sinks.archive_seal import KEY_BYTES, Keys
from tests.consumer.test_rebuild import (
    CUT,
    DATA,
    Place,
    Stream,
    agrees,
    committed,
    spoil,
    uninterrupted,
)
from tests.consumer.world import START, World

STREAM = "tills"
KEYS = Keys(b"k" * KEY_BYTES)


@pytest.fixture(scope="module")
def whole() -> World:
    return uninterrupted()


def archived(*, horizon: int) -> Place:
    """A place whose stream forgets what lies ahead of `horizon`, once everything is committed."""
    world = World(
        keeps_records=True,
        sinks_before=lambda world: [world.index, ArchiveSink(world.store, STREAM, KEYS)],
    )
    stream = Stream(DATA)
    archive = ArchivedRecords(world.store, STREAM, KEYS, kept=30 * DAY)
    records = StreamOrArchive(stream, archive, lambda: START + DAY)  # type: ignore[arg-type]  # reads alike
    place = Place(world=world, stream=stream, records=records)
    committed(place)
    stream.horizon = horizon
    return place


@pytest.mark.parametrize("horizon", [1, 200, CUT], ids=["a little", "much", "all"])
def test_without_any_snapshot_everything_comes_back_bit_by_bit(whole: World, horizon: int) -> None:
    place = archived(horizon=horizon)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    made = place.run()
    assert (made.start, made.read.records, made.read.lacking) == ("nothing", CUT, "")
    place.stream.horizon = 0
    agrees(place, whole)


def test_it_goes_on_from_a_good_snapshot_that_the_stream_has_forgotten(whole: World) -> None:
    place = archived(horizon=CUT)
    spoil(place, place.named())
    made = place.run()
    assert "which is good" in made.start
    assert 0 < made.read.records <= 50
    assert made.read.lacking == ""
    place.stream.horizon = 0
    agrees(place, whole)


def test_since_a_time_it_begins_there() -> None:
    place = archived(horizon=CUT)
    made = place.run(since=Since(time=START + 100 * MINUTE))
    assert made.read.first_at is not None
    assert made.read.first_at >= START + 100 * MINUTE
    assert made.read.lacking.startswith("baselines begin with the record of ")


def test_an_archive_with_a_gap_that_the_stream_cannot_fill_makes_nothing() -> None:
    place = archived(horizon=CUT)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    keys = place.world.store.keys("archive/")
    place.world.store.delete(keys[2])
    with pytest.raises(RebuildError, match="neither stream nor archive"):
        place.run()


def test_a_gap_that_the_stream_can_fill_is_filled(whole: World) -> None:
    place = archived(horizon=20)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    keys = [key for key in place.world.store.keys("archive/") if "-1-0-" not in key]
    place.world.store.delete(keys[2])
    made = place.run()
    assert (made.read.records, made.read.lacking) == (CUT, "")
    place.stream.horizon = 0
    agrees(place, whole)


def test_what_the_stream_still_has_is_read_from_there() -> None:
    place = archived(horizon=0)
    for key in place.world.store.keys("snapshots/"):
        place.world.store.delete(key)
    for key in place.world.store.keys("archive/"):
        place.world.store.put(key, b"torn")
    assert place.run().read.records == CUT
