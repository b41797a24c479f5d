"""The records of a shard for a rebuild: off the stream, or what that forgot out of the archive."""

from collections.abc import Callable, Iterator

from consumer.archive_records import ArchivedRecords
from consumer.lineage import HashRange
from consumer.rebuild_rows import RebuildError
from consumer.replay_reading import Reading
from consumer.shard_records import ShardRecords, Since
from events.instant import Instant
from events.position import Position
from events.record import Record


class StreamOrArchive:
    """Records off `stream` as long as it has them, and else out of `archive`, then off the stream.

    The stream is asked first: it is exact about what it has forgotten, and has what came last.
    `from_beginning` says whether the last read began with the first record that the shard ever
    had, though the stream has forgotten that.
    """

    def __init__(
        self, stream: ShardRecords, archive: ArchivedRecords | None, clock: Callable[[], Instant]
    ) -> None:
        self._stream = stream
        self._archive = archive
        self._clock = clock
        self.from_beginning = False

    def forgets_before(self, now: Instant) -> Instant | None:
        """Records put before this time are gone from the stream; None where none ever went."""
        return self._stream.forgets_before(now)

    def read(
        self,
        shard_id: str,
        own: HashRange,
        since: Since,
        until: Position | None,
        behind: Callable[[int], None] = lambda _: None,
    ) -> Iterator[Record]:
        """Every user record from `since` up to and with `until`, or to the shard's end, in order.

        Raises:
            RebuildError: the archive goes back far enough, but has a gap that the stream cannot
                fill.
        """
        self.from_beginning = False
        if self._archive is None or not self._forgotten(shard_id, own, since, until):
            yield from self._stream.read(shard_id, own, since, until, behind)
            return
        now = self._clock()
        back = now - since.time if since.time is not None else now
        reading = Reading(shard_id, own, self._archive, self._stream, now, warm_up=back)
        after = _before(shard_id, since)
        first: Record | None = None
        lacked = 0
        for record in reading.read(after, since.time or now, now):
            if until is not None and record.position.order > until.order:
                break
            if since.time is not None and (record.arrived_at or 0) < since.time:
                continue
            if first is not None and len(reading.lacking) > lacked:
                raise RebuildError(f"neither stream nor archive has everything: {reading.lacking}")
            if first is None:
                first, lacked = record, len(reading.lacking)
            yield record
            if until is not None and record.position.order == until.order:
                break
        begun = since == Since() and first is not None
        self.from_beginning = begun and not reading.lacking

    def _forgotten(
        self, shard_id: str, own: HashRange, since: Since, until: Position | None
    ) -> bool:
        """Whether the stream has not everything from `since` on any more."""
        if since.sequence_number is not None:
            first = next(self._stream.read(shard_id, own, since, until), None)
            return first is None or first.position.sequence_number != since.sequence_number
        horizon = self._stream.forgets_before(self._clock())
        return horizon is not None and (since.time is None or since.time < horizon)


def _before(shard_id: str, since: Since) -> Position | None:
    """A Position ahead of the one that is asked for, which is to be among the records."""
    if since.sequence_number is None:
        return None
    return Position(shard_id, str(int(since.sequence_number) - 1), 2**31)
