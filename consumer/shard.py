"""One shard's processor: takes the daemon's records, commits batches behind them.

Two threads share the work. The main one talks to the daemon, parses and scores; the committing one
writes batches to the sinks, so that scoring goes on while a service answers. At most one batch is
being committed while the next one fills: a slow sink stops the main thread, which stops the daemon,
which stops reading the stream. The daemon takes checkpoints only while it waits for an answer, so
the committing thread asks the main one for them.
"""

import logging
import queue
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

from consumer.checkpoint import Committed, Committer
from consumer.multilang import (
    Action,
    CheckpointRefusedError,
    Conversation,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ShardEnded,
    Shutdown,
    ShutdownRequested,
    WireRecord,
)
from consumer.pipeline import Cut, Pipeline
from events.position import Position
from events.record import Record
from sinks.sink import Stopped

_log = logging.getLogger("tillwatch.shard")
_WAIT_SECONDS = 0.05
_CHECKPOINT_TRIES_MAX = 10
_BACKOFF_SECONDS_MAX = 10.0


class LeaseLostError(Stopped):
    """Another worker holds the shard; what is not yet checkpointed is that worker's to redo."""


class Parts:
    """What a shard's processor is made of, once its position is known."""

    def __init__(
        self,
        pipeline: Pipeline,
        committer: Committer,
        *,
        base_due: Callable[[], bool],
        has_open_hours: Callable[[], bool],
    ) -> None:
        self.pipeline = pipeline
        self.committer = committer
        self.base_due = base_due
        self.has_open_hours = has_open_hours


class _Job:
    """One cut on its way through the committer."""

    def __init__(self, cut: Cut, *, close_hours: bool, shard_end: bool) -> None:
        self.cut = cut
        self.close_hours = close_hours
        self.shard_end = shard_end
        self.done = threading.Event()


class _CheckpointRequest:
    """The committing thread's question, answered by the main thread."""

    def __init__(self, position: Position | None) -> None:
        self.position = position
        self.answered = threading.Event()
        self.error: BaseException | None = None


class ShardProcessor:
    """Handles the daemon's actions for one shard, in the order they come."""

    def __init__(
        self,
        conversation: Conversation,
        build: Callable[[str, Position | None], Parts],
        *,
        stop: threading.Event,
        clock: Callable[[], float],
        batch_seconds_max: float,
        hours_close_idle_seconds: float,
        on_commit: Callable[[Committed], None] = lambda _: None,
    ) -> None:
        self._conversation = conversation
        self._build = build
        self._stop = stop
        self._clock = clock
        self._batch_seconds_max = batch_seconds_max
        self._hours_close_idle_seconds = hours_close_idle_seconds
        self._on_commit = on_commit
        self._jobs: queue.Queue[_Job | None] = queue.Queue(maxsize=1)
        self._requests: queue.Queue[_CheckpointRequest] = queue.Queue(maxsize=1)
        self._failure: BaseException | None = None
        self._job: _Job | None = None
        self._thread: threading.Thread | None = None
        self._parts: Parts | None = None
        self._shard_id = ""
        self._last: Position | None = None
        self._resumed_from: tuple[int, int] | None = None
        self._batch_began = 0.0
        self._last_record_at = 0.0
        self._behind_millis: int | None = None
        self._given_up = False
        self._finished = False

    def run(self) -> None:
        """Handle actions until the daemon closes the pipe or the shard is given up.

        An unexpected error leaves this function, unreported as done, and must end the process:
        the daemon then hands the shard out again from its last checkpoint.
        """
        try:
            while (action := self._conversation.next_action()) is not None:
                if not self._given_up:
                    with suppress(LeaseLostError):
                        self._handle(action)
                self._conversation.done(action)
        finally:
            self._stop.set()
            if self._thread is not None:
                with suppress(queue.Full):
                    self._jobs.put_nowait(None)
                self._thread.join(timeout=_BACKOFF_SECONDS_MAX)

    def _handle(self, action: Action) -> None:
        match action:
            case ProcessRecords():
                self._process(action)
            case Initialize():
                self._initialize(action)
            case ShutdownRequested():
                self._finish()
            case ShardEnded() | Shutdown(reason="TERMINATE"):
                self._finish(shard_end=True)
            case LeaseLost() | Shutdown():
                self._give_up()

    # -- actions ------------------------------------------------------------------------------

    def _initialize(self, action: Initialize) -> None:
        self._shard_id = action.shard_id
        sequence = action.sequence_number
        if sequence is not None and sequence.isdigit():
            self._last = Position(action.shard_id, sequence, action.sub_sequence_number or 0)
            self._resumed_from = self._last.order
        self._parts = self._build(action.shard_id, self._last)
        self._last_record_at = self._clock()
        self._thread = threading.Thread(target=self._commit_jobs, name="commit", daemon=True)
        self._thread.start()

    def _process(self, action: ProcessRecords) -> None:
        pipeline = self._require_parts().pipeline
        self._behind_millis = action.millis_behind_latest
        now = self._clock()
        if action.records:
            self._last_record_at = now
            if pipeline.empty:
                self._batch_began = now
            records = self._records(action.records)
            pipeline.take(records)
            while pipeline.full:
                self._submit(self._cut())
                self._batch_began = self._clock()
                pipeline.take(records)
        if not pipeline.empty:
            # A tip of the stream that trickles in waits for its batch; what is behind fills it.
            if self._clock() - self._batch_began >= self._batch_seconds_max and self._job is None:
                self._submit(self._cut())
        elif self._idle(now) and self._job is None:
            self._submit(self._cut(base=True), close_hours=True)
        self._serve()

    def _finish(self, *, shard_end: bool = False) -> None:
        """Commit everything taken so far, and wait until it is."""
        pipeline = self._require_parts().pipeline
        self._wait_for_job()
        if not pipeline.empty or (shard_end and self._last is not None):
            self._submit(self._cut(base=shard_end or None), shard_end=shard_end)
            self._wait_for_job()
        elif shard_end:
            try:
                self._checkpoint_now(None)
            except CheckpointRefusedError as error:
                if not error.lease_lost:
                    raise
                self._give_up()
        self._finished = True

    def _give_up(self) -> None:
        """From here on actions are answered and nothing is done: another worker has the shard."""
        if self._finished:
            _log.info("shard given back, committed to its last record")
        else:
            _log.warning("lease lost; leaving the rest to the worker that has it")
        self._stop.set()
        self._given_up = True

    # -- records ------------------------------------------------------------------------------

    def _records(self, wire: list[WireRecord]) -> Iterator[Record]:
        shard_id = self._shard_id
        for item in wire:
            position = Position(shard_id, item.sequence_number, item.sub_sequence_number or 0)
            if self._resumed_from is not None:
                if position.order <= self._resumed_from:
                    continue
                self._resumed_from = None
            arrived = item.approximate_arrival_timestamp
            self._last = position
            yield Record(
                position,
                item.data,
                item.partition_key,
                arrived * 1_000 if arrived is not None else None,
            )

    def _idle(self, now: float) -> bool:
        return (
            self._last is not None
            and now - self._last_record_at >= self._hours_close_idle_seconds
            and self._require_parts().has_open_hours()
        )

    def _cut(self, *, base: bool | None = None) -> Cut:
        parts = self._require_parts()
        return parts.pipeline.cut(
            self._behind_millis,
            base=parts.base_due() if base is None else base,
            at=self._last,
        )

    # -- the committing thread -------------------------------------------------------------------

    def _submit(self, cut: Cut, *, close_hours: bool = False, shard_end: bool = False) -> None:
        self._wait_for_job()
        self._job = _Job(cut, close_hours=close_hours, shard_end=shard_end)
        self._jobs.put_nowait(self._job)

    def _wait_for_job(self) -> None:
        """Wait for the batch that is being committed: this is the backpressure."""
        while self._job is not None:
            self._serve(wait=_WAIT_SECONDS)

    def _serve(self, wait: float = 0.0) -> None:
        """Ask the daemon for the checkpoint that the committing thread waits for, if any."""
        try:
            request = self._requests.get(timeout=wait) if wait else self._requests.get_nowait()
        except queue.Empty:
            request = None
        if request is not None:
            try:
                self._checkpoint_now(request.position)
            except CheckpointRefusedError as error:
                request.error = error
            request.answered.set()
        if self._job is not None and self._job.done.is_set():
            self._job = None
        if self._failure is not None:
            failure, self._failure = self._failure, None
            if isinstance(failure, Stopped):
                self._give_up()
                raise LeaseLostError("the shard was given up") from failure
            raise failure

    def _checkpoint_now(self, position: Position | None) -> None:
        """Ask for the checkpoint, through a throttled lease table with backoff and full jitter."""
        for attempt in range(_CHECKPOINT_TRIES_MAX):
            try:
                if position is None:
                    self._conversation.checkpoint(None, None)
                else:
                    self._conversation.checkpoint(
                        position.sequence_number, position.sub_sequence_number
                    )
            except CheckpointRefusedError as error:
                if not error.transient or attempt == _CHECKPOINT_TRIES_MAX - 1:
                    raise
                _log.warning("checkpoint not taken yet: %s", error.name)
                pause = random.uniform(0, min(_BACKOFF_SECONDS_MAX, 0.1 * 2**attempt))
                self._stop.wait(pause)
            else:
                return

    def _commit_jobs(self) -> None:
        """The committing thread's life: one job after the other, until told to stop."""
        committer = self._require_parts().committer
        try:
            committer.publish()  # step 5 of the checkpoint that this shard was restored from
            while (job := self._jobs.get()) is not None:
                committed = committer.commit(
                    job.cut,
                    self._ask,
                    close_hours=job.close_hours,
                    shard_end=job.shard_end,
                )
                self._on_commit(committed)
                job.done.set()
        except BaseException as error:  # noqa: BLE001 -- handed to the main thread, which raises it
            self._failure = error

    def _ask(self, position: Position | None) -> None:
        """Have the main thread checkpoint; called by the committer as its step 4."""
        request = _CheckpointRequest(position)
        self._requests.put_nowait(request)
        while not request.answered.wait(_WAIT_SECONDS):
            if self._stop.is_set():
                raise LeaseLostError("the shard was given up before its checkpoint")
        if request.error is not None:
            if isinstance(request.error, CheckpointRefusedError) and request.error.lease_lost:
                raise LeaseLostError("the lease fenced the checkpoint off") from request.error
            raise request.error

    def _require_parts(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("the daemon sent another action before initialize")
        return self._parts
