"""Which hours are open: every row ends in one published hour, and no part is deleted too early."""

from collections import Counter
from collections.abc import Sequence

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from consumer.hours import Hours, HoursState
from events.instant import HOUR, MINUTE, Instant
from sinks.parquet import ClosedHour
from sinks.sink import StagedPart

SHARD = "shardId-0"
LATENESS = 15 * MINUTE

PartHours = tuple[Instant, ...]

# The hours that each batch has rows of; none where it holds no transaction.
BATCHES = st.lists(
    st.lists(st.integers(0, 8).map(lambda hour: hour * HOUR), max_size=4, unique=True).map(
        lambda hours: tuple(sorted(hours))
    ),
    max_size=30,
)


def part(number: int, hours: PartHours) -> StagedPart | None:
    """The staged part of batch `number`."""
    if not hours:
        return None
    return StagedPart(
        key=f"staging/{number}",
        first=f"{number}0-0",
        last=f"{number}9-0",
        hours=hours,
        rows=(1,) * len(hours),
    )


class Shard:
    """Takes batches as a committer does, and checks what it is told."""

    def __init__(self, lateness: Instant = LATENESS) -> None:
        self.hours = Hours(SHARD, lateness)
        self.staged: dict[str, PartHours] = {}
        self.published: Counter[tuple[str, int]] = Counter()
        self.keys: Counter[str] = Counter()
        self.discarded: list[str] = []

    def take(self, number: int, hours: PartHours) -> None:
        made = part(number, hours)
        if made is not None:
            self.staged[made.key] = hours
        self.hours.add(made, max(hours) + HOUR - 1 if hours else None)

    def close(self, *, everything: bool = False) -> list[ClosedHour]:
        before = len(self.hours.state.to_publish)
        self.hours.close(everything=everything)
        return self.hours.state.to_publish[before:]

    def publish(self) -> None:
        closed = tuple(self.hours.state.to_publish)
        for hour in closed:
            self.keys[hour.key] += 1
            for key, row_group in hour.pieces:
                assert key not in self.discarded, "a piece was deleted before it was published"
                assert self.staged[key][row_group] == hour.hour
                self.published[key, row_group] += 1
        self.discard(self.hours.published(closed))

    def discard(self, keys: Sequence[str]) -> None:
        for key in keys:
            assert all(self.published[key, n] for n in range(len(self.staged[key])))
        self.discarded += keys

    def all_pieces(self) -> Counter[tuple[str, int]]:
        return Counter((key, n) for key, hours in self.staged.items() for n in range(len(hours)))


def run(batches: Sequence[PartHours], *, publish_every: int = 1, restart_every: int = 0) -> Shard:
    shard = Shard()
    for number, hours in enumerate(batches):
        shard.take(number, hours)
        shard.close()
        if number % publish_every == 0:
            shard.publish()
        if restart_every and number % restart_every == 0:
            saved = msgspec.msgpack.encode(shard.hours.state)
            state = msgspec.msgpack.decode(saved, type=HoursState)
            shard.hours = Hours(SHARD, LATENESS, state)
    shard.close(everything=True)
    shard.publish()
    return shard


@given(BATCHES, st.integers(1, 5), st.integers(0, 3))
def test_every_row_group_lands_in_exactly_one_closed_hour(
    batches: list[PartHours], publish_every: int, restart_every: int
) -> None:
    shard = run(batches, publish_every=publish_every, restart_every=restart_every)
    assert shard.published == shard.all_pieces()
    assert set(shard.keys.values()) <= {1}, "two final files have one name"


@given(BATCHES, st.integers(1, 5))
def test_a_part_is_discarded_once_and_only_when_all_of_its_hours_are_published(
    batches: list[PartHours], publish_every: int
) -> None:
    shard = run(batches, publish_every=publish_every)  # publish() and discard() check it
    assert sorted(shard.discarded) == sorted(shard.staged)
    assert shard.hours.state.staged == {}


@given(BATCHES, st.data())
def test_published_twice_is_harmless(batches: list[PartHours], data: st.DataObject) -> None:
    shard = Shard()
    done: list[ClosedHour] = []
    for number, hours in enumerate(batches):
        shard.take(number, hours)
        closed = shard.close()
        shard.publish()
        done += closed
        again = data.draw(st.lists(st.sampled_from(done), max_size=3)) if done else []
        before = msgspec.msgpack.encode(shard.hours.state)
        assert shard.hours.published([*again, *again]) == []
        assert msgspec.msgpack.encode(shard.hours.state) == before
    shard.close(everything=True)
    shard.publish()
    assert sorted(shard.discarded) == sorted(shard.staged)


@given(BATCHES, st.data())
def test_some_of_what_is_listed_may_be_published_before_the_rest(
    batches: list[PartHours], data: st.DataObject
) -> None:
    shard = Shard()
    for number, hours in enumerate(batches):
        shard.take(number, hours)
    shard.close(everything=True)
    listed = shard.hours.state.to_publish[:]
    spent: list[str] = []
    for hour in data.draw(st.permutations(listed)):
        spent += shard.hours.published([hour])
        left = {key for later in shard.hours.state.to_publish for key, _ in later.pieces}
        assert not left & set(spent)
    assert sorted(spent) == sorted(shard.staged)
    assert shard.hours.state.to_publish == []


@given(BATCHES)
def test_closing_everything_leaves_no_hour_open(batches: list[PartHours]) -> None:
    shard = Shard()
    for number, hours in enumerate(batches):
        shard.take(number, hours)
    opened = sorted(shard.hours.state.open)
    assert [closed.hour for closed in shard.close(everything=True)] == opened
    assert shard.hours.state.open == {}
    assert shard.close(everything=True) == []


def test_even_an_hour_that_no_watermark_came_with_is_closed_at_the_end() -> None:
    hours = Hours(SHARD, LATENESS)
    hours.add(part(1, (0,)), None)
    hours.close()
    assert hours.state.to_publish == []
    hours.close(everything=True)
    assert hours.state.open == {}
    assert [closed.hour for closed in hours.state.to_publish] == [0]


def test_an_hour_stays_open_for_its_lateness_and_closes_then() -> None:
    hours = Hours(SHARD, LATENESS)
    hours.add(part(1, (0,)), 10 * MINUTE)
    for watermark in (HOUR, HOUR + LATENESS - 1):
        hours.add(part(2, (HOUR,)), watermark)
        hours.close()
        assert hours.state.to_publish == []
    hours.add(part(3, (0, HOUR)), HOUR + LATENESS)
    hours.close()
    (closed,) = hours.state.to_publish
    assert closed == ClosedHour(0, SHARD, "10-0", "39-0", (("staging/1", 0), ("staging/3", 0)))
    assert list(hours.state.open) == [HOUR]


def test_a_late_record_opens_its_hour_anew_and_has_its_lateness_too() -> None:
    hours = Hours(SHARD, LATENESS)
    hours.add(part(1, (0,)), 10 * MINUTE)
    hours.add(part(2, (5 * HOUR,)), 5 * HOUR)
    hours.close()
    hours.published(hours.state.to_publish)
    hours.add(part(3, (0,)), 10 * MINUTE)  # five hours late
    hours.close()
    assert set(hours.state.open) == {0, 5 * HOUR}
    hours.add(part(4, (0,)), 5 * HOUR + LATENESS)
    hours.close()
    (closed,) = hours.state.to_publish
    assert closed.pieces == (("staging/3", 0), ("staging/4", 0))
    assert (closed.first, closed.last) == ("30-0", "49-0")


@example([0, -1])
@given(st.lists(st.none() | st.integers(-HOUR, 10 * HOUR), max_size=20))
def test_the_watermark_never_goes_back(moments: list[Instant | None]) -> None:
    hours = Hours(SHARD, LATENESS)
    seen: list[Instant] = []
    for moment in moments:
        hours.add(None, moment)
        if moment is not None:
            seen.append(moment)
        assert hours.state.watermark == max(seen, default=None)


def test_a_till_whose_clock_is_a_day_ahead_keeps_no_day_of_parts() -> None:
    shard = Shard()
    for number in range(300):  # 25 hours of a batch every five minutes
        now = number * 5 * MINUTE
        made = part(number, (now - now % HOUR, now - now % HOUR + 24 * HOUR))
        assert made is not None
        shard.staged[made.key] = made.hours
        shard.hours.add(made, now)
        shard.close()
        shard.publish()
        state = shard.hours.state
        assert len(state.open) <= 6
        assert len(state.staged) <= (2 * HOUR + LATENESS + HOUR) // (5 * MINUTE)
    shard.close(everything=True)
    shard.publish()
    assert shard.published == shard.all_pieces()
    assert shard.hours.state.staged == {}
    # The hours of its own clock are a file or two each, those of the others one.
    files = Counter(key.partition("hour=")[0] for key in shard.keys)
    assert set(shard.keys.values()) == {1}
    assert sum(files.values()) <= 25 + 2 * 25


def test_a_till_that_is_half_an_hour_ahead_changes_nothing() -> None:
    hours = Hours(SHARD, LATENESS)
    hours.add(part(0, (HOUR,)), HOUR - 30 * MINUTE)
    hours.add(part(1, (0, HOUR)), HOUR + 30 * MINUTE)
    hours.add(part(2, (HOUR,)), 2 * HOUR + LATENESS - 1)
    hours.close()
    assert [hour.hour for hour in hours.state.to_publish] == [0]
    hours.add(None, 2 * HOUR + LATENESS)
    hours.close()
    assert [hour.hour for hour in hours.state.to_publish] == [0, HOUR]
