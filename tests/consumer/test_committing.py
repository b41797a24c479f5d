"""The committing thread: one job after the other, errors come to the main thread, nothing hangs."""

import queue
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from consumer.checkpoint import Ready
from consumer.committing import CommittingThread, Job
from consumer.pipeline import Cut
from consumer.telemetry import Commit
from events.position import Position
from sinks.fence import FencedOff
from sinks.sink import Stopped

DEADLINE_SECONDS = 60
AT = Position("shardId-0", "7")


class Script:
    """A committer that does what it is told: one step per commit."""

    def __init__(self, *steps: Callable[[Any], None], begin: Callable[[], int] = lambda: 0) -> None:
        self._steps = list(steps)
        self._begin = begin
        self.taken: list[tuple[object, bool, bool]] = []
        self.published = 0

    def publish(self) -> int:
        self.published += 1
        return self._begin()

    def commit(
        self,
        cut: Cut,
        checkpoint: Any,
        *,
        ready: Ready,
        close_hours: bool = False,
        shard_end: bool = False,
    ) -> Commit:
        assert ready == f"{cut} in bytes"
        self.taken.append((cut, close_hours, shard_end))
        self._steps.pop(0)(checkpoint)
        return Commit(position=f"{len(self.taken)}-0")


class Rig:
    """A thread, the checkpoints it asked for, and what it said it committed."""

    def __init__(self) -> None:
        self.commits: list[str] = []
        self.asked: list[tuple[Position | None, str]] = []
        self.refusal: Exception | None = None
        self.thread = CommittingThread(lambda commit: self.commits.append(commit.position))

    def start(self, committer: Script) -> Script:
        self.thread.start(committer, self._checkpoint)  # type: ignore[arg-type]  # as much of it
        return committer

    def serve_until(self, true: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not true():
            assert time.monotonic() < deadline
            self.thread.serve(wait=0.05)

    def _checkpoint(self, position: Position | None) -> None:
        self.asked.append((position, threading.current_thread().name))
        if self.refusal is not None:
            raise self.refusal


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.thread.end()
    assert made.thread._thread is None or not made.thread._thread.is_alive()


def asking(position: Position | None) -> Callable[[Any], None]:
    return lambda checkpoint: checkpoint(position)


def job(name: str, **more: bool) -> Job:
    return Job(name, f"{name} in bytes", **more)  # type: ignore[arg-type]  # the thread never looks into a cut


def test_it_publishes_first_and_then_commits_one_job_after_the_other(rig: Rig) -> None:
    script = rig.start(Script(asking(AT), asking(None)))
    assert not rig.thread.busy
    for one in (job("a", close_hours=True), job("b", shard_end=True)):
        rig.thread.submit(one)
        assert rig.thread.busy
        rig.serve_until(lambda: not rig.thread.busy)
    assert script.published == 1
    assert script.taken == [("a", True, False), ("b", False, True)]
    assert rig.commits == ["1-0", "2-0"]
    assert rig.asked == [(AT, "commit"), (None, "commit")]


def test_a_job_that_is_done_is_not_held_until_the_next_one_comes(rig: Rig) -> None:
    class Taken:
        """A cut that a test can tell of."""

    script = rig.start(Script(asking(AT)))
    cut = Taken()
    held = weakref.ref(cut)
    rig.thread.submit(Job(cut, f"{cut} in bytes"))  # type: ignore[arg-type]  # likewise
    del cut
    rig.serve_until(lambda: not rig.thread.busy)
    script.taken.clear()
    assert held() is None


def test_without_anything_to_do_serving_returns_at_once(rig: Rig) -> None:
    rig.start(Script())
    rig.thread.serve()
    rig.thread.serve(wait=0.01)
    assert rig.asked == []


def test_a_refused_checkpoint_is_raised_in_the_commit_and_then_in_the_main_thread(
    rig: Rig,
) -> None:
    seen: list[BaseException] = []

    def noting(checkpoint: Any) -> None:
        try:
            checkpoint(AT)
        except FencedOff as error:
            seen.append(error)
            raise

    rig.start(Script(noting))
    rig.refusal = FencedOff("another has it")
    rig.thread.submit(job("a"))
    with pytest.raises(FencedOff, match="another has it"):
        rig.serve_until(lambda: False)
    assert seen == [rig.refusal]
    assert not rig.thread.busy
    assert rig.commits == []


@pytest.mark.parametrize("error", [ValueError("a bug"), Stopped("told to"), KeyboardInterrupt()])
def test_whatever_a_commit_ends_with_reaches_the_main_thread(
    rig: Rig, error: BaseException
) -> None:
    def fail(_: Any) -> None:
        raise error

    rig.start(Script(fail))
    rig.thread.submit(job("a"))
    with pytest.raises(type(error)) as raised:
        rig.serve_until(lambda: False)
    assert raised.value is error
    assert not rig.thread.busy


def test_what_the_first_publishing_fails_with_is_raised_too(rig: Rig) -> None:
    def lost() -> int:
        raise LookupError("pieces are lost")

    rig.start(Script(begin=lost))
    with pytest.raises(LookupError, match="pieces are lost"):
        rig.serve_until(lambda: False)


def test_ending_without_a_start_or_twice_is_nothing(rig: Rig) -> None:
    rig.thread.end()
    rig.start(Script())
    rig.thread.end()
    rig.thread.end()


def test_an_end_behind_jobs_that_nobody_takes_does_not_hang(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("consumer.committing._JOIN_SECONDS_MAX", 0.01)
    hanging = threading.Event()
    rig.start(Script(lambda _: hanging.wait(DEADLINE_SECONDS) and None))
    for name in "abc":
        try:
            rig.thread.submit(job(name))
        except queue.Full:
            break
    rig.thread.end()
    assert rig.thread._thread is not None
    hanging.set()
    monkeypatch.undo()


def test_what_a_job_says_has_room(rig: Rig) -> None:
    """The end of a job fits without anybody serving: the thread never blocks."""
    rig.start(Script(asking(AT), lambda _: None))
    rig.thread.submit(job("a"))
    rig.serve_until(lambda: not rig.thread.busy)
    rig.thread.submit(job("b"))
    deadline = time.monotonic() + DEADLINE_SECONDS
    while rig.thread._said.empty():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert rig.thread.busy, "it is not done before it is served"
    rig.thread.serve()
    assert not rig.thread.busy
