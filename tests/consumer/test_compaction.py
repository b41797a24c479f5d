"""Past days become few files, and whoever reads meanwhile sees every row once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import lru_cache, partial
from io import BytesIO
from itertools import product
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from consumer.compact import compact
from consumer.compaction import GRACE, SETTLE, Compaction
from consumer.hours import Hours
from consumer.lake import LakeError, open_lake
from consumer.rebuild_rows import ShardRows
from events.instant import DAY, HOUR, MINUTE, Instant
from sinks.directory import DirectoryObjectStore
from sinks.manifest import hourly_file, manifest_key, order, unpacked
from sinks.memory import MemoryObjectStore
from sinks.object_store import ConditionalStore
from sinks.parquet import ClosedHour, ParquetSink
from tests.sinks.made import NOON, batch, scored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

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


def test_a_file_that_comes_back_is_not_seen_again_and_goes(tmp_path: Path) -> None:
    """As where a worker stood still between publishing an hour and its next checkpoint."""
    store, clock = DirectoryObjectStore(tmp_path), Clock()
    ids = publish(store, range(3), 0)
    back = {key: store.get(key) for key in files(store, "processed/")}
    made = compaction(store, clock)
    drive(made, clock)
    for key, body in back.items():
        store.put(key, body)
    assert now_in(store) == seen(tmp_path) == Counter(ids)
    drive(made, clock)
    assert files(store, "processed/") == []
    assert now_in(store) == Counter(ids)


def test_rows_that_come_back_in_another_file_stay_one_row_each() -> None:
    """As a rebuild writes them, which knows nothing of what was merged."""
    store, clock = MemoryObjectStore(), Clock()
    ids = publish(store, range(3), 0)
    (key, *_) = files(store, "processed/")
    body = store.get(key)
    made = compaction(store, clock)
    drive(made, clock)
    file = hourly_file(key)
    assert file is not None
    store.put(key.replace(file.last, "1-0-" + file.last), body)
    assert now_in(store) == Counter(ids)
    drive(made, clock)
    assert files(store, "processed/") == []
    assert now_in(store) == Counter(ids)
    (only,) = files(store, "compacted/")
    assert "v000002" in only


def test_a_manifest_that_is_gone_costs_no_rows() -> None:
    store, clock = MemoryObjectStore(), Clock()
    ids = publish(store, range(3), 0)
    made = compaction(store, clock)
    drive(made, clock)
    manifest = store.get(manifest_key(DATE))
    store.delete(manifest_key(DATE))
    ids += publish(store, range(1, 2), 900)
    said: list[str] = []
    assert Compaction(store, clock, said.append).run() is None
    assert said == [f"days/date={DATE} was merged and its manifest is gone: bring it back"]
    store.put(manifest_key(DATE), manifest)
    assert now_in(store) == Counter(ids)
    drive(made, clock)
    assert now_in(store) == Counter(ids)


def test_merged_files_that_go_before_anybody_saw_them_are_made_again() -> None:
    store, clock = MemoryObjectStore(), Clock()
    ids = publish(store, range(3), 0)
    made = compaction(store, clock)
    made.run()
    for key in files(store, "compacted/"):
        store.delete(key)
    drive(made, clock)
    assert now_in(store) == Counter(ids)
    (only,) = files(store, "compacted/")
    assert "v000002" in only


def test_a_rebuild_finds_the_rows_of_merged_days() -> None:
    store, clock = MemoryObjectStore(), Clock()
    publish(store, range(3), 0)
    drive(compaction(store, clock), clock)
    found = ShardRows(store, "staging/", "shardId-000000000007", None)
    hour = MIDNIGHT + HOUR
    lacking = [n for n in range(40) if found.lacks(scored(n, occurred_at=hour + n * MINUTE))]
    assert lacking == [n for n in range(40) if not PER_HOUR <= n < 2 * PER_HOUR]


def test_the_command_goes_all_the_way_where_it_may_wait(tmp_path: Path) -> None:
    ids = publish(DirectoryObjectStore(tmp_path), range(3), 0, days=2)
    arguments = ["--lake", str(tmp_path), "--grace", "0.2", "--months", "--wait"]
    done = CliRunner().invoke(compact, arguments, env={"TILLWATCH_BUCKET": ""})
    assert done.exit_code == 0, done.output
    assert "2026-01-05: readers see days/date=2026-01-05/v000001" in done.output
    assert seen(tmp_path) == Counter(ids)
    assert files(DirectoryObjectStore(tmp_path), "processed/") == []
    assert len(files(DirectoryObjectStore(tmp_path), "compacted/months/")) == 1
    again = CliRunner().invoke(compact, arguments)
    assert (again.exit_code, again.output) == (0, "")


def test_the_command_says_where_it_cannot() -> None:
    for arguments, said in (
        ([], "where is the lake"),
        (["--lake", "/nowhere"], "there is no /nowhere"),
    ):
        done = CliRunner().invoke(compact, arguments, env={"TILLWATCH_BUCKET": ""})
        assert done.exit_code == 1
        assert said in done.output


class Crashed(BaseException):
    """The process ends here."""


class Breaking:
    """A store whose process dies at call `at`: before the call is made, or behind it."""

    def __init__(self, store: ConditionalStore, at: int, *, behind: bool) -> None:
        self._store = store
        self._at = at
        self._behind = behind
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def counted(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self._at and not self._behind:
                raise Crashed
            answer = call(*arguments)
            if self.calls == self._at:
                raise Crashed
            return answer

        return counted


def rows_as_the_view_has_them(listed: dict[str, bytes], manifest: bytes | None) -> Counter[str]:
    """The rows that `transactions` would have of files listed so and of this manifest of a day.

    Said once more in Python, and independent of both engines.
    """
    found: Counter[str] = Counter()
    held = unpacked(manifest) if manifest else None
    through = {(c.hour, c.shard_id): order(c.through) for c in held.covers} if held else {}
    for key, body in listed.items():
        for transaction_id, place, position, version in decoded(body):
            if key.startswith("compacted/"):
                counts = held is not None and version == held.version
            else:
                counts = place not in through or position > through[place]
            if counts:
                found[transaction_id] += 1
    return found


@lru_cache(maxsize=100)
def decoded(body: bytes) -> list[tuple[str, tuple[int, str], tuple[int, int], str | None]]:
    return [
        (
            row["transaction_id"],
            (row["occurred_at"].hour, row["shard_id"]),
            (int(row["sequence_number"]), row["sub_sequence_number"]),
            row.get("version"),
        )
        for row in pq.read_table(BytesIO(body), partitioning=None).to_pylist()
    ]


def now_in(store: ConditionalStore) -> Counter[str]:
    held = store.tagged(manifest_key(DATE))
    listed = {key: store.get(key) for key in files(store, "")}
    return rows_as_the_view_has_them(listed, held[0] if held else None)


@lru_cache(maxsize=1)
def begun() -> tuple[dict[str, bytes], Counter[str], Instant]:
    """A day that was compacted and has a late hour since: objects, ids, and what time it is."""
    store, clock = MemoryObjectStore(), Clock()
    ids = publish(store, range(3), 0)
    drive(compaction(store, clock), clock)
    ids += publish(store, range(1, 2), 900)
    return {key: store.get(key) for key in store.keys("")}, Counter(ids), clock.at


def begin() -> tuple[MemoryObjectStore, Counter[str], Clock]:
    objects, ids, at = begun()
    store = MemoryObjectStore()
    for key, body in objects.items():
        store.put(key, body)
    return store, ids, Clock(at)


def to_the_end(
    first: Compaction, then: Callable[[], Compaction], store: ConditionalStore, clock: Clock
) -> int:
    """Run `first`, and once it died, others; check what readers see after every run."""
    died = 0
    for _ in range(20):
        try:
            due = first.run()
        except Crashed:
            died += 1
            first, due = then(), clock.at
        assert now_in(store) == begun()[1]
        if due is None:
            assert files(store, "processed/") == []
            assert len(files(store, "compacted/")) == 1, "what nobody needs is deleted"
            return died
        clock.at = max(clock.at, due)
    raise AssertionError("it does not end")


@pytest.mark.parametrize("behind", [False, True])
def test_it_may_die_at_any_call_and_a_repetition_ends_it(behind: bool) -> None:  # noqa: FBT001 -- the case
    """With a late hour behind a first version, so that every kind of step is among the calls."""
    store, _, clock = begin()
    whole = Breaking(store, 0, behind=behind)
    to_the_end(compaction(whole, clock), lambda: compaction(store, clock), store, clock)  # type: ignore[arg-type]
    assert whole.calls > 30
    for at in range(1, whole.calls + 1):
        store, _, clock = begin()
        breaking = Breaking(store, at, behind=behind)
        made = compaction(breaking, clock)  # type: ignore[arg-type]
        then = partial(compaction, store, clock)
        assert to_the_end(made, then, store, clock) == 1, f"call {at}"


def test_of_two_compactors_one_wins_whatever_the_order_of_their_calls() -> None:
    """The second one does all that it may before a call of the first, whichever that is."""
    store, _, clock = begin()
    alone = Between(store, 0, lambda: None)
    to_the_end(compaction(alone, clock), lambda: compaction(store, clock), store, clock)  # type: ignore[arg-type]
    for at in range(1, alone.calls + 1):
        store, ids, clock = begin()
        second = compaction(store, clock)

        def interrupt(second: Compaction = second, ids: Counter[str] = ids) -> None:
            second.run()
            assert now_in(store) == ids  # noqa: B023 -- called in this round alone

        first = Between(store, at, interrupt)
        to_the_end(
            compaction(first, clock),  # type: ignore[arg-type]
            partial(compaction, store, clock),
            store,
            clock,
        )


class Between:
    """A store that has somebody else do everything before call `at`."""

    def __init__(self, store: ConditionalStore, at: int, other: Callable[[], object]) -> None:
        self._store = store
        self._at = at
        self._other = other
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._store, name)

        def counted(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self._at:
                self._other()
            return call(*arguments)

        return counted


class Watched(MemoryObjectStore):
    """A store that keeps what lay in it at every moment."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self.moments: list[tuple[Instant, dict[str, bytes]]] = []

    def put(self, key: str, body: bytes) -> None:
        super().put(key, body)
        self._note()

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        done = super().put_if(key, body, tag)
        self._note()
        return done

    def delete(self, key: str) -> None:
        super().delete(key)
        self._note()

    def _note(self) -> None:
        self.moments.append((self._clock.at, dict(self._objects)))


def test_a_reader_as_slow_as_the_grace_sees_each_row_once() -> None:
    """It lists hourly files, lists compacted ones and reads the manifest in any order and at any
    moments that lie less than a grace apart, and reads the files at the last of these."""
    clock = Clock()
    store = Watched(clock)
    ids = Counter(publish(store, range(3), 0))
    store.moments = store.moments[-1:]
    made = compaction(store, clock)
    drive(made, clock)
    late = Counter(publish(store, range(1, 2), 900))
    drive(made, clock)
    clock.at += GRACE
    store.put("end", b"")
    shown, slower = 0, set()
    every = range(len(store.moments))
    for a, b, c in product(every, every, every):
        (at, hourly), (bt, compacted), (ct, manifests) = (store.moments[n] for n in (a, b, c))
        last = store.moments[max(a, b, c)][1]
        listed = [key for key in files_in(hourly) if key.startswith("processed/")]
        listed += [key for key in files_in(compacted) if key.startswith("compacted/")]
        there = {key: last[key] for key in listed if key in last}
        right = rows_as_the_view_has_them(there, manifests.get(manifest_key(DATE))) in (
            ids,
            ids + late,
        )
        if max(at, bt, ct) - min(at, bt, ct) < GRACE:
            assert right, (a, b, c)
            shown += 1
        else:
            slower.add(right)
    assert shown > 500
    assert slower == {True, False}, "without its bound a reader would see what is not so"


def files_in(objects: dict[str, bytes]) -> list[str]:
    return [key for key in objects if key.endswith(".parquet") and "manif" not in key]


class Reader(threading.Thread):
    """Asks for every row again and again, and keeps the answers that were not `expected`."""

    def __init__(self, folder: Path, expected: Counter[str]) -> None:
        super().__init__(daemon=True)
        self._lake = open_lake(str(folder), application="tillwatch", zone="shop")
        self._expected = expected
        self.ended = threading.Event()
        self.answers = 0
        self.refused = 0
        self.wrong: list[Counter[str]] = []

    def run(self) -> None:
        while not self.ended.is_set():
            try:
                answer = self._lake.ask("SELECT transaction_id FROM transactions_now")
                found = Counter(row[0] for row in answer.rows())
            except LakeError:
                self.refused += 1  # files went away faster than they could be listed
                continue
            self.answers += 1
            if found != self._expected:
                self.wrong.append(found - self._expected + (self._expected - found))

    def wait_for_another(self) -> None:
        """Until a question was begun and answered after this call."""
        wanted, deadline = self.answers + 2, time.monotonic() + 60
        while self.answers < wanted and time.monotonic() < deadline:
            time.sleep(0.005)


def test_who_keeps_asking_sees_each_row_once_while_hours_are_published_and_days_compacted(
    tmp_path: Path,
) -> None:
    """Every process dies at its n-th call, the next one lives a call longer."""
    store, clock = DirectoryObjectStore(tmp_path), Clock()
    account = Hours("shardId-000000000007", 15 * MINUTE)
    items = [scored(n, occurred_at=MIDNIGHT + n % 3 * HOUR + n * MINUTE // 4) for n in range(60)]
    staging = ParquetSink(store, staging="staging/tillwatch/")
    for begin in range(0, 60, 20):
        account.add(staging.write(batch(*items[begin : begin + 20])).staged, MIDNIGHT)
    account.close(everything=True)
    closed = list(account.state.to_publish)
    reader = Reader(tmp_path, Counter(item.transaction.transaction_id for item in items))
    reader.start()
    lives = 0
    try:
        for step in (
            lambda alive: _publish(alive, closed),
            lambda alive: drive(compaction(alive, clock), clock),
        ):
            for at in range(1, 100):
                lives += 1
                breaking = Breaking(store, at, behind=bool(at % 2))
                try:
                    step(breaking)
                except Crashed:
                    continue
                finally:
                    if not at % 5:
                        reader.wait_for_another()
                if breaking.calls < at:
                    break
        reader.wait_for_another()
    finally:
        reader.ended.set()
        reader.join(60)
    assert files(store, "processed/") + files(store, "staging/") == []
    assert len(files(store, "compacted/")) == 1
    assert reader.wrong == []
    assert reader.answers > 5
    assert reader.refused < reader.answers
    assert lives > 20


def _publish(store: Any, closed: list[ClosedHour]) -> None:
    sink = ParquetSink(store, staging="staging/tillwatch/", puts_max=1)
    sink.publish_many(closed)
    sink.discard(sorted({key for hour in closed for key, _ in hour.pieces}))
