"""The stretch of a stream between a start and a checkpoint, taken again without any sink."""

from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from consumer.hours import Hours, HoursState
from consumer.lineage import HashRange
from consumer.pipeline import Cut, Pipeline
from consumer.rebuild_records import StreamOrArchive
from consumer.rebuild_rows import RebuildError, ShardRows, Standing
from consumer.rebuild_start import Start
from consumer.reject_share import RejectShare
from consumer.shard_records import ShardRecords, Since
from consumer.snapshot import Snapshot, State
from events.batch import Scored
from events.instant import DAY, Instant, to_iso
from events.page import Page
from events.position import Position
from events.record import Record

PAGES_KEPT: Instant = DAY
"""Pages of so long before the watermark are told again; the ledger keeps back what went out."""
LOST_ROWS_MAX = 200_000
"""Rows that lay nowhere any more and are made anew; with more of them it is another bucket."""


class Replayed(msgspec.Struct, frozen=True):
    """What was read."""

    records: int
    first_at: Instant | None
    """When the first record that was read had come; None where there was none."""
    lacking: str
    """What the stream has forgotten, in words; empty where nothing is known to be missing."""


class Replay:
    """Takes the records behind `start` up to `until`, the checkpoint; None is the shard's end.

    `left` is the checkpoint's own object, where that can be read: its hours, pages and rejects stay
    as they are. Otherwise the open hours come from `rows`, and pages from the replay.
    """

    def __init__(
        self,
        shard_id: str,
        start: Start,
        pipeline: Pipeline,
        until: Position | None,
        left: Snapshot | None,
        rows: ShardRows,
        standing: Standing,
    ) -> None:
        self._shard_id = shard_id
        self._start = start
        self._pipeline = pipeline
        self._until = until
        self._left = left.written if left else None
        self._rows = rows
        self._standing = standing
        self._state = State(shops=dict(start.state.shops), groups=dict(start.state.groups))
        self._rejects = RejectShare(1.0, start.state.rejects)
        self._pages: list[Page] = []
        self._complete = True
        self._lost: list[Scored] = []
        self._watermark: Instant | None = start.state.hours.watermark
        self._records = 0
        self._first: Record | None = None
        self._gap = False
        self.staged_rows = 0

    @property
    def lost_rows(self) -> int:
        """Transactions that have a document and no row any more."""
        return len(self._lost)

    def run(
        self,
        stream: ShardRecords | StreamOrArchive,
        own: HashRange,
        since: Since | None,
        forgotten_before: Instant | None,
        progress: Callable[[int], None],
    ) -> Replayed:
        """Read it all; `progress` is told how many milliseconds are left to the stream's tip.

        Raises:
            RebuildError: so many rows lie nowhere that this cannot be the shard's bucket.
        """
        if self._left is None:
            self._rows.look()
        at = self._start.position
        where = since or Since(at.sequence_number if at else None)
        records = self._behind(stream.read(self._shard_id, own, where, self._until, progress))
        pipeline = self._pipeline
        while True:
            pipeline.take(records)
            if not pipeline.full:
                break
            self._absorb(pipeline.cut())
        end = self._until or at or Position(self._shard_id, "0")
        self._absorb(pipeline.cut(whole=True, at=end))
        first_at = self._first.arrived_at if self._first else None
        begun = getattr(stream, "from_beginning", False)
        lacking = self._lacking(first_at, None if begun else forgotten_before)
        return Replayed(self._records, first_at, lacking)

    def state(self, name: str) -> State:
        """All state at the checkpoint; stages rows that have to be staged anew, named `name`."""
        state, left = self._state, self._left
        if left is not None:
            state.hours, state.pages, state.rejects = left.hours, left.pages, left.rejects
            return state
        regained = self._rows.regain(self._lost, self._watermark, name)
        self.staged_rows = regained.staged_rows
        state.hours = regained.hours
        _take_duties(state.hours, self._start.state.hours, self._shard_id)
        if self._until is None:
            Hours(self._shard_id, 0, state.hours).close(everything=True)
        state.pages = [*self._start.state.pages, *(self._pages if self._complete else ())]
        state.rejects = self._rejects.recent
        return state

    def _behind(self, records: Iterator[Record]) -> Iterator[Record]:
        """The records behind the start, which the stream is asked for too: is it still there?"""
        at = self._start.position
        for record in records:
            if self._first is None:
                self._first = record
                self._gap = at is not None and record.position.sequence_number != at.sequence_number
            if at is None or record.position.order > at.order:
                self._records += 1
                yield record
        if at is not None and at != self._until and self._first is None:
            self._gap = True

    def _absorb(self, cut: Cut) -> None:
        state, batch = self._state, cut.batch
        state.shops.update(cut.detector.shops)
        state.groups.update(cut.detector.groups)
        state.duplicates = {group: [ids] for group, ids in cut.duplicates.items()}
        if cut.watermark is not None:
            self._watermark = cut.watermark
        if self._left is not None:
            return
        self._rejects.note(batch.records, len(batch.rejections))
        since = (self._watermark or 0) - PAGES_KEPT
        self._pages = [page for page in (*self._pages, *batch.pages) if page.updated_at >= since]
        for item in batch.scored:
            if self._rows.lacks(item) and self._stands(item):
                self._lost.append(item)
        if len(self._lost) > LOST_ROWS_MAX:
            raise RebuildError(
                f"more than {LOST_ROWS_MAX:,} transactions of {self._shard_id} have a document and "
                "neither a final nor a staged row: is TILLWATCH_BUCKET the bucket of this stream?"
            )

    def _stands(self, item: Scored) -> bool:
        """Whether it has a document, made of this very record: a letter's came back as another."""
        transaction = item.transaction
        found = self._standing.position_of(transaction.transaction_id, transaction.occurred_at)
        return found == item.position

    def _lacking(self, first_at: Instant | None, forgotten_before: Instant | None) -> str:
        when = (
            f"with the record of {to_iso(first_at)}" if first_at is not None else "with no record"
        )
        if self._gap:
            lacking = f"what came behind the start is forgotten by the stream, which begins {when}"
        elif not self._start.whole or (self._start.position is None and forgotten_before):
            lacking = f"baselines begin {when}; what shops did before is not in them"
        else:
            return ""
        self._complete = False
        if self._left is None:
            # From other baselines come other incidents: nobody is told of those.
            lacking += ". Pages that waited for SNS are not known; OpenSearch has them"
        return lacking


def _take_duties(hours: HoursState, before: HoursState, shard_id: str) -> None:
    """What parents had still to publish; who did it already does nothing a second time."""
    foreign = [hour for hour in before.to_publish if hour.shard_id != shard_id]
    hours.to_publish += foreign
    hours.staged |= Counter(key for hour in foreign for key, _ in hour.pieces)
