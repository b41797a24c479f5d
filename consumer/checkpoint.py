"""The commit of one batch: five steps, whose order promises that nothing is lost or doubled."""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from typing import Protocol

import msgspec

from consumer.hours import Hours
from consumer.outbox import Outbox
from consumer.pipeline import Cut
from consumer.reject_share import RejectShare
from consumer.rotation import Whole
from consumer.snapshot import SHARD_END, State
from consumer.snapshots import Snapshots
from consumer.telemetry import Commit
from events.batch import Batch
from events.instant import Instant
from events.position import Position
from events.rejection import Rejection
from sinks.parquet import ClosedHour
from sinks.prepared import prepared, without
from sinks.sink import Sink, StagedPart, Stopped, Written

_log = logging.getLogger("tillwatch.commit")


class DeadLetters(Protocol):
    """Where rejections go."""

    def write_rejections(self, rejections: Sequence[Rejection]) -> None:
        """Return when all of them are durable."""
        ...


class Lake(Protocol):
    """Where closed hours are published."""

    def publish_many(self, closed: Sequence[ClosedHour]) -> list[str]:
        """Write every hour's final file; an hour that was published before stays as it is."""
        ...

    def discard(self, keys: Sequence[str]) -> None:
        """Delete staged parts that nothing needs any more."""
        ...

    def staged(self, shard_id: str) -> list[str]:
        """The keys of all staged parts of the shard, whoever staged them."""
        ...


class EndFollows(Exception):  # noqa: N818 -- nothing is wrong
    """The shard has ended: its end is to be checkpointed, and no position before it.

    KCL notes the end of the shard for the position of its last record, once it has said that the
    shard ended. That must not be before the snapshot of the end, which the shard's children read.
    """


class Checkpoint(Protocol):
    """Asks KCL for the checkpoint; None is the end of the shard."""

    def __call__(self, position: Position | None) -> None:
        """Return when the lease table has accepted it; raise where the lease fenced it off.

        Raises:
            EndFollows: nothing was asked for, as the checkpoint of the end comes next.
        """
        ...


class Ready(msgspec.Struct):
    """A batch, without what no sink can build, and how its bytes are written to each sink."""

    batch: Batch
    writes: list[Callable[[], Written]]

    def taken(self) -> list[Callable[[], Written]]:
        """`writes`, once: who takes them lets their bytes go, whoever holds this yet."""
        writes, self.writes = self.writes, []
        return writes


class Committer:
    """Commits the batches of one shard, in order, one at a time."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        dead_letters: DeadLetters,
        lake: Lake,
        snapshots: Snapshots,
        hours: Hours,
        outbox: Outbox,
        restored: State,
        model_version: str,
        *,
        stop: threading.Event,
        reject_share: RejectShare,
    ) -> None:
        self._sinks = sinks
        self._dead_letters = dead_letters
        self._lake = lake
        self._snapshots = snapshots
        self._hours = hours
        self._outbox = outbox
        self._whole = Whole(restored.shops, restored.groups)
        self._model_version = model_version
        self._stop = stop
        self._reject_share = reject_share
        self._left_over: list[str] | None = None

    def prepare(self, cut: Cut) -> Ready:
        """The bytes of `cut` for every sink. Pure, so another cut may be committed meanwhile.

        They are let go of when they are written: two batches have theirs at a time, at most.
        """
        batch = cut.batch
        if not batch.records:  # it only closes hours, or the shard: nothing goes to the sinks
            return Ready(batch, [])
        return Ready(*prepared(self._sinks, batch, self._model_version))

    def commit(
        self,
        cut: Cut,
        checkpoint: Checkpoint,
        *,
        ready: Ready | None = None,
        close_hours: bool = False,
        shard_end: bool = False,
    ) -> Commit:
        """Take one batch all the way; a crash between any two steps loses and doubles nothing.

        Args:
            cut: the batch, and the state behind its last record.
            checkpoint: asks KCL, and returns when it is accepted.
            ready: what `prepare` gave for this cut, if it was asked.
            close_hours: close every open hour, as an idle shard and a shard's end do.
            shard_end: checkpoint the end of the shard rather than a position.
        """
        began = time.perf_counter()
        batch = cut.batch
        position = SHARD_END if shard_end else batch.last.slug

        # 1. Every sink has durably taken everything up to the position; pages are on their way.
        self._outbox.add(batch.pages)
        if batch.records:
            batch, staged = self._write_everywhere(ready or self.prepare(cut))
            for part in staged:
                self._hours.add(part, cut.watermark)

        # 2. Every rejection up to it is in the dead-letter queue; too many of them stop the shard.
        self._reject_share.note(batch.records, len(batch.rejections))
        if batch.rejections:
            self._dead_letters.write_rejections(batch.rejections)

        # 3. The snapshot of the position is durable under a name that carries it.
        self._hours.close(everything=close_hours or shard_end)
        self._find_left_over(batch.last.shard_id)
        snapshot_began = time.perf_counter()
        snapshot_bytes = self._write_snapshot(cut, position)
        snapshot_seconds = time.perf_counter() - snapshot_began

        # 4. The checkpoint is accepted; a worker that lost its lease cannot pass here.
        published = 0
        try:
            checkpoint(None if shard_end else batch.last)
        except EndFollows:
            _log.info("the shard has ended: its end is checkpointed instead of %s", position)
        else:
            # 5. What the snapshot says is to be published is published.
            published = self.publish()
            self._clean_up(position, batch.arrived_at)
        return Commit(
            position=position,
            records=batch.records,
            record_bytes=cut.record_bytes,
            transactions=len(batch.scored),
            refunds=sum(1 for item in batch.scored if item.score is not None),
            pages=sum(1 for page in batch.pages if page.status == "open"),
            rejections=Counter(f"{entry.stage}/{entry.reason}" for entry in batch.rejections),
            repeated=cut.repeated,
            late=cut.late,
            hours_published=published,
            seconds=time.perf_counter() - began,
            snapshot_bytes=snapshot_bytes,
            snapshot_seconds=snapshot_seconds,
            hours_open=len(self._hours.state.open),
            parts_staged=len(self._hours.state.staged),
            pages_waiting=len(self._outbox.waiting()),
        )

    def _write_everywhere(self, ready: Ready) -> tuple[Batch, list[StagedPart | None]]:
        """Write to all sinks what all of them take; the rest is rejected, and stands in none.

        What a service refuses for good is found only by asking: then the others are written again,
        without it and over what they had.
        """
        batch, writes = ready.batch, ready.taken()
        while True:
            answers = self._write_all(writes)
            refused = [rejection for answer in answers for rejection in answer.rejections]
            if not refused:
                return batch, [answer.staged for answer in answers]
            batch = without(batch, refused, self._model_version)
            batch, writes = prepared(self._sinks, batch, self._model_version)

    def _write_all(self, writes: Sequence[Callable[[], Written]]) -> list[Written]:
        """Write to all sinks at a time: one waits for its service while another one's is busy.

        All of them have ended when this returns or raises. What one of them cannot do ends the
        process, so the others are told to stop waiting for theirs; it is said at once, and raised.
        """
        with ThreadPoolExecutor(len(writes), thread_name_prefix="sink") as threads:
            futures = [threads.submit(write) for write in writes]
            for future in as_completed(futures):
                self._note_failure(future, self._sinks[futures.index(future)].name)
        errors = [error for error in (one.exception() for one in futures) if error is not None]
        for error in sorted(errors, key=lambda error: isinstance(error, Stopped)):
            raise error
        return [future.result() for future in futures]

    def _note_failure(self, write: Future[Written], name: str) -> None:
        error = write.exception()
        if error is not None and not isinstance(error, Stopped):
            _log.error("%s cannot take the batch: %s", name, error, extra={"service": name})
            self._stop.set()

    def publish(self) -> int:
        """Publish the closed hours; also what a restart redoes first. The number of hours."""
        closed = tuple(self._hours.state.to_publish)
        if closed:
            self._lake.publish_many(closed)
            self._lake.discard(self._hours.published(closed))
        return len(closed)

    def _find_left_over(self, shard_id: str) -> None:
        """Look, at the first commit, which staged parts dead workers left over.

        Before the fence is passed (step 3): then nothing on the list is a successor's, however
        long this process stands still before it deletes what it found.
        """
        if self._left_over is None:
            kept = self._hours.state.staged
            self._left_over = [key for key in self._lake.staged(shard_id) if key not in kept]

    def _clean_up(self, position: str, arrived_at: Instant | None) -> None:
        """Delete what no restart needs; the first time also what dead workers left over.

        Only behind an accepted checkpoint: by then this process is known to have held the shard, so
        what neither its state nor its snapshots named was nobody's.
        """
        self._snapshots.checkpointed(position, arrived_at)
        if self._left_over:
            self._lake.discard(self._left_over)
            self._left_over = []

    def _write_snapshot(self, cut: Cut, position: str) -> int:
        self._whole.take(cut.detector.shops, cut.detector.groups)
        written = State(
            shops=cut.detector.shops | self._whole.shops_of(cut.slices),
            groups=cut.detector.groups | self._whole.groups_of(cut.slices),
            duplicates={group: [ids] for group, ids in cut.duplicates.items()},
            hours=self._hours.state,
            pages=self._outbox.waiting(),
            rejects=self._reject_share.recent,
        )
        return self._snapshots.write(position, written, cut.slices, self._model_version)
