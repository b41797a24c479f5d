"""Snapshots of the past: one in every period, whole, for as long as they are kept."""

import pytest
from botocore.exceptions import ClientError

from consumer.rebuild_start import Starts
from consumer.snapshot_history import SnapshotHistory
from events.instant import DAY, HOUR, MINUTE, Instant
from events.position import Position
from sinks.memory import MemoryObjectStore
from tests.consumer.test_replaying import Shop, run_through, stretch
from tests.consumer.world import APPLICATION, KEY_GROUPS, SHARD, START


def history(store: MemoryObjectStore, period: Instant = 6 * HOUR) -> SnapshotHistory:
    return SnapshotHistory(store, APPLICATION, SHARD, period=period, kept=2 * DAY)


def filled(*keys: str) -> MemoryObjectStore:
    store = MemoryObjectStore()
    for key in keys:
        store.put(key, key.encode())
    return store


def test_one_snapshot_in_every_period_is_kept_whole() -> None:
    store = filled("a", "b", "c")
    kept = history(store)
    at = [kept.keep(f"{n}-0", ["a", "b"], START + n * HOUR) for n in range(14)]
    assert [n for n, due in enumerate(at) if due] == [0, 4, 10]
    found = kept.generations()
    assert [one.position for one in found] == [Position(SHARD, n) for n in ("10", "4", "0")]
    assert [[store.get(key) for key in one.keys] for one in found] == [[b"a", b"b"]] * 3
    assert all(one.whole for one in found)


def test_another_process_goes_on_where_the_one_before_was() -> None:
    store = filled("a")
    assert history(store).keep("1-0", ["a"], START)
    assert not history(store).keep("2-0", ["a"], START + HOUR)
    assert history(store).keep("3-0", ["a"], START + 6 * HOUR)


def test_what_is_older_than_it_has_to_be_kept_is_deleted() -> None:
    store = filled("a")
    kept = history(store)
    for day in range(5):
        kept.keep(f"{day}-7", ["a"], START + day * DAY)
    assert [one.position.sequence_number for one in kept.generations()] == ["4", "3", "2"]
    assert store.get("a") == b"a"


def test_a_right_that_is_missing_keeps_no_shard_from_going_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Refusing(MemoryObjectStore):
        def put(self, key: str, body: bytes) -> None:
            if key.startswith("history/"):
                said = {"Error": {"Code": "AccessDenied", "Message": "no right"}}
                raise ClientError(said, "PutObject")
            super().put(key, body)

    store = Refusing()
    store.put("a", b"a")
    kept = history(store)
    at = [kept.keep(f"{n}-0", ["a"], START + n * HOUR) for n in range(8)]
    assert not any(at)
    assert len(caplog.records) == 2  # once in every period
    assert "no snapshot is kept for replays at 0-0" in caplog.records[0].getMessage()
    assert "AccessDenied" in caplog.records[0].getMessage()


def test_one_that_a_crash_left_incomplete_is_none_and_the_period_is_still_due() -> None:
    store = filled("a", "b", "c")
    assert history(store).keep("1-0", ["a", "b", "c"], START)
    (one,) = history(store).generations()
    store.delete(one.keys[1])
    (torn,) = history(store).generations()
    assert not torn.whole
    assert history(store).keep("2-0", ["a", "b", "c"], START + MINUTE)


def test_objects_that_a_successor_has_deleted_are_not_missed() -> None:
    store = filled("a")
    assert not history(store).keep("1-0", ["a", "gone"], START)
    assert history(store).keep("1-0", ["a"], START)


def test_without_a_period_nothing_is_kept() -> None:
    store = filled("a")
    assert not history(store, 0).keep("1-0", ["a"], START)
    assert store.keys("history/") == []


@pytest.mark.parametrize(
    "name", ["date=2026-13-01/hour=00/1-0/01-of-01", "date=x/hour=1/SHARD_END/1", "x"]
)
def test_strangers_in_its_folder_are_left_alone(name: str) -> None:
    store = filled(f"history/{APPLICATION}/{SHARD}/{name}")
    assert history(store).generations() == []


@pytest.fixture(scope="module")
def aged() -> Shop:
    """A shop whose last snapshots lie far behind what was kept of each hour before."""
    shop = Shop()
    shop.world.history_period, shop.world.history_kept = HOUR, 30 * DAY
    run_through(shop.world)
    return shop


@pytest.mark.parametrize("begin", [110, 180, 333])
def test_a_replay_goes_on_from_the_history_bit_by_bit(aged: Shop, begin: int) -> None:
    for key in aged.world.store.keys("snapshots/"):
        aged.world.store.delete(key)
    done = aged.check(stretch(begin, begin + 30))
    assert done.exact
    assert done.start.endswith("out of the history")
    assert done.warm_up_records <= 60 + aged.world.batch_records_max


def test_a_spoilt_one_is_passed_over(aged: Shop) -> None:
    world = aged.world
    newest = SnapshotHistory(world.store, APPLICATION, SHARD).generations()[0]
    body = world.store.get(newest.keys[-1])
    world.store.put(newest.keys[-1], body[: len(body) // 2])
    starts = Starts(world.store, world.snapshots(), aged, KEY_GROUPS)
    out_of_history = [
        start.position for start in starts.snapshots(SHARD, None) if "history" in start.words
    ]
    assert out_of_history
    assert newest.position not in out_of_history
    world.store.put(newest.keys[-1], body)
