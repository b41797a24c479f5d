"""An erasure beside who had read the person before: it comes to nothing, or the report says so."""

from __future__ import annotations

import threading
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import consumer.erase
from consumer.cli import main
from consumer.compaction import GRACE, Compaction
from consumer.compaction_plan import plan_of
from consumer.erase_compacted import Rewriting
from consumer.hours import Hours
from events.instant import DAY, MINUTE
from sinks.memory import MemoryObjectStore
from sinks.parquet import ParquetSink
from tests.consumer.test_compaction import DATE, MIDNIGHT, Between, Clock, drive, files, now_in
from tests.consumer.test_erase_lake import erasure, holding, publish
from tests.sinks.made import batch, scored

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumer.erase_report import Place
    from sinks.object_store import ConditionalStore

MONTH = "months/month=2026-01"


class Held(MemoryObjectStore):
    """A store that has somebody else do everything before the first put under `prefix`."""

    def __init__(self, prefix: str) -> None:
        super().__init__()
        self._prefix = prefix
        self.other: Callable[[], object] | None = None

    def put(self, key: str, body: bytes) -> None:
        if key.startswith(self._prefix) and self.other is not None:
            other, self.other = self.other, None
            other()
        super().put(key, body)


def erased(store: ConditionalStore, clock: Clock) -> dict[str, Place]:
    return {place.name: place for place in erasure(store, clock).run()}


def clean(places: dict[str, Place]) -> bool:
    """Whether the exit status is 0."""
    return all(place.clean(dry_run=False) for place in places.values())


def compacting(store: ConditionalStore, clock: Clock, **options: Any) -> Compaction:
    return Compaction(store, clock, lambda _: None, **options)


@pytest.mark.parametrize("then", ["compact", "erase"])
def test_a_day_that_was_being_merged_does_not_bring_the_person_back(then: str) -> None:
    store, clock = Held("compacted/days/"), Clock()
    ids = publish(store, range(4), 0)
    reports: list[dict[str, Place]] = []
    store.other = lambda: reports.append(erased(store, clock))
    first = compacting(store, clock)
    first.run()
    (report,) = reports
    assert report["Parquet: hourly"].erased == 4
    assert not clean(report)
    assert "erase again after 2026-01-06T06:40" in report["Parquet: looked again"].note
    assert plan_of(store, f"days/date={DATE}")[0].state == "superseded"
    assert now_in(store) == Counter(ids)
    assert not clean(erased(store, clock)), "the grace is not over"
    if then == "compact":
        compacting(store, clock).run()
        assert plan_of(store, f"days/date={DATE}")[0].state == "written"
        assert not clean(erased(store, clock)), "an attempt after it does not make it forgotten"
    clock.at += GRACE
    if then == "compact":
        drive(compacting(store, clock), clock)
        assert len(files(store, "compacted/")) == 1
    assert clean(erased(store, clock))
    assert holding(store) == []
    drive(first, clock)
    assert holding(store) == []
    assert now_in(store) == Counter(ids)


def test_a_day_that_waits_to_be_seen_goes_on_without_the_person() -> None:
    store, clock = MemoryObjectStore(), Clock()
    ids = publish(store, range(4), 0)
    made = compacting(store, clock)
    made.run()
    assert len(holding(store)) == 5
    report = erased(store, clock)
    assert (report["Parquet: compacted"].found, report["Parquet: compacted"].erased) == (1, 1)
    assert clean(report)
    assert holding(store) == []
    drive(made, clock)
    assert files(store, "") == [f"compacted/days/date={DATE}/v000001-0000.parquet"]
    assert holding(store) == []
    assert now_in(store) == Counter(ids)


@pytest.mark.parametrize("written", [False, True])
def test_a_month_that_read_the_days_before_brings_nobody_back(*, written: bool) -> None:
    store, clock = Held("compacted/months/"), Clock(MIDNIGHT + 40 * DAY)
    ids = publish(store, range(2), 0) + publish(store, range(24, 26), 300)
    drive(compacting(store, clock), clock)
    reports: list[dict[str, Place]] = []
    months = compacting(store, clock, months=True)
    if not written:
        store.other = lambda: reports.append(erased(store, clock))
    months.run()
    if written:
        reports.append(erased(store, clock))
    assert not clean(reports[0])
    assert plan_of(store, MONTH)[0].state == ("written" if written else "superseded")
    for _ in range(6):
        clock.at += GRACE
        if clean(erased(store, clock)):
            break
    else:
        raise AssertionError("it does not end")
    assert holding(store) == []
    drive(months, clock)
    assert holding(store) == []
    assert now_in(store) == Counter(ids), "the month's rows are those of both days"
    (only,) = files(store, "compacted/")
    assert only.startswith(f"compacted/{MONTH}/")


def late() -> tuple[MemoryObjectStore, Counter[str], Clock]:
    """A day that was merged and has a late hour since; the person is in both."""
    store, clock = MemoryObjectStore(), Clock()
    ids = publish(store, range(2), 0)
    drive(compacting(store, clock), clock)
    return store, Counter(ids + publish(store, range(3, 4), 300)), clock


def fresh() -> tuple[MemoryObjectStore, Counter[str], Clock]:
    store, clock = MemoryObjectStore(), Clock()
    return store, Counter(publish(store, range(2), 0)), clock


def nearly() -> tuple[MemoryObjectStore, Counter[str], Clock]:
    """A day that was merged, whose new version readers see; the old one may be deleted now."""
    store, clock = MemoryObjectStore(), Clock()
    ids = Counter(publish(store, range(2), 0))
    drive(compacting(store, clock), clock)
    for _ in range(2):
        assert not clean(erased(store, clock))
        clock.at += GRACE
    assert len(holding(store)) == 1
    return store, ids, clock


@pytest.mark.parametrize("begin", [fresh, late, nearly])
def test_what_an_erasure_promises_holds_before_whichever_call_of_a_compactor_it_runs(
    begin: Callable[[], tuple[MemoryObjectStore, Counter[str], Clock]],
) -> None:
    store, _, clock = begin()
    alone = Between(store, 0, lambda: None)
    drive(compacting(alone, clock), clock)  # type: ignore[arg-type]
    promised = 0
    for at in range(1, alone.calls + 1):
        store, ids, clock = begin()
        reports: list[bool] = []
        run = partial(lambda store, clock, into: into.append(clean(erased(store, clock))))
        first = compacting(
            Between(store, at, partial(run, store, clock, reports)),  # type: ignore[arg-type]
            clock,
        )
        drive(first, clock)
        assert now_in(store) == ids
        if reports == [True]:
            promised += 1
            assert holding(store) == [], f"call {at}"
        to_the_end(store, clock)
        assert now_in(store) == ids
    assert bool(promised) == (begin is not late), "what is shown to readers is left at first"


@pytest.mark.parametrize("begin", [fresh, late, nearly])
def test_what_an_erasure_promises_holds_before_whichever_of_its_calls_a_compactor_runs(
    begin: Callable[[], tuple[MemoryObjectStore, Counter[str], Clock]],
) -> None:
    store, _, clock = begin()
    alone = Between(store, 0, lambda: None)
    erased(alone, clock)  # type: ignore[arg-type]
    for at in range(1, alone.calls + 1):
        store, ids, clock = begin()
        made = compacting(store, clock)
        done = clean(erased(Between(store, at, made.run), clock))  # type: ignore[arg-type]
        assert now_in(store) == ids
        drive(made, clock)
        assert now_in(store) == ids
        if done:
            assert holding(store) == [], f"call {at}"
        to_the_end(store, clock)
        assert now_in(store) == ids


class Paused:
    """Work in a thread that stands still before its first put under `prefix`, until `go_on`."""

    def __init__(
        self, store: MemoryObjectStore, prefix: str, work: Callable[[Any], object]
    ) -> None:
        self._stands, self._goes = threading.Event(), threading.Event()
        held = Held(prefix)
        held._objects = store._objects
        held.other = self._stand_still
        self._thread = threading.Thread(target=work, args=(held,), daemon=True)
        self._thread.start()
        assert self._stands.wait(30)

    def _stand_still(self) -> None:
        self._stands.set()
        self._goes.wait(30)

    def go_on(self) -> None:
        """Let it go on, and wait for its end."""
        self._goes.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


def compact_once(clock: Clock, store: ConditionalStore) -> None:
    compacting(store, clock).run()


def publish_once(_: Clock, store: ConditionalStore) -> None:
    publish(store, range(5, 6), 600)


@pytest.mark.parametrize(
    ("prefix", "work"), [("compacted/days/", compact_once), ("processed/", publish_once)]
)
def test_who_had_read_before_and_goes_on_before_any_call_breaks_no_promise(
    prefix: str, work: Callable[[Clock, Any], object]
) -> None:
    calls, at, met = 1, 0, 0
    while at < calls:
        at += 1
        store, ids, clock = fresh()
        paused = Paused(store, prefix, partial(work, clock))
        between = Between(store, at, paused.go_on)
        report = erased(between, clock)  # type: ignore[arg-type]
        done, calls = clean(report), between.calls
        met += report["Parquet: looked again"].erased
        paused.go_on()
        assert not ids - now_in(store)
        if done:
            assert holding(store) == [], f"call {at}"
        to_the_end(store, clock)
        assert not ids - now_in(store)
    assert calls > 15
    assert met, "the last look finds what came behind the first"


def to_the_end(store: ConditionalStore, clock: Clock) -> None:
    """Erase again a grace later until nothing is left."""
    for _ in range(8):
        if clean(erased(store, clock)):
            assert holding(store) == []
            return
        clock.at += GRACE
    raise AssertionError("it does not end")


def test_an_hour_that_a_worker_had_merged_is_told_of_until_it_must_have_come() -> None:
    store, clock = Held("processed/"), Clock()
    sink, account = ParquetSink(store), Hours("shardId-000000000007", 15 * MINUTE)
    for some in (range(3), range(3, 6)):
        items = [
            scored(n, occurred_at=MIDNIGHT + n * MINUTE, customer_id=f"u-{n % 3}") for n in some
        ]
        account.add(sink.write(batch(*items)).staged, MIDNIGHT)
    account.close(everything=True)
    closed = list(account.state.to_publish)
    reports: list[dict[str, Place]] = []

    def erase_twice() -> None:
        reports.append(erased(store, clock))
        clock.at += GRACE - 1
        reports.append(erased(store, clock))

    store.other = erase_twice
    sink.publish_many(closed)
    assert reports[0]["Parquet: staged"].erased == 2
    assert [clean(report) for report in reports] == [False, False], "the hour may still come"
    for report in reports:
        assert "erase again after 2026-01-06T06:40" in report["Parquet: staged"].note
    assert len(holding(store)) == 1, "it did"
    sink.publish_many(closed)  # again, as after a crash: from the parts as they are now
    assert holding(store) == []
    clock.at += 1
    assert clean(erased(store, clock))
    sink.discard(account.published(closed))
    assert sum(now_in(store).values()) == 6


def test_an_hour_that_came_while_others_were_looked_at_is_found_by_the_last_look() -> None:
    store, clock = MemoryObjectStore(), Clock()
    publish(store, range(2), 0)
    late_hour = partial(publish, store, range(5, 6), 900)
    report = erased(Between(store, 8, late_hour), clock)  # type: ignore[arg-type]
    again = report["Parquet: looked again"]
    assert (again.found, again.erased) == (1, 1)
    assert not clean(report)
    assert holding(store) == []


def test_who_merges_an_hour_that_came_meanwhile_is_called_off_as_well() -> None:
    """The attempt begins behind the first look at the plans, and reads what the last one finds."""
    calls, at, met = 1, 0, 0
    while at < calls:
        at += 1
        store, _, clock = fresh()
        begun: list[Paused] = []

        def begin(store: MemoryObjectStore = store, clock: Clock = clock) -> None:
            publish(store, range(5, 6), 600)
            begun.append(Paused(store, "compacted/days/", partial(compact_once, clock)))  # noqa: B023 -- called in this round alone

        between = Between(store, at, begin)
        report = erased(between, clock)  # type: ignore[arg-type]
        calls = between.calls
        if report["Parquet: looked again"].found:
            met += 1
            assert plan_of(store, f"days/date={DATE}")[0].state == "superseded", f"call {at}"
        for paused in begun:
            paused.go_on()
        to_the_end(store, clock)
    assert met > 2


def test_an_attempt_that_cannot_be_called_off_is_waited_for() -> None:
    """It goes on in the moment between the look at its plan and the put."""
    store, clock = MemoryObjectStore(), Clock()
    publish(store, range(1), 0)
    paused = Paused(store, "compacted/days/", partial(compact_once, clock))
    calling = Between(store, 3, paused.go_on)  # behind the list of plans, and the plan
    off = Rewriting(calling, clock, lambda _: None)  # type: ignore[arg-type]
    assert off.call_off() == clock.at + GRACE
    assert plan_of(store, f"days/date={DATE}")[0].state == "written"
    assert off.call_off() is None


@pytest.mark.parametrize(("under_way", "status"), [(True, 3), (False, 0)])
def test_the_exit_status_says_whether_it_has_to_be_run_again(
    monkeypatch: pytest.MonkeyPatch,
    *,
    under_way: bool,
    status: int,
) -> None:
    store, clock = Held("compacted/days/"), Clock()
    publish(store, range(2), 0)
    monkeypatch.setattr(consumer.erase, "load", lambda: None)
    monkeypatch.setattr(consumer.erase, "pseudonym_keys", lambda *_: None)
    monkeypatch.setattr(consumer.erase, "_run", lambda *_, **__: erasure(store, clock).run())
    answers: list[Any] = []

    def command() -> None:
        arguments = ["erase", "--customer", "u-1", "--yes", "--json"]
        answers.append(CliRunner().invoke(main, arguments))

    if under_way:
        store.other = command
        compacting(store, clock).run()
    else:
        command()
    (answer,) = answers
    assert answer.exit_code == status, answer.output
    assert ("erase again after" in answer.output) is under_way
