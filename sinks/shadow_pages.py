"""The pages of a shadow: rows of the bucket, under a folder of its own, and nobody is told."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from events.batch import Batch
from events.instant import Instant, to_iso
from events.position import Position
from sinks.object_store import ObjectStore
from sinks.page_rows import page_files
from sinks.prepared import Prepared
from sinks.shadow_notes import Begun, Hole, Notes
from sinks.sink import Written

_log = logging.getLogger("tillwatch.shadow")


class Unsure(msgspec.Struct, frozen=True):
    """A start of which only the first record that is delivered tells whether it leaves a hole.

    `after` is where the shard stands, None at its beginning; `last` is the last record that is
    known to have been seen, and `at` event time there. Unless `joined` says that the stream goes on
    from `last`, a first record behind it leaves a hole.
    """

    after: Position | None
    last: Position
    at: Instant | None
    joined: Callable[[], bool]


class ShadowPages:
    """Puts the pages of every batch below `folder` in `store`, as the lake has them.

    It takes nothing else and refuses nothing. The same records give the same states of pages, which
    are known by page and revision: written again, or cut otherwise, they count once.
    """

    name = "shadow"

    def __init__(self, store: ObjectStore, folder: str) -> None:
        self._store = store
        self._folder = folder
        self.notes = Notes(store, folder)
        self.begins_with_nothing = False
        """Whether the next transaction that is written is the first that the shadow ever saw."""
        self.unsure: Unsure | None = None

    def write(self, batch: Batch) -> Written:
        """Make the pages of `batch` durable; see Sink."""
        return self.prepare(batch).write()

    def prepare(self, batch: Batch) -> Prepared:
        """The pages of `batch` as files, and the notes that go with them; see Builder."""
        seen = next((item.transaction.occurred_at for item in batch.scored), None)
        begun = None if seen is None else Begun(at=seen, first=batch.first.slug)
        files = list(page_files(batch))
        shard_id = batch.last.shard_id
        return Prepared(partial(self._put, shard_id, files, begun, self._hole(batch)))

    def close(self) -> None:
        """Nothing to let go of: the store belongs to who made it."""

    def _hole(self, batch: Batch) -> Hole | None:
        """The one before `batch`, if it is the first since the start and there is one."""
        unsure = self.unsure
        if unsure is None or batch.after != unsure.after:
            return None
        if batch.first.order <= unsure.last.order or unsure.joined():
            return None
        return Hole(
            shard_id=batch.first.shard_id,
            after=unsure.last.slug,
            first=batch.first.slug,
            begin=unsure.at,
            end=_begins(batch),
        )

    def _put(
        self,
        shard_id: str,
        files: Sequence[tuple[str, bytes]],
        begun: Begun | None,
        hole: Hole | None,
    ) -> Written:
        if hole is not None and self.notes.note_hole(hole):
            _log.warning(
                "the shadow is not known to have seen what came behind the one position and before "
                "the other: the stream had forgotten it, or was read from later on. Its pages are "
                "compared from behind it; `tillwatch shadow report` tells of it",
                extra={
                    "after": hole.after,
                    "first": hole.first,
                    "from": None if hole.begin is None else to_iso(hole.begin),
                    "to": None if hole.end is None else to_iso(hole.end),
                },
            )
        if self.begins_with_nothing and begun is not None:
            self.notes.note_begun(shard_id, begun)
            self.begins_with_nothing = False
        for key, body in files:
            self._store.put(self._folder + key, body)
        return Written()


def _begins(batch: Batch) -> Instant | None:
    """From which event time on everything is behind the beginning of `batch`, if it tells.

    It is when the first record arrived, where that is known: nothing occurs later than it arrives.
    """
    times = [
        (item.position.order, item.arrived_at or item.transaction.occurred_at)
        for item in batch.scored[:1]
    ]
    times += [
        (item.position.order, item.arrived_at)
        for item in batch.rejections[:1]
        if item.arrived_at is not None
    ]
    return min(times)[1] if times else None
