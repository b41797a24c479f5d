"""The stretch of event time that a live worker and its shadow have both seen, shard by shard."""

from collections.abc import Iterable, Mapping

import msgspec

from consumer.lease_table import LeaseRow, LeaseTable
from consumer.snapshot import SnapshotError, decode
from events.instant import Instant
from sinks.fence import Fence
from sinks.object_store import ObjectStore
from sinks.shadow_notes import Begun, Hole

LOOKS_MAX = 5
"""A worker that commits meanwhile moves its checkpoint: then it is looked up again."""


class Stand(msgspec.Struct, frozen=True):
    """How far an application has come in a shard: its checkpoint, and event time there."""

    checkpoint: str
    watermark: Instant | None
    model_version: str = ""
    """Of the configuration that it was come to with."""


class Seen(msgspec.Struct, frozen=True):
    """From `begin` on, None is always; in each shard up to the time in `ends`, None is not at all.

    Shards that neither application knows any more have been gone through by both.
    """

    begin: Instant | None
    ends: dict[str, Instant | None]

    def holds(self, shard_id: str, at: Instant) -> bool:
        """Whether both have seen what occurred at `at` in the shard."""
        if self.begin is not None and at < self.begin:
            return False
        end = self.ends.get(shard_id, at)
        return end is not None and at <= end

    @property
    def end(self) -> Instant | None:
        """The last moment that both have seen anywhere."""
        return max((end for end in self.ends.values() if end is not None), default=None)

    def within(self, begin: Instant | None, end: Instant | None) -> "Seen":
        """No more of it than lies between two times, where they are given."""
        begins = [one for one in (self.begin, begin) if one is not None]
        ends = {
            shard_id: one if one is None or end is None else min(one, end)
            for shard_id, one in self.ends.items()
        }
        return Seen(max(begins, default=None), ends)


def seen(
    live: Mapping[str, Stand],
    shadow: Mapping[str, Stand],
    begun: Iterable[Begun],
    holes: Iterable[Hole],
    lateness: Instant,
    kept: Instant,
) -> Seen:
    """What both have seen.

    Where one is ahead of the other, the last `lateness` of what is behind does not count yet: a
    late record may still open a page there. What the shadow told longer than `kept` ago is deleted,
    and so may be the notes of where it began; the live worker's pages of then may be there yet.
    Behind a hole it begins anew: nobody is to promote on what was not seen.
    """
    ends: dict[str, Instant | None] = {}
    for shard_id in live.keys() | shadow.keys():
        one, other = live.get(shard_id), shadow.get(shard_id)
        marks = [stand.watermark for stand in (one, other) if stand is not None]
        if one is None or other is None or None in marks:
            ends[shard_id] = None
            continue
        end = min(mark for mark in marks if mark is not None)
        ends[shard_id] = end if one.checkpoint == other.checkpoint else end - lateness
    every = [stand.watermark for stand in (*live.values(), *shadow.values())]
    begins = [mark - kept for mark in every if mark is not None]
    begins += [one.at for one in begun if one.at is not None]
    begins += [one.end for one in holes if one.end is not None]
    return Seen(max(begins, default=None), ends)


def stands(table: LeaseTable, fence: Fence, store: ObjectStore) -> dict[str, Stand]:
    """Where an application stands, by shard; shards without a checkpoint are left out.

    Raises:
        SnapshotError: the snapshot of a checkpoint cannot be read.
    """
    found = (_stand(row, table, fence, store) for row in table.rows())
    return {shard_id: stand for shard_id, stand in found if stand is not None}


def _stand(
    row: LeaseRow | None, table: LeaseTable, fence: Fence, store: ObjectStore
) -> tuple[str, Stand | None]:
    assert row is not None  # noqa: S101 -- it was listed
    shard_id = row.shard_id
    for _ in range(LOOKS_MAX):
        if row is None or row.checkpoint is None:
            return shard_id, None
        key = fence.look(shard_id).snapshots.get(row.checkpoint)
        if key is not None:
            try:
                found = decode(key, store.get(key))
            except KeyError:
                pass
            else:
                watermark = found.written.hours.watermark
                return shard_id, Stand(row.checkpoint, watermark, found.model_version)
        row = table.row(shard_id)
    raise SnapshotError(f"the snapshot of the checkpoint of {shard_id} is not to be found")
