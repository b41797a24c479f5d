"""Past days become few files, and whoever reads meanwhile sees every row once."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consumer.compaction import GRACE, SETTLE, Compaction
from consumer.hours import Hours
from consumer.lake import open_lake
from events.instant import DAY, HOUR, MINUTE, Instant
from sinks.directory import DirectoryObjectStore
from sinks.manifest import manifest_key
from sinks.memory import MemoryObjectStore
from sinks.object_store import ConditionalStore
from sinks.parquet import ParquetSink
from tests.sinks.made import NOON, batch, scored

if TYPE_CHECKING:
    pass

MIDNIGHT = NOON - 12 * HOUR
DATE = "2026-01-05"
PER_HOUR = 6
LATER = MIDNIGHT + DAY + SETTLE


class Clock:
    def __init__(self, at: Instant = LATER) -> None:
        self.at = at

    def __call__(self) -> Instant:
        return self.at


def publish(store: ConditionalStore, hours: range, first: int, *, days: int = 1) -> list[str]:
    """Publish `PER_HOUR` rows of each of `hours` of `days`, from number `first`; their ids."""
    sink = ParquetSink(store)
    account = Hours("shardId-000000000007", 15 * MINUTE)
    number, ids = first, []
    for day in range(days):
        for hour in hours:
            start = MIDNIGHT + day * DAY + hour * HOUR
            some = [scored(number + n, occurred_at=start + n * MINUTE) for n in range(PER_HOUR)]
            number += PER_HOUR
            ids += [item.transaction.transaction_id for item in some]
            account.add(sink.write(batch(*some)).staged, start)
            account.close(everything=True)
            sink.publish_many(account.state.to_publish)
            sink.discard(account.published(list(account.state.to_publish)))
    return ids


def seen(folder: Path) -> Counter[str]:
    """How often `tillwatch sql` sees every id, beside in the folders of its own hour."""
    lake = open_lake(str(folder), application="tillwatch", zone="shop")
    answer = lake.ask(
        "SELECT transaction_id FROM transactions "
        "WHERE hour = hour(occurred_at) AND date = CAST(occurred_at AS date)"
    )
    return Counter(row[0] for row in answer.rows())


def compaction(store: ConditionalStore, clock: Clock, **options: Any) -> Compaction:
    return Compaction(store, clock, lambda _: None, **options)


def drive(made: Compaction, clock: Clock) -> int:
    """Run to the end, and say how often."""
    for runs in range(1, 20):
        due = made.run()
        if due is None:
            return runs
        clock.at = max(clock.at, due)
    raise AssertionError("it does not end")


def files(store: ConditionalStore, prefix: str) -> list[str]:
    return [key for key in store.keys(prefix) if key.endswith(".parquet") and "manif" not in key]


def test_a_day_becomes_one_file_in_three_runs(tmp_path: Path) -> None:
    store, clock = DirectoryObjectStore(tmp_path), Clock()
    ids = publish(store, range(6), 0)
    made = compaction(store, clock)
    assert made.run() == LATER + GRACE
    assert len(files(store, "processed/")) == 6
    assert seen(tmp_path) == Counter(ids)
    clock.at += GRACE - 1
    assert made.run() == LATER + GRACE, "nothing happens before the grace is over"
    clock.at += 1
    made.run()
    assert store.tagged(manifest_key(DATE)) is not None
    assert len(files(store, "processed/")) == 6, "questions that run still need them"
    assert seen(tmp_path) == Counter(ids)
    clock.at += GRACE
    assert made.run() is None
    assert files(store, "processed/") == []
    assert len(files(store, "compacted/")) == 1
    assert seen(tmp_path) == Counter(ids)


def test_a_day_that_is_not_past_is_left_alone() -> None:
    store = MemoryObjectStore()
    publish(store, range(2), 0)
    assert compaction(store, Clock(LATER - 1)).run() is None
    assert store.keys("compacted/") == []


def test_a_late_record_is_seen_once_before_and_after_it_is_merged(tmp_path: Path) -> None:
    store, clock = DirectoryObjectStore(tmp_path), Clock()
    ids = publish(store, range(3), 0)
    made = compaction(store, clock)
    drive(made, clock)
    ids += publish(store, range(1, 2), 900)
    assert len(files(store, "processed/")) == 1
    assert seen(tmp_path) == Counter(ids)
    while (due := made.run()) is not None:
        assert seen(tmp_path) == Counter(ids)
        clock.at = due
    assert seen(tmp_path) == Counter(ids)
    assert files(store, "processed/") == []
    assert [key[-19:] for key in files(store, "compacted/")] == ["v000002-0000.parquet"[-19:]]


def test_small_months_become_one_file(tmp_path: Path) -> None:
    store, clock = DirectoryObjectStore(tmp_path), Clock(MIDNIGHT + 40 * DAY)
    ids = publish(store, range(2), 0, days=4)
    made = compaction(store, clock, months=True)
    drive(made, clock)
    assert seen(tmp_path) == Counter(ids)
    (only,) = files(store, "compacted/")
    assert only == "compacted/months/month=2026-01/v000001-0000.parquet"
    ids += publish(store, range(1), 900)
    assert seen(tmp_path) == Counter(ids)
    while (due := made.run()) is not None:
        assert seen(tmp_path) == Counter(ids)
        clock.at = due
    (only,) = files(store, "compacted/")
    assert only == "compacted/months/month=2026-01/v000002-0000.parquet"
    assert seen(tmp_path) == Counter(ids)
