"""One shard's process against a daemon's half of the protocol, over real pipes."""

import base64
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from consumer.committing import CommittingThread
from consumer.multilang import CheckpointRefusedError
from consumer.shard import Parts, ShardProcessor
from events.position import Position
from tests.consumer.daemon_double import DEADLINE_SECONDS, DaemonDouble
from tests.consumer.world import SHARD, World, day_of_trade, wire

DATA = day_of_trade(120)


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A world, a processor on it, and the daemon that drives it."""

    def __init__(self, world: World, *, batch_seconds_max: float = 1.0) -> None:
        self.world = world
        self.clock = Clock()
        self.stop = threading.Event()
        self.daemon = DaemonDouble()
        self.processor = ShardProcessor(
            self.daemon.conversation,
            self._build,
            CommittingThread(),
            stop=self.stop,
            clock=self.clock,
            batch_seconds_max=batch_seconds_max,
            hours_close_idle_seconds=60,
        )
        self.daemon.run(self.processor)

    def _build(self, shard_id: str, checkpoint: Position | None) -> Parts:
        assert shard_id == SHARD
        self.world.checkpoint = checkpoint
        return self.world.worker()

    def tick_until(self, true: Callable[[], bool]) -> None:
        """Deliver empty lists, as an idle shard does, until something has happened."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not true():
            assert time.monotonic() < deadline
            assert self.daemon.records()

    def deliver(self, data: list[bytes], first: int = 1) -> bool:
        return self.daemon.records(*enumerate(data, first))


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(World())
    yield made
    made.daemon.close()


def numbers(bench: Bench) -> list[str | None]:
    return [number for number, _ in bench.daemon.checkpoints]


def test_full_batches_are_checkpointed_by_their_own_position(bench: Bench) -> None:
    bench.daemon.initialize()
    bench.deliver(DATA)
    bench.tick_until(lambda: "100" in numbers(bench))
    assert numbers(bench) == ["50", "100"]
    assert [sub for _, sub in bench.daemon.checkpoints] == [0, 0]


def test_the_tip_is_committed_when_its_time_is_up_and_not_before(bench: Bench) -> None:
    bench.daemon.initialize()
    bench.deliver(DATA[:10])
    bench.daemon.records()
    assert numbers(bench) == []
    bench.clock.now = 1.0
    bench.tick_until(lambda: numbers(bench) == ["10"])


def test_a_requested_shutdown_commits_everything_taken_by_its_position(bench: Bench) -> None:
    bench.daemon.initialize()
    bench.deliver(DATA[:73])
    assert bench.daemon.send("shutdownRequested")
    assert numbers(bench)[-1] == "73"
    assert None not in numbers(bench)
    assert bench.world.documents() == {
        transaction.transaction_id for transaction in bench.world.index.transactions.values()
    }


def test_the_end_of_the_shard_is_checkpointed_as_such_and_every_hour_published(
    bench: Bench,
) -> None:
    bench.daemon.initialize()
    bench.deliver(DATA)
    assert bench.daemon.send("shardEnded")
    assert bench.daemon.checkpoints[-1] == (None, None)
    bench.daemon.close()
    assert set(bench.world.row_ids()) == bench.world.documents()


def test_a_batch_on_its_way_when_the_shard_ends_is_left_to_the_checkpoint_of_the_end(
    bench: Bench,
) -> None:
    bench.daemon.initialize()
    bench.world.index.available.clear()
    assert bench.deliver(DATA[:50])
    release = threading.Timer(0.3, bench.world.index.available.set)
    release.start()
    assert bench.daemon.send("shardEnded")
    release.join()
    # KCL would note the end for "50", the last position, before the snapshot of the end is there.
    assert bench.daemon.checkpoints == [(None, None)]
    bench.daemon.close()
    assert bench.daemon.error is None
    assert set(bench.world.row_ids()) == bench.world.documents()
    assert len(bench.world.documents()) > 40


def test_an_empty_shard_ends_too(bench: Bench) -> None:
    bench.daemon.initialize()
    assert bench.daemon.send("shardEnded")
    assert bench.daemon.checkpoints == [(None, None)]


def test_a_lost_lease_ends_all_work_and_answers_on(bench: Bench) -> None:
    bench.daemon.initialize()
    bench.deliver(DATA[:20])
    assert bench.daemon.send("leaseLost")
    assert bench.deliver(DATA[20:], first=21)
    assert bench.daemon.checkpoints == []
    assert bench.world.store.keys("processed/") == []


def test_a_fenced_checkpoint_publishes_nothing(bench: Bench) -> None:
    bench.daemon.refuse = lambda _: "ShutdownException"
    bench.daemon.initialize()
    bench.deliver(DATA)
    bench.tick_until(bench.stop.is_set)
    assert bench.daemon.send("leaseLost")
    assert bench.world.store.keys("processed/") == []
    assert bench.daemon.error is None


def test_a_throttled_checkpoint_is_asked_for_again(bench: Bench) -> None:
    refusals = iter(["ThrottlingException", "KinesisClientLibDependencyException"])
    bench.daemon.refuse = lambda _: next(refusals, None)
    bench.daemon.initialize()
    bench.deliver(DATA[:50])
    bench.tick_until(lambda: numbers(bench) == ["50"])


def test_an_unexpected_error_ends_the_process_and_reports_nothing_done() -> None:
    bench = Bench(World())
    bench.daemon.initialize()

    def broken(batch: object) -> None:
        raise ZeroDivisionError(str(type(batch)))

    bench.world.index.write = broken  # type: ignore[method-assign,assignment]  # a fault
    alive = bench.deliver(DATA)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while alive and time.monotonic() < deadline:
        alive = bench.daemon.records()
    assert not alive
    bench.daemon.close()
    assert isinstance(bench.daemon.error, ZeroDivisionError)
    assert bench.daemon.checkpoints == []


def test_a_sink_that_waits_holds_the_stream_back_and_catches_up(bench: Bench) -> None:
    bench.daemon.initialize()
    bench.world.index.available.clear()
    release = threading.Timer(0.3, bench.world.index.available.set)
    release.start()
    # Three batches are delivered: the first is being written, the second fills, the third waits.
    assert bench.deliver([wire(number) for number in range(160)])
    release.join()
    bench.tick_until(lambda: numbers(bench) == ["50", "100", "150"])
    assert bench.world.index.available.is_set()


def test_an_idle_shard_closes_its_hours_once(bench: Bench) -> None:
    bench.daemon.initialize()
    bench.deliver(DATA[:30])
    bench.clock.now = 2.0
    bench.tick_until(lambda: numbers(bench) == ["30"])
    bench.clock.now = 70.0
    bench.tick_until(lambda: numbers(bench) == ["30", "30"])
    for _ in range(5):
        bench.daemon.records()
    assert numbers(bench) == ["30", "30"]
    bench.tick_until(lambda: set(bench.world.row_ids()) == bench.world.documents())


def test_records_at_or_before_the_checkpoint_are_not_taken_again() -> None:
    first = Bench(World())
    first.daemon.initialize()
    first.deliver(DATA[:50])
    first.tick_until(lambda: numbers(first) == ["50"])
    first.daemon.close()
    second = Bench(first.world)
    second.daemon.initialize("50")
    second.deliver(DATA[40:], first=41)
    assert second.daemon.send("shardEnded")
    second.daemon.close()
    assert max(second.world.row_ids().values()) == 1
    whole = Bench(World())
    whole.daemon.initialize()
    whole.deliver(DATA)
    assert whole.daemon.send("shardEnded")
    whole.daemon.close()
    assert second.world.outcome() == whole.world.outcome()


def test_another_action_before_initialize_is_an_error() -> None:
    bench = Bench(World())
    assert not bench.deliver(DATA[:1])
    bench.daemon.close()
    assert isinstance(bench.daemon.error, RuntimeError)


def test_a_checkpoint_that_is_refused_for_good_ends_the_process() -> None:
    bench = Bench(World())
    bench.daemon.refuse = lambda _: "InvalidStateException"
    bench.daemon.initialize()
    alive = bench.deliver(DATA)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while alive and time.monotonic() < deadline:
        alive = bench.daemon.records()
    assert not alive
    bench.daemon.close()
    assert isinstance(bench.daemon.error, CheckpointRefusedError)
    assert bench.world.store.keys("processed/") == []


def test_a_lease_table_that_stays_throttled_ends_the_process_after_bounded_tries(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumer.listener._BACKOFF_SECONDS_MAX", 0.001)
    asked: list[str | None] = []

    def throttled(number: str | None) -> str:
        asked.append(number)
        return "ThrottlingException"

    bench = Bench(World())
    bench.daemon.refuse = throttled
    bench.daemon.initialize()
    bench.deliver(DATA[:50])
    deadline = time.monotonic() + DEADLINE_SECONDS
    while bench.daemon.records() and time.monotonic() < deadline:
        pass
    bench.daemon.close()
    assert isinstance(bench.daemon.error, CheckpointRefusedError)
    assert asked == ["50"] * 10


def test_what_is_given_back_after_a_requested_shutdown_is_no_lost_lease(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "tillwatch.shard"):
        bench.daemon.initialize()
        bench.deliver(DATA[:20])
        assert bench.daemon.send("shutdownRequested")
        assert bench.daemon.send("leaseLost")
    assert numbers(bench) == ["20"]
    assert [record.levelname for record in caplog.records] == ["INFO"]


def test_records_without_an_arrival_time_and_sub_sequence_are_taken(bench: Bench) -> None:
    bench.daemon.initialize()
    record = {
        "action": "record",
        "data": base64.b64encode(wire(1)).decode(),
        "partitionKey": "shop",
        "sequenceNumber": "7",
    }
    assert bench.daemon.send("processRecords", records=[record], millisBehindLatest=None)
    assert bench.daemon.send("shutdownRequested")
    assert bench.daemon.checkpoints == [("7", 0)]
    assert bench.world.documents() == {"t-000001"}


def test_the_end_of_an_empty_shard_that_another_worker_has_is_a_lost_lease() -> None:
    bench = Bench(World())
    bench.daemon.refuse = lambda _: "ShutdownException"
    bench.daemon.initialize()
    assert bench.daemon.send("shardEnded")
    assert bench.stop.is_set()
    bench.daemon.close()
    assert bench.daemon.error is None


def test_the_end_of_an_empty_shard_that_is_refused_for_good_ends_the_process() -> None:
    bench = Bench(World())
    bench.daemon.refuse = lambda _: "InvalidStateException"
    bench.daemon.initialize()
    assert not bench.daemon.send("shardEnded")
    bench.daemon.close()
    assert isinstance(bench.daemon.error, CheckpointRefusedError)


def test_what_trickles_in_is_one_batch_timed_from_its_first_record(bench: Bench) -> None:
    bench.daemon.initialize()
    for number in range(1, 4):
        bench.clock.now = 0.4 * number
        bench.daemon.records((number, DATA[number]))
    assert numbers(bench) == []
    bench.clock.now = 1.5
    bench.tick_until(lambda: numbers(bench) == ["3"])


def test_a_shutdown_with_nothing_taken_asks_for_nothing(bench: Bench) -> None:
    bench.daemon.initialize()
    assert bench.daemon.send("shutdownRequested")
    assert bench.daemon.checkpoints == []
