"""Who commits: a thread beside the one that scores."""

import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol

import msgspec

from consumer.checkpoint import Checkpoint, Committer, Ready
from consumer.pipeline import Cut
from consumer.telemetry import Commit

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
        """Note whether the job has ended, and raise what it failed with.

        `wait` is how long to wait for its end, in seconds, at most.
        """
        ...

    def end(self) -> None:
        """No more jobs come."""
        ...


class _Done(msgspec.Struct, frozen=True):
    """The job is committed."""


class CommittingThread:
    """Commits in a thread of its own, so that scoring goes on while a service answers.

    The end of each job, and what the thread ends with, wait in a queue for the main thread. At most
    one job is on its way: there is room for what may be said.
    """

    def __init__(self, on_commit: Callable[[Commit], None] = lambda _: None) -> None:
        self._on_commit = on_commit
        self._jobs: queue.Queue[Job | None] = queue.Queue(maxsize=2)
        self._said: queue.Queue[_Done | BaseException] = queue.Queue(maxsize=4)
        self._busy = False
        self._thread: threading.Thread | None = None

    def start(self, committer: Committer, checkpoint: Checkpoint) -> None:
        """Begin; `checkpoint` is called in the committing thread."""
        self._thread = threading.Thread(
            target=self._run, args=(committer, checkpoint), name="commit", daemon=True
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
        """Note the end of the job, or raise what the other thread ended with."""
        try:
            said = self._said.get(timeout=wait) if wait else self._said.get_nowait()
        except queue.Empty:
            return
        self._busy = False
        if isinstance(said, BaseException):
            raise said

    def end(self) -> None:
        """End the thread; one that hangs in a call is left to the end of the process."""
        if self._thread is not None:
            with suppress(queue.Full):
                self._jobs.put_nowait(None)
            self._thread.join(timeout=_JOIN_SECONDS_MAX)

    def _run(self, committer: Committer, checkpoint: Checkpoint) -> None:
        try:
            committer.publish()  # step 5 of the checkpoint that this shard was restored from
            while (job := self._jobs.get()) is not None:
                committed = committer.commit(
                    job.cut,
                    checkpoint,
                    ready=job.ready,
                    close_hours=job.close_hours,
                    shard_end=job.shard_end,
                )
                self._on_commit(committed)
                del job  # or it would be held until the next one comes
                self._said.put_nowait(_Done())
        except BaseException as error:  # noqa: BLE001 -- the main thread raises it
            self._said.put_nowait(error)
