"""Commits without a thread."""

from collections.abc import Callable

from consumer.checkpoint import Checkpoint, Committer
from consumer.committing import Job
from consumer.telemetry import Commit


class CommittingInline:
    """Commits in the caller's thread: a schedule of calls then has one outcome."""

    def __init__(self, on_commit: Callable[[Commit], None] = lambda _: None) -> None:
        self._on_commit = on_commit
        self._committer: Committer | None = None
        self._checkpoint: Checkpoint | None = None

    busy = False

    def start(self, committer: Committer, checkpoint: Checkpoint) -> None:
        """Begin, with the publishing that is left over."""
        self._committer, self._checkpoint = committer, checkpoint
        committer.publish()

    def submit(self, job: Job) -> None:
        """Commit `job` to its end."""
        if self._committer is None or self._checkpoint is None:
            raise RuntimeError("a job came before the start")
        self._on_commit(
            self._committer.commit(
                job.cut, self._checkpoint, close_hours=job.close_hours, shard_end=job.shard_end
            )
        )

    def serve(self, wait: float = 0.0) -> None:
        """Nothing is ever left to do."""

    def end(self) -> None:
        """Nothing to end."""
