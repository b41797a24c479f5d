"""The commit of one batch: five steps, whose order promises that nothing is lost or doubled."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import msgspec

from consumer.hours import Hours
from consumer.pipeline import Cut
from consumer.snapshot import SHARD_END, Snapshots, State
from events.batch import Batch
from events.position import Position
from events.rejection import Rejection
from sinks.parquet import ClosedHour
from sinks.sink import Sink, Written


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


class Checkpoint(Protocol):
    """Asks KCL for the checkpoint; None is the end of the shard."""

    def __call__(self, position: Position | None) -> None:
        """Return when the lease table has accepted it; raise where the lease fenced it off."""
        ...


class Committed(msgspec.Struct, frozen=True):
    """What one commit did, for metrics and logs."""

    position: str
    records: int
    scored: int
    rejections: int
    snapshot_bytes: int
    hours_published: int


class Committer:
    """Commits the batches of one shard, in order, one at a time."""

    def __init__(
        self,
        sinks: Sequence[Sink],
        dead_letters: DeadLetters,
        lake: Lake,
        snapshots: Snapshots,
        hours: Hours,
        state: State,
        model_version: str,
    ) -> None:
        self._sinks = sinks
        self._dead_letters = dead_letters
        self._lake = lake
        self._snapshots = snapshots
        self._hours = hours
        self._state = state
        self._model_version = model_version

    def commit(
        self,
        cut: Cut,
        checkpoint: Checkpoint,
        *,
        close_hours: bool = False,
        shard_end: bool = False,
    ) -> Committed:
        """Take one batch all the way; a crash between any two steps loses and doubles nothing.

        Args:
            cut: the batch, and the state behind its last record.
            checkpoint: asks KCL, and returns when it is accepted.
            close_hours: close every open hour, as an idle shard and a shard's end do.
            shard_end: checkpoint the end of the shard rather than a position.
        """
        batch = cut.batch
        position = SHARD_END if shard_end else batch.last.slug

        # 1. Every sink has durably taken everything up to the position.
        rejections = list(batch.rejections)
        if batch.records:
            for written in self._write_all(batch):
                rejections.extend(written.rejections)
                self._hours.add(written.staged, cut.watermark)

        # 2. Every rejection up to it is in the dead-letter queue.
        if rejections:
            self._dead_letters.write_rejections(rejections)

        # 3. The snapshot of the position is durable under a name that carries it.
        self._hours.close(everything=close_hours or shard_end)
        snapshot_bytes = self._write_snapshot(cut, position)

        # 4. The checkpoint is accepted; a worker that lost its lease cannot pass here.
        checkpoint(None if shard_end else batch.last)

        # 5. What the snapshot says is to be published is published.
        published = self.publish()
        self._snapshots.collect()
        return Committed(
            position=position,
            records=batch.records,
            scored=len(batch.scored),
            rejections=len(rejections),
            snapshot_bytes=snapshot_bytes,
            hours_published=published,
        )

    def _write_all(self, batch: Batch) -> list[Written]:
        """Write to all sinks at a time: one waits for its service while another builds bytes.

        All of them have ended when this returns or raises what the first of them raised.
        """
        with ThreadPoolExecutor(len(self._sinks), thread_name_prefix="sink") as threads:
            return list(threads.map(lambda sink: sink.write(batch), self._sinks))

    def publish(self) -> int:
        """Publish the closed hours; also what a restart redoes first. The number of hours."""
        closed = tuple(self._hours.state.to_publish)
        if closed:
            self._lake.publish_many(closed)
            self._lake.discard(self._hours.published(closed))
        return len(closed)

    def _write_snapshot(self, cut: Cut, position: str) -> int:
        state = self._state
        state.shops.update(cut.detector.shops)
        state.groups.update(cut.detector.groups)
        state.hours = self._hours.state
        if cut.duplicates_all is not None:
            everything = State(
                shops=state.shops,
                groups=state.groups,
                duplicates=[cut.duplicates_all],
                hours=state.hours,
            )
            return self._snapshots.write(position, everything, self._model_version, base=True)
        changes = State(
            shops=cut.detector.shops,
            groups=cut.detector.groups,
            duplicates=[cut.duplicates],
            hours=state.hours,
        )
        return self._snapshots.write(position, changes, self._model_version, base=False)
