"""A stretch of one shard taken again: from a snapshot on, through the same pipeline, to nowhere."""

from collections.abc import Callable, Iterator
from itertools import chain

import msgspec

from anomaly.state import StateError
from consumer.pipeline import Cut, Pipeline, batches
from consumer.rebuild_start import Start, Starts
from consumer.replay_reading import Reading
from consumer.snapshot import State
from events.instant import Instant, to_iso
from events.position import Position
from events.record import Record


class Stretch(msgspec.Struct, frozen=True):
    """What is asked for: records that arrived from `begin` on and before `end`.

    Arrival is the stream's own time. It begins with the first record that arrived so late, and ends
    ahead of the first that arrived later, in the order of the stream.
    """

    begin: Instant
    end: Instant

    def begins(self, record: Record) -> bool:
        """Whether `record` may be the first."""
        return (record.arrived_at or 0) >= self.begin

    def ends(self, record: Record) -> bool:
        """Whether `record` lies behind the last."""
        return (record.arrived_at or 0) >= self.end


class Single(msgspec.Struct, frozen=True):
    """What is asked for: the record at one Position, which arrived at `begin`."""

    position: Position
    begin: Instant
    end: Instant

    def begins(self, record: Record) -> bool:
        """Whether it is the one."""
        return record.position.order >= self.position.order

    def ends(self, record: Record) -> bool:
        """Whether it lies behind the one."""
        return record.position.order > self.position.order


class Replayed(msgspec.Struct):
    """What was done for one shard, in the end; `exact` where nothing speaks against it.

    Exact scores are those, bit by bit, that a worker gave that had come this far by itself.
    """

    shard_id: str
    start: str
    """What was begun from, in words."""
    exact: bool
    incomplete: str = ""
    """Whether the stretch may lack its beginning, in words."""
    lacking: list[str] = []
    sources: list[str] = []
    warm_up_records: int = 0
    records: int = 0


class Replaying:
    """Takes a stretch of one shard again.

    Args:
        shard_id: which.
        starts: finds what to begin from.
        reading: gives the records.
        pipeline: a pipeline around a state.
    """

    def __init__(
        self,
        shard_id: str,
        starts: Starts,
        reading: Reading,
        pipeline: Callable[[State], Pipeline],
    ) -> None:
        self._shard_id = shard_id
        self._starts = starts
        self._reading = reading
        self._pipeline = pipeline
        self.done = Replayed(shard_id, "nothing", exact=False)

    def cuts(self, asked: Stretch | Single) -> Iterator[Cut]:
        """The batches of the stretch, and those alone; read to the end, `done` says what was done.

        Nothing where the shard has no record in it.
        """
        done, reading = self.done, self._reading
        first = (
            asked.position
            if isinstance(asked, Single)
            else reading.first_from(asked.begin, asked.end)
        )
        if first is None:
            done.exact = True
            return
        start, pipeline = self._begin(first)
        done.start, done.incomplete = start.words, reading.incomplete
        records = reading.read(start.position, asked.begin, asked.end)
        head: list[Record] = []
        for cut in batches(pipeline, _until(records, asked.begins, head)):
            done.warm_up_records += cut.batch.records
        rest: list[Record] = []
        for cut in batches(pipeline, _until(chain(head, records), asked.ends, rest)):
            done.records += cut.batch.records
            yield cut
        done.lacking = reading.lacking
        done.sources = sorted(reading.used)
        done.exact = start.whole and not reading.lacking

    def _begin(self, first: Position) -> tuple[Start, Pipeline]:
        """What to go on from: it lies before `first`."""
        before = Position(self._shard_id, first.sequence_number, first.sub_sequence_number - 1)
        for start in self._starts.snapshots(self._shard_id, before):
            try:
                return start, self._pipeline(start.state)
            except StateError:
                continue
        start = self._starts.parents(self._shard_id)
        return start, self._pipeline(start.state)


def said(asked: Stretch) -> str:
    """The stretch in words."""
    return f"{to_iso(asked.begin)} to {to_iso(asked.end)}"


def _until(
    records: Iterator[Record], stops: Callable[[Record], bool], kept: list[Record]
) -> Iterator[Record]:
    """The records ahead of the first that `stops`, which is put into `kept`."""
    for record in records:
        if stops(record):
            kept.append(record)
            return
        yield record
