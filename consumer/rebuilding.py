"""A shard's state at its checkpoint, made anew from the stream and from what lies in the bucket."""

from collections.abc import Callable

import msgspec

from anomaly.state import StateError
from consumer.lease import Lease
from consumer.lease_table import LeaseRow
from consumer.lineage import Lineage
from consumer.pipeline import Pipeline
from consumer.rebuild_records import StreamOrArchive
from consumer.rebuild_replay import Replay, Replayed
from consumer.rebuild_rows import RebuildError, ShardRows, Standing
from consumer.rebuild_start import Start, Starts
from consumer.rotation import SLICES_MAX, Slices
from consumer.shard_records import ShardRecords, Since
from consumer.snapshot import Snapshot, SnapshotError, State, merged
from consumer.snapshots import Snapshots
from events.instant import Instant
from events.position import Position
from sinks.fence import Fence
from sinks.object_store import ObjectStore


class Places(msgspec.Struct, frozen=True):
    """What a rebuild reads from and writes to."""

    row: Callable[[str], LeaseRow | None]
    lease: Lease
    fence: Fence
    lineage: Lineage
    records: ShardRecords | StreamOrArchive
    snapshot_store: ObjectStore
    lake: ObjectStore
    staging: str
    standing: Standing


class Made(msgspec.Struct, frozen=True):
    """What was done for one shard, or would be."""

    shard_id: str
    checkpoint: str
    start: str
    """What was begun from, in words."""
    read: Replayed
    lost_rows: int
    """Rows that lay nowhere any more."""
    shops: int = 0
    open_hours: int = 0
    staged_rows: int = 0
    pages: int = 0
    snapshot_bytes: int = 0


class Rebuild:
    """Makes snapshots of the checkpoints that shards have.

    Args:
        places: the services.
        snapshots: the snapshots of a shard, not yet taken.
        pipeline: a pipeline around a state, and its model's version.
        key_groups: as the settings say.
        clock: the time now.
    """

    def __init__(
        self,
        places: Places,
        snapshots: Callable[[str], Snapshots],
        pipeline: Callable[[State], Pipeline],
        model_version: str,
        key_groups: int,
        *,
        clock: Callable[[], Instant],
    ) -> None:
        self._places = places
        self._snapshots = snapshots
        self._pipeline = pipeline
        self._model_version = model_version
        self._key_groups = key_groups
        self._clock = clock

    def refused(self, shard_id: str) -> str | None:
        """Why the worker refuses the shard's snapshot; None where there is nothing to rebuild.

        Raises:
            RebuildError: KCL does not know the shard.
        """
        row = self._row(shard_id)
        if row.checkpoint is None:
            return None
        held = self._places.fence.look(shard_id)
        snapshots = self._snapshots(shard_id)
        try:
            members = snapshots.members(shard_id, held, row.checkpoint)
            found = merged(members)
            self._pipeline(found)
        except (SnapshotError, StateError) as error:
            return str(error).split(". Nothing was changed", maxsplit=1)[0]
        lost = self._rows(row).first_lost(found.hours)
        if lost is None:
            return None
        return f"staged parts are gone or broken, of hours that begin at {lost.slug}"

    def run(
        self,
        shard_id: str,
        *,
        since: Since | None = None,
        dry_run: bool = False,
        progress: Callable[[int], None] = lambda _: None,
    ) -> Made:
        """Make the snapshot of the shard's checkpoint, and note it as the one that counts.

        `since` is where to begin from nothing; without it, the newest good snapshot is gone on
        from, and where there is none the oldest record. `progress` is told the
        milliseconds that are left to the stream's tip.

        Raises:
            FencedOff: a worker holds the shard, or took it meanwhile.
            RebuildError: it has no checkpoint, or the checkpoint moved.
        """
        places, snapshots = self._places, self._snapshots(shard_id)
        if not dry_run:
            snapshots.take(places.lease)
        row = self._row(shard_id)
        if row.checkpoint is None:
            raise RebuildError(f"{shard_id} has no checkpoint: a worker begins it from its start")
        held = places.fence.look(shard_id)
        left = self._starts(snapshots).left(shard_id, held, row.checkpoint)
        start, pipeline = self._start(snapshots, row, since)
        replay, read = self._replayed(row, start, pipeline, since, left, progress)
        lost = self._rows(row).first_lost(left.written.hours if left else start.state.hours)
        again: Replay | None = None
        if lost is not None:
            # For the rows alone: the state of the first replay is the better one.
            earlier, pipeline = self._start(snapshots, row, since, lost)
            again, _ = self._replayed(row, earlier, pipeline, since, None, progress)
        rows = again or replay
        made = Made(shard_id, row.checkpoint, start.words, read, rows.lost_rows)
        if dry_run:
            return made
        name = f"rebuilt-{held.epoch}"
        state = replay.state(name)
        if again is not None:
            state.hours = again.state(name).hours
        size = snapshots.write(row.checkpoint, state, Slices(0, SLICES_MAX), self._model_version)
        if self._row(shard_id).checkpoint != row.checkpoint:
            raise RebuildError(
                f"the checkpoint of {shard_id} moved meanwhile: a worker is running. Stop it, and "
                "try again"
            )
        return msgspec.structs.replace(
            made,
            shops=len(state.shops),
            open_hours=len(state.hours.open),
            staged_rows=rows.staged_rows,
            pages=len(state.pages),
            snapshot_bytes=size,
        )

    def _replayed(
        self,
        row: LeaseRow,
        start: Start,
        pipeline: Pipeline,
        since: Since | None,
        left: Snapshot | None,
        progress: Callable[[int], None],
    ) -> tuple[Replay, Replayed]:
        places, shard_id = self._places, row.shard_id
        replay = Replay(
            shard_id, start, pipeline, row.position, left, self._rows(row), places.standing
        )
        own = places.lineage.of(shard_id).own
        forgotten = places.records.forgets_before(self._clock())
        return replay, replay.run(places.records, own, since, forgotten, progress)

    def _rows(self, row: LeaseRow) -> ShardRows:
        return ShardRows(self._places.lake, self._places.staging, row.shard_id, row.position)

    def _start(
        self,
        snapshots: Snapshots,
        row: LeaseRow,
        since: Since | None,
        before: Position | None = None,
    ) -> tuple[Start, Pipeline]:
        """What to begin from; with `before`, it lies before that position."""
        starts = self._starts(snapshots)
        if since is None:
            for start in starts.snapshots(row.shard_id, row.position):
                if before and start.position and start.position.order >= before.order:
                    continue
                try:
                    return start, self._pipeline(start.state)
                except StateError:
                    continue
        if since is not None and since.time is not None:
            start = Start(State(), None, "nothing", whole=False)
        else:
            start = starts.parents(row.shard_id)
        return start, self._pipeline(start.state)

    def _starts(self, snapshots: Snapshots) -> Starts:
        places = self._places
        return Starts(places.snapshot_store, snapshots, places.lineage, self._key_groups)

    def _row(self, shard_id: str) -> LeaseRow:
        row = self._places.row(shard_id)
        if row is None:
            raise RebuildError(f"the lease table does not know {shard_id}")
        return row
