"""The records of a shard behind a Position: out of the archive, off the stream, or both in turn."""

from collections.abc import Iterator
from itertools import chain

from consumer.archive_records import ArchivedRecords, Run
from consumer.lineage import HashRange
from consumer.shard_records import ShardRecords, Since
from events.instant import DAY, Instant
from events.position import Position
from events.record import Record

WARM_UP: Instant = DAY
"""So long before a stretch reading begins where there is no snapshot to go on from."""
_TIP = 10**60
"""A sequence number behind all that Kinesis gives: what is read up to it ends at the tip."""


class Reading:
    """Reads one shard; what is missing on the way is told in `lacking`, in words.

    The archive comes first: reading it takes nothing away from a worker, with which the stream's
    bandwidth is shared. Where it has a gap, or ends, the stream goes on, as far as it still has
    what comes next.

    Args:
        shard_id: which.
        own: its range of hash keys.
        archive: None to leave it out.
        stream: likewise.
        now: up to when the archive is looked through.
        warm_up: how far back to begin where there is nothing to go on from.
    """

    def __init__(
        self,
        shard_id: str,
        own: HashRange,
        archive: ArchivedRecords | None,
        stream: ShardRecords | None,
        now: Instant,
        warm_up: Instant = WARM_UP,
    ) -> None:
        self._shard_id = shard_id
        self._own = own
        self._archive = archive
        self._stream = stream
        self._now = now
        self._warm_up = warm_up
        self.incomplete = ""
        self.lacking: list[str] = []
        self.used: set[str] = set()

    def first_from(self, time: Instant, end: Instant) -> Position | None:
        """Where the first record lies that arrived at `time` or later; None where there is none.

        Where others may have come before it that neither archive nor stream has, `incomplete` says
        so.
        """
        archived = streamed = None
        if self._archive is not None:
            archived = self._archive.first_from(self._shard_id, time, min(end, self._now))
        if self._stream is not None:
            first = next(self._streamed(Since(time=time)), None)
            streamed = first.position if first else None
        found = min(filter(None, (archived, streamed)), key=lambda it: it.order, default=None)
        if found is not None and not self._surely(found, archived, time):
            self.incomplete = (
                f"what arrived ahead of {found.slug} may be missing in the stretch: it is not to "
                "be had any more, or was never archived"
            )
        return found

    def _surely(self, found: Position, archived: Position | None, time: Instant) -> bool:
        """Whether nothing can have arrived between `time` and `found`."""
        if self._stream is not None:
            forgotten = self._stream.forgets_before(self._now)
            if forgotten is None or forgotten <= time:
                return True
        if self._archive is None or found != archived:
            return False
        return self._archive.reaches(found, time)

    def read(self, after: Position | None, around: Instant, end: Instant) -> Iterator[Record]:
        """The records behind `after`, each once, in order.

        `around` is a time at or behind `after`, and nobody asks for what arrived behind `end`.
        Without `after` it is everything since the shard began, or what there is of the warm-up: the
        one or the other, `lacking` says which.
        """
        last = after
        for run in self._runs(after, around, min(end, self._now)):
            if run.after is not None and (last is None or run.after.order > last.order):
                for record in self._filled(last, run.after, around):
                    last = record.position
                    yield record
            for record in self._archive.read(run.names, last) if self._archive else ():
                self.used.add("archive")
                last = record.position
                yield record
        yield from self._filled(last, None, around)

    def _runs(self, after: Position | None, around: Instant, end: Instant) -> list[Run]:
        if self._archive is None:
            return []
        back = None if after else self._warm_up
        return self._archive.find(self._shard_id, after, min(around, end), end, back)

    def _filled(
        self, last: Position | None, until: Position | None, around: Instant
    ) -> Iterator[Record]:
        """What the archive has not: behind `last`, up to and with `until`, or to the tip."""
        if self._stream is None:
            if until is not None:
                self._lack(last, until)
            return
        since = Since(last.sequence_number) if last else Since()
        forgotten = None if last else self._stream.forgets_before(self._now)
        if forgotten is not None:
            self._lack(last, until)
            if until is not None:
                return
            since = Since(time=max(forgotten, around - self._warm_up))
        records = self._streamed(since, until)
        first = next(records, None)
        if last is not None and (first is not None or until is not None):
            found = first.position.sequence_number if first else None
            if found != last.sequence_number:
                self._lack(last, until or (first.position if first else None))
        for record in chain([first] if first else [], records):
            if last is None or record.position.order > last.order:
                self.used.add("stream")
                yield record

    def _lack(self, after: Position | None, until: Position | None) -> None:
        begin = f"behind {after.slug}" if after else "from its beginning on"
        upto = f", up to {until.slug}," if until else ""
        self.lacking.append(f"records of {self._shard_id} {begin}{upto} are not to be had any more")

    def _streamed(self, since: Since, until: Position | None = None) -> Iterator[Record]:
        if self._stream is None:
            return iter(())
        tip = until or Position(self._shard_id, str(_TIP))
        return self._stream.read(self._shard_id, self._own, since, tip)
