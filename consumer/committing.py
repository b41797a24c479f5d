"""Who commits: a thread beside the one that scores, which alone may talk to the daemon."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from consumer.checkpoint import Checkpoint, Committer, Ready
from consumer.pipeline import Cut
from consumer.telemetry import Commit
from events.position import Position
from sinks.sink import Stopped

_WAIT_SECONDS = 0.2
"""How often a thread that waits for the other looks whether it is still wanted."""
_JOIN_SECONDS_MAX = 10.0


class Job(msgspec.Struct, frozen=True):
    """One cut on its way through the committer."""

    cut: Cut
    ready: Ready
    close_hours: bool = False
    shard_end: bool = False


class Committing(Protocol):
    """Commits one job after the other."""

    def start(self, committer: Committer, checkpoint: Checkpoint) -> None:
        """Begin: redo the publishing of the checkpoint that the shard was restored from."""
        ...

    @property
    def busy(self) -> bool:
        """Whether a job is on its way."""
        ...

    def submit(self, job: Job) -> None:
        """Begin `job`; the one before has ended."""
        ...

    def serve(self, wait: float = 0.0) -> None:
        """Do what the committer needs from this thread, and raise what it failed with.

        `wait` is how long to wait for something to do, in seconds, at most.
        """
        ...

    def end(self) -> None:
        """No more jobs come."""
        ...


class _Question(msgspec.Struct):
    """The committing thread's request for a checkpoint, and the main thread's answer."""

    position: Position | None
    answered: threading.Event
    error: Exception | None = None


class _Done(msgspec.Struct, frozen=True):
    """The job is committed."""


class CommittingThread:
    """Commits in a thread of its own, so that scoring goes on while a service answers.

    The daemon takes checkpoints only while it waits for an answer of its child's main thread. So
    the committing thread puts its questions, and the end of each job, into one queue, which the
    main thread serves. At most one job is on its way: the queue has room for what it may say.
    """

    def __init__(
        self, stop: threading.Event, on_commit: Callable[[Commit], None] = lambda _: None
    ) -> None:
        self._stop = stop
        self._on_commit = on_commit
        self._jobs: queue.Queue[Job | None] = queue.Queue(maxsize=2)
        self._said: queue.Queue[_Question | _Done | BaseException] = queue.Queue(maxsize=4)
        self._busy = False
        self._thread: threading.Thread | None = None
        self._checkpoint: Checkpoint | None = None

    def start(self, committer: Committer, checkpoint: Checkpoint) -> None:
        """Begin; `checkpoint` is called in the thread that calls `serve`."""
        self._checkpoint = checkpoint
        self._thread = threading.Thread(
            target=self._run, args=(committer,), name="commit", daemon=True
        )
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a job is on its way."""
        return self._busy

    def submit(self, job: Job) -> None:
        """Begin `job`."""
        self._busy = True
        self._jobs.put_nowait(job)

    def serve(self, wait: float = 0.0) -> None:
        """Answer what was asked, or raise what the other thread ended with."""
        try:
            said = self._said.get(timeout=wait) if wait else self._said.get_nowait()
        except queue.Empty:
            return
        match said:
            case _Question():
                self._answer(said)
            case _Done():
                self._busy = False
            case _:
                self._busy = False
                raise said

    def end(self) -> None:
        """End the thread; one that hangs in a call is left to the end of the process."""
        if self._thread is not None:
            with suppress(queue.Full):
                self._jobs.put_nowait(None)
            self._thread.join(timeout=_JOIN_SECONDS_MAX)

    def _answer(self, question: _Question) -> None:
        if self._checkpoint is None:
            raise RuntimeError("a checkpoint was asked for before the start")
        try:
            self._checkpoint(question.position)
        except Exception as error:  # noqa: BLE001 -- raised where it was asked for
            question.error = error
        question.answered.set()

    def _run(self, committer: Committer) -> None:
        try:
            committer.publish()  # step 5 of the checkpoint that this shard was restored from
            while (job := self._jobs.get()) is not None:
                committed = committer.commit(
                    job.cut,
                    self._ask,
                    ready=job.ready,
                    close_hours=job.close_hours,
                    shard_end=job.shard_end,
                )
                self._on_commit(committed)
                self._said.put_nowait(_Done())
        except BaseException as error:  # noqa: BLE001 -- the main thread raises it
            self._said.put_nowait(error)

    def _ask(self, position: Position | None) -> None:
        """Have the main thread checkpoint; called by the committer as its step 4."""
        question = _Question(position, threading.Event())
        self._said.put_nowait(question)
        while not question.answered.wait(_WAIT_SECONDS):
            if self._stop.is_set():
                raise Stopped("the shard was given up before its checkpoint")
        if question.error is not None:
            raise question.error
