"""A stretch taken again out of the archive gives the scores that the worker gave, bit by bit."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec
import pytest

from anomaly.detector import DetectorConfig
from consumer.archive_records import ArchivedRecords
from consumer.duplicates import Duplicates
from consumer.lineage import Ancestry, HashRange
from consumer.pipeline import Pipeline, batches
from consumer.rebuild_start import Starts
from consumer.replay_reading import Reading
from consumer.replay_services import ReadOnlyStore, WriteRefused
from consumer.replaying import Replayed, Replaying, Single, Stretch
from consumer.scorer import Scorer
from consumer.shard_records import Since
from consumer.snapshot import State
from events.batch import Batch, Scored
from events.instant import DAY, HOUR, MINUTE, Instant
from events.page import Page
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from sinks.archive import ArchiveSink
from sinks.archive_object import ArchiveError, name_of
from sinks.archive_seal import KEY_BYTES, Keys
from sinks.sink import Sink, Written
from tests.consumer.world import (
    KEY_GROUPS,
    SHARD,
    START,
    World,
    as_records,
    day_of_trade,
)

DATA = day_of_trade(420)
STREAM = "tills"
KEYS = Keys(b"k" * KEY_BYTES)
END = START + 420 * MINUTE
NOW = START + DAY


def arriving(first: int = 0, last: int = len(DATA)) -> list[Record]:
    """Records as a stream gives them: one a minute arrives, whenever it says that it occurred."""
    return [
        msgspec.structs.replace(record, arrived_at=START + number * MINUTE)
        for number, record in enumerate(as_records(DATA))
    ][first:last]


def run_through(world: World) -> None:
    """Deliver everything, and commit it batch by batch."""
    parts = world.worker()
    for cut in batches(parts.pipeline, iter(arriving())):
        parts.committer.commit(cut, world.accept)


class Stream:
    """A stream that keeps what lies behind its `horizon`."""

    def __init__(self, horizon: int = 0) -> None:
        self._horizon = horizon

    def read(
        self, shard_id: str, own: HashRange, since: Since, until: Position
    ) -> Iterator[Record]:
        assert (shard_id, own) == (SHARD, HashRange())
        for record in arriving(self._horizon):
            late = since.time is not None and (record.arrived_at or 0) < since.time
            if late or int(record.position.sequence_number) < int(since.sequence_number or 0):
                continue
            if record.position.order > until.order:
                return
            yield record

    def forgets_before(self, now: Instant) -> Instant | None:
        assert now == NOW
        return START + self._horizon * MINUTE if self._horizon else None


RECORDS = arriving()


class Given:
    """A sink that keeps what the worker gave."""

    name = "given"

    def __init__(self) -> None:
        self.scored: dict[Position, Scored] = {}
        self.pages: list[Page] = []

    def write(self, batch: Batch) -> Written:
        self.scored.update((item.position, item) for item in batch.scored)
        self.pages += batch.pages
        return Written()

    def close(self) -> None:
        pass


@dataclass
class Shop:
    """A world with an archive, and what the worker gave in it."""

    given: Given = field(default_factory=Given)
    stream: Stream | None = None
    warm_up: Instant = DAY
    world: World = field(init=False)

    def __post_init__(self) -> None:
        self.world = World(keeps_records=True, sinks_before=self._sinks)

    def _sinks(self, world: World) -> Sequence[Sink]:
        return [world.index, self.given, ArchiveSink(world.store, STREAM, KEYS)]

    def of(self, shard_id: str) -> Ancestry:
        assert shard_id == SHARD
        return Ancestry(HashRange())

    def replaying(self, *, archive: bool = True) -> Replaying:
        store = ReadOnlyStore(self.world.store)
        reading = Reading(
            SHARD,
            HashRange(),
            ArchivedRecords(store, STREAM, KEYS, kept=30 * DAY) if archive else None,
            self.stream,  # type: ignore[arg-type]  # reads what a stream would give
            NOW,
            self.warm_up,
        )
        starts = Starts(store, self.world.snapshots(), self, KEY_GROUPS)
        return Replaying(SHARD, starts, reading, pipeline)

    def check(self, asked: Stretch | Single, *, archive: bool = True) -> Replayed:
        """Take `asked` again, and hold what comes out against what was given."""
        replaying = self.replaying(archive=archive)
        scored = [item for cut in replaying.cuts(asked) for item in cut.batch.scored]
        expected = [
            item
            for item in self.given.scored.values()
            if not asked.ends(record_of(item)) and asked.begins(record_of(item))
        ]
        assert scored == expected
        return replaying.done


def record_of(item: Scored) -> Record:
    return RECORDS[int(item.position.sequence_number) - 1]


def pipeline(state: State) -> Pipeline:
    duplicates = Duplicates(200)
    duplicates.restore(state.duplicates)
    return Pipeline(
        Parser(Pseudonymizer(b"a key for tests only")).parse_all,
        Scorer(DetectorConfig(key_groups=KEY_GROUPS), state.shops, state.groups),
        duplicates,
        key_groups=KEY_GROUPS,
        batch_records_max=37,
        batch_bytes_max=2**20,
        watermark=state.hours.watermark,
    )


def stretch(begin: int, end: int) -> Stretch:
    """From minute to minute."""
    return Stretch(START + begin * MINUTE, START + end * MINUTE)


@pytest.fixture(scope="module")
def shop() -> Shop:
    made = Shop()
    run_through(made.world)
    assert sum(1 for item in made.given.scored.values() if item.score is not None) > 30
    return made


@pytest.mark.parametrize(
    ("begin", "end"), [(0, 420), (0, 1), (333, 340), (399, 420), (180, 301), (60, 60)]
)
def test_scores_and_reasons_are_those_that_the_worker_gave(
    shop: Shop, begin: int, end: int
) -> None:
    before = dict.fromkeys(shop.world.store.keys(""))
    done = shop.check(stretch(begin, end))
    assert done.exact
    assert done.lacking == []
    assert before == dict.fromkeys(shop.world.store.keys(""))


def test_it_goes_on_from_the_newest_snapshot_ahead_of_the_stretch(shop: Shop) -> None:
    done = shop.check(stretch(400, 420))
    assert done.start.startswith("the snapshot of ")
    assert done.warm_up_records <= shop.world.batch_records_max
    assert done.records == 20
    assert done.sources == ["archive"]
    assert shop.check(stretch(5, 10)).start == "nothing"


def test_pages_are_those_that_the_worker_gave(shop: Shop) -> None:
    replaying = shop.replaying()
    pages = [page for cut in replaying.cuts(stretch(0, 420)) for page in cut.batch.pages]
    assert pages == shop.given.pages
    assert pages


@pytest.mark.parametrize("minute", [0, 49, 50, 51, 200, 351, 419])
def test_a_single_record_is_taken_again(shop: Shop, minute: int) -> None:
    asked = Single(Position(SHARD, str(minute + 1)), START + minute * MINUTE, NOW)
    done = shop.check(asked)
    assert (done.records, done.exact) == (1, True)


def test_a_stretch_without_records_is_nothing(shop: Shop) -> None:
    replaying = shop.replaying()
    assert list(replaying.cuts(stretch(700, 900))) == []
    assert replaying.done.records == 0


def test_batches_that_overlap_after_a_crash_count_once() -> None:
    shop = Shop()
    run_through(shop.world)
    sink = ArchiveSink(shop.world.store, STREAM, KEYS)
    for begin, end in pairwise([7, 31, 100, 166, 333]):
        part = tuple(RECORDS[begin:end])
        first, last = part[0].position, part[-1].position
        after = RECORDS[begin - 1].position
        sink.write(Batch((), (), (), first, last, len(part), raw=part, after=after))
    done = shop.check(stretch(0, 420))
    assert done.records == 420


def test_what_the_archive_lacks_is_told_and_scores_are_not_called_exact() -> None:
    shop = Shop()
    run_through(shop.world)
    key = next(key for key in shop.world.store.keys("archive/") if f"/{SHARD}-151-0-" in key)
    shop.world.store.delete(key)
    replaying = shop.replaying()
    scored = [it for cut in replaying.cuts(stretch(0, 420)) for it in cut.batch.scored]
    assert len(scored) < len(shop.given.scored)
    assert not replaying.done.exact
    (words,) = replaying.done.lacking
    assert "behind 150-0, up to 200-0" in words or "behind 150-0, up to 18" in words


def test_what_the_archive_lacks_comes_off_the_stream() -> None:
    shop = Shop(stream=Stream())
    run_through(shop.world)
    keys = shop.world.store.keys("archive/")
    for key in (keys[2], keys[3], keys[-1]):
        shop.world.store.delete(key)
    done = shop.check(stretch(0, 420))
    assert done.exact
    assert done.sources == ["archive", "stream"]


def test_a_stream_that_has_forgotten_does_not_fill_the_gap() -> None:
    shop = Shop(stream=Stream(horizon=200))
    run_through(shop.world)
    shop.world.store.delete(shop.world.store.keys("archive/")[3])
    replaying = shop.replaying()
    list(replaying.cuts(stretch(0, 420)))
    assert not replaying.done.exact
    assert replaying.done.lacking


def test_the_stream_alone_does_too(shop: Shop) -> None:
    alone = Shop(given=shop.given, stream=Stream())
    alone.world = shop.world
    for begin in (0, 200, 400):
        done = alone.check(stretch(begin, 420), archive=False)
        assert (done.exact, done.sources) == (True, ["stream"])


def test_without_a_snapshot_it_begins_with_the_warm_up_and_says_that_scores_differ() -> None:
    shop = Shop(warm_up=HOUR)
    run_through(shop.world)
    for key in shop.world.store.keys("snapshots/"):
        shop.world.store.delete(key)
    replaying = shop.replaying()
    scored = [it for cut in replaying.cuts(stretch(300, 420)) for it in cut.batch.scored]
    assert len(scored) > 90
    done = replaying.done
    assert (done.start, done.exact) == ("nothing", False)
    assert 60 <= done.warm_up_records < 240
    assert any("from its beginning" in words for words in done.lacking)


def test_an_object_under_a_wrong_name_is_refused(shop: Shop) -> None:
    copy = Shop()
    copy.given = shop.given
    for key in shop.world.store.keys(""):
        copy.world.store.put(key, shop.world.store.get(key))
    keys = copy.world.store.keys("archive/")
    copy.world.store.put(keys[1], copy.world.store.get(keys[0]))
    with pytest.raises(ArchiveError, match="under a wrong name"):
        list(copy.replaying().cuts(stretch(0, 420)))


def test_the_store_of_a_replay_takes_nothing(shop: Shop) -> None:
    store = ReadOnlyStore(shop.world.store)
    with pytest.raises(WriteRefused):
        store.put("key", b"body")
    with pytest.raises(WriteRefused):
        store.delete(shop.world.store.keys("")[0])
    assert store.get(shop.world.store.keys("")[0])


def forget(shop: Shop, last: int) -> None:
    """Take away the archive's objects that begin at or ahead of record `last`."""
    for key in shop.world.store.keys("archive/"):
        name = name_of(key, STREAM)
        assert name is not None
        if int(name.first.sequence_number) <= last:
            shop.world.store.delete(key)


def test_an_archive_that_begins_in_the_stretch_says_that_the_beginning_may_be_missing() -> None:
    shop = Shop()
    run_through(shop.world)
    forget(shop, 100)
    replaying = shop.replaying()
    scored = [it for cut in replaying.cuts(stretch(60, 420)) for it in cut.batch.scored]
    assert scored[0].position.order >= (101, 0)
    assert "ahead of 101-0 may be missing" in replaying.done.incomplete
    whole = shop.replaying()
    assert list(whole.cuts(stretch(200, 300)))
    assert whole.done.incomplete == ""


def test_the_stream_has_what_came_ahead_of_an_archive_that_was_switched_on_later() -> None:
    shop = Shop(stream=Stream())
    run_through(shop.world)
    forget(shop, 100)
    done = shop.check(stretch(60, 420))
    assert (done.exact, done.incomplete, done.records) == (True, "", 360)
