"""The listening thread: what it answers when, and when it can ask for checkpoints."""

import queue
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from consumer.checkpoint import EndFollows
from consumer.listener import Listener
from consumer.multilang import (
    Action,
    CheckpointRefusedError,
    DaemonGone,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ProtocolError,
    ShardEnded,
    Shutdown,
    ShutdownRequested,
)
from events.position import Position
from sinks.fence import FencedOff
from sinks.sink import Stopped

DEADLINE_SECONDS = 30
AT = Position("shardId-0", "7", 2)
FIRST, SECOND, TICK = (ProcessRecords([], lag) for lag in (1, 2, 3))


class Daemon:
    """Gives the actions it is told to, and notes what is said to it, in order."""

    def __init__(self) -> None:
        self.given: queue.Queue[Action | BaseException | None] = queue.Queue()
        self.heard: list[object] = []
        self.refusals: list[BaseException] = []

    def next_action(self) -> Action | None:
        self.heard.append("listens")
        action = self.given.get(timeout=DEADLINE_SECONDS)
        if isinstance(action, BaseException):
            raise action
        return action

    def done(self, action: Action) -> None:
        self.heard.append(action)

    def checkpoint(self, sequence_number: str | None, sub_sequence_number: int | None) -> None:
        self.heard.append((sequence_number, sub_sequence_number))
        if self.refusals:
            raise self.refusals.pop(0)


class Rig:
    """A listener, its daemon, and a thread that asks for checkpoints."""

    def __init__(self) -> None:
        self.daemon = Daemon()
        self.stop = threading.Event()
        self.listener = Listener(self.daemon, self.stop)
        self.listener.start()
        self.asked: queue.Queue[BaseException | None] = queue.Queue()

    def give(self, *actions: Action | BaseException | None) -> None:
        for action in actions:
            self.daemon.given.put(action)

    def hears(self, *said: object) -> None:
        self.until(lambda: len(self.daemon.heard) >= len(said))
        assert self.daemon.heard == list(said)

    def until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not true():
            assert time.monotonic() < deadline, self.daemon.heard
            time.sleep(0.002)

    def ask(self, position: Position | None = AT) -> None:
        def asking() -> None:
            try:
                self.listener.checkpoint(position)
            except BaseException as error:  # noqa: BLE001 -- kept for the test to look at
                self.asked.put(error)
            else:
                self.asked.put(None)

        threading.Thread(target=asking, daemon=True).start()

    def answer(self) -> BaseException | None:
        return self.asked.get(timeout=DEADLINE_SECONDS)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.stop.set()
    made.listener.end()
    made.give(None)
    made.until(made.listener._over.is_set)


def test_records_are_answered_when_they_are_taken_and_the_next_are_held(rig: Rig) -> None:
    rig.give(FIRST, SECOND)
    rig.hears("listens")
    assert rig.listener.next_action() is FIRST
    rig.hears("listens", FIRST, "listens")
    time.sleep(0.05)
    rig.hears("listens", FIRST, "listens")
    rig.listener.done(FIRST)
    assert rig.listener.next_action() is SECOND
    rig.hears("listens", FIRST, "listens", SECOND, "listens")


@pytest.mark.parametrize(
    "action", [Initialize("shardId-0"), ShutdownRequested(), ShardEnded(), LeaseLost(), Shutdown()]
)
def test_any_other_action_is_answered_when_it_was_handled(rig: Rig, action: Action) -> None:
    rig.give(action, FIRST)
    assert rig.listener.next_action() is action
    time.sleep(0.05)
    rig.hears("listens")
    rig.listener.done(action)
    rig.hears("listens", action, "listens")


@pytest.mark.parametrize(("position", "asked"), [(AT, ("7", 2)), (None, (None, None))])
def test_a_checkpoint_is_asked_for_while_the_next_records_are_held(
    rig: Rig, position: Position | None, asked: object
) -> None:
    rig.give(FIRST, SECOND)
    assert rig.listener.next_action() is FIRST
    rig.hears("listens", FIRST, "listens")
    rig.ask(position)
    assert rig.answer() is None
    rig.hears("listens", FIRST, "listens", asked)


def test_a_checkpoint_waits_for_an_action_to_be_asked_for_with(rig: Rig) -> None:
    rig.give(FIRST)
    assert rig.listener.next_action() is FIRST
    rig.ask()
    time.sleep(0.05)
    assert rig.asked.empty()
    rig.give(TICK)
    assert rig.answer() is None
    rig.hears("listens", FIRST, "listens", ("7", 2))


@pytest.mark.parametrize("action", [LeaseLost(), Shutdown("ZOMBIE"), Shutdown()])
def test_no_checkpoint_is_asked_for_behind_a_lost_lease(rig: Rig, action: Action) -> None:
    rig.give(FIRST, action)
    assert rig.listener.next_action() is FIRST
    rig.ask()
    assert isinstance(rig.answer(), FencedOff)
    assert not rig.listener.lease_refused, "the lease table itself was not asked"
    rig.hears("listens", FIRST, "listens")


@pytest.mark.parametrize(
    ("action", "position", "asked"),
    [
        (ShutdownRequested(), AT, ("7", 2)),
        (ShardEnded(), None, (None, None)),
        (Shutdown("TERMINATE"), None, (None, None)),
    ],
)
def test_last_checkpoints_are_asked_for_with_what_asks_for_them(
    rig: Rig, action: Action, position: Position | None, asked: object
) -> None:
    rig.give(action)
    assert rig.listener.next_action() is action
    rig.ask(position)
    assert rig.answer() is None
    rig.hears("listens", asked)
    rig.listener.done(action)
    rig.hears("listens", asked, action, "listens")


@pytest.mark.parametrize("action", [ShardEnded(), Shutdown("TERMINATE")])
def test_behind_the_end_of_a_shard_no_position_is_asked_for(rig: Rig, action: Action) -> None:
    rig.give(FIRST, action)
    assert rig.listener.next_action() is FIRST
    rig.ask(AT)
    assert isinstance(rig.answer(), EndFollows), "KCL would note the end for the last position"
    assert rig.listener.next_action() is action
    rig.ask(None)
    assert rig.answer() is None
    rig.hears("listens", FIRST, "listens", (None, None))


def test_who_asks_is_told_what_the_listening_ended_with(rig: Rig) -> None:
    rig.give(FIRST, ProtocolError("what is this"))
    assert rig.listener.next_action() is FIRST
    rig.until(rig.listener._over.is_set)
    rig.ask()
    assert isinstance(rig.answer(), ProtocolError)


def test_asking_again_ends_when_the_shard_is_given_up(rig: Rig) -> None:
    rig.daemon.refusals = [CheckpointRefusedError("ThrottlingException")] * 10
    rig.give(FIRST, SECOND)
    assert rig.listener.next_action() is FIRST
    rig.hears("listens", FIRST, "listens")
    rig.ask()
    rig.until(lambda: len(rig.daemon.heard) >= 4)
    rig.stop.set()
    assert isinstance(rig.answer(), Stopped)
    assert rig.listener.next_action() is SECOND
    rig.until(lambda: SECOND in rig.daemon.heard)
    assert 0 < len(rig.daemon.refusals) < 10


def test_a_checkpoint_that_the_lease_fenced_off_is_told_and_listening_goes_on(rig: Rig) -> None:
    rig.daemon.refusals = [CheckpointRefusedError("ShutdownException")]
    rig.give(FIRST, SECOND)
    assert rig.listener.next_action() is FIRST
    rig.ask()
    assert isinstance(rig.answer(), FencedOff)
    assert rig.listener.lease_refused
    assert rig.listener.next_action() is SECOND


def test_a_checkpoint_that_is_refused_for_good_is_told(rig: Rig) -> None:
    rig.daemon.refusals = [CheckpointRefusedError("InvalidStateException")]
    rig.give(FIRST, SECOND)
    assert rig.listener.next_action() is FIRST
    rig.ask()
    error = rig.answer()
    assert isinstance(error, CheckpointRefusedError)
    assert error.name == "InvalidStateException"
    assert not rig.listener.lease_refused


def test_who_waits_is_let_go_when_the_shard_is_given_up_and_never_asked_for(rig: Rig) -> None:
    rig.give(FIRST)
    assert rig.listener.next_action() is FIRST
    rig.hears("listens", FIRST, "listens")
    rig.ask()
    rig.stop.set()
    assert isinstance(rig.answer(), Stopped)
    rig.give(SECOND, TICK)
    assert rig.listener.next_action() is SECOND
    assert rig.listener.next_action() is TICK
    rig.hears("listens", FIRST, "listens", SECOND, "listens", TICK, "listens")


def test_a_daemon_that_dies_ends_the_actions_and_who_waits_for_a_checkpoint(rig: Rig) -> None:
    rig.give(FIRST)
    assert rig.listener.next_action() is FIRST
    rig.ask()
    rig.give(None)
    assert rig.listener.next_action() is None
    assert isinstance(rig.answer(), DaemonGone)
    rig.ask()
    assert isinstance(rig.answer(), DaemonGone)


@pytest.mark.parametrize("error", [DaemonGone("it went"), ProtocolError("what is this")])
def test_a_daemon_that_goes_while_it_is_asked_is_told_to_both(rig: Rig, error: Exception) -> None:
    rig.daemon.refusals = [error]
    rig.give(FIRST, SECOND)
    assert rig.listener.next_action() is FIRST
    rig.ask()
    assert rig.answer() is error
    assert rig.listener.next_action() is SECOND
    with pytest.raises(type(error)):
        rig.listener.next_action()


def test_a_word_that_is_no_action_is_raised_where_actions_are_taken(rig: Rig) -> None:
    rig.give(ProtocolError("what is this"))
    with pytest.raises(ProtocolError, match="what is this"):
        rig.listener.next_action()


def test_what_is_held_at_the_end_stays_unanswered(rig: Rig) -> None:
    rig.give(FIRST, SECOND)
    assert rig.listener.next_action() is FIRST
    rig.hears("listens", FIRST, "listens")
    rig.listener.end()
    rig.until(rig.listener._over.is_set)
    rig.hears("listens", FIRST, "listens")


def test_a_throttled_lease_table_is_asked_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("consumer.listener._BACKOFF_SECONDS_MAX", 0.001)
    rig.daemon.refusals = [CheckpointRefusedError("ThrottlingException")] * 3
    rig.give(FIRST, SECOND)
    assert rig.listener.next_action() is FIRST
    rig.ask()
    assert rig.answer() is None
    rig.hears("listens", FIRST, "listens", *[("7", 2)] * 4)
