"""The data path up to the batch: record -> parse -> transaction or rejection -> score -> batch.

One pipeline is one shard's. It does no I/O and reads no clock: what comes out depends on the
records and the restored state alone, however they were batched.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Protocol

import msgspec

from anomaly.detector import Changes, Detector
from consumer.duplicates import Duplicates, Sighting
from consumer.redriven import letter_of
from consumer.rotation import Rotation, Slices, slice_of_group
from consumer.sales import learner, take_sales
from consumer.scorer import Scorer
from consumer.uncounted import reused, unscored
from events.batch import Batch, Scored
from events.instant import Instant
from events.key_group import key_group
from events.page import Page
from events.position import Position
from events.record import Record
from events.rejection import Rejection
from events.suppression import Lift, Suppression
from events.transaction import Transaction
from events.verdict import Verdict

Parsed = Transaction | Verdict | Suppression | Lift | Rejection


class Parse(Protocol):
    """Turns every record into exactly one transaction or rejection."""

    def __call__(self, records: list[Record], /) -> list[Parsed]:
        """The one or the other of each, in order; no exception travels."""
        ...


class Cut(msgspec.Struct, frozen=True):
    """One batch, and the state exactly behind its last record, as changes since the last cut."""

    batch: Batch
    detector: Changes
    duplicates: dict[int, bytes]
    """Of the key groups in `slices` everything remembered, of the others what was added."""
    slices: Slices
    """What the snapshot repeats of the whole, beside what changed."""
    repeated: int
    """Transactions in this stretch that a producer sent again; each counts once."""
    watermark: Instant | None
    """How far event time has come in the shard; None before its first transaction."""
    late: int
    """Transactions of this stretch that came later than the lateness behind the watermark."""
    record_bytes: int
    """Bytes of all records of this stretch."""


class Pipeline:
    """Collects records into a batch, until `full` or the caller cuts.

    The watermark is the latest event time seen, but never ahead of the arrival of the record that
    says so: a till whose clock is a day ahead does not take the shard's with it. A transaction that
    occurred more than `lateness` before it is late: it counts as any other, and is counted.

    Args:
        parse: turns records into transactions or rejections.
        scorer: scores transactions; restored to where the shard stands.
        duplicates: what has been seen; likewise restored.
        key_groups: ranges of the hash-key space.
        batch_records_max: records at which the batch is full.
        batch_bytes_max: record bytes at which it is full.
        lateness: how long hours stay open behind the watermark.
        watermark: where it stood when the shard was left.
        rotation: plans what snapshots repeat; a new one begins with all of it.
        keeps_records: whether batches hold their records as they came.
        after: the position that the shard stands at.
    """

    def __init__(
        self,
        parse: Parse,
        scorer: Scorer,
        duplicates: Duplicates,
        *,
        key_groups: int,
        batch_records_max: int,
        batch_bytes_max: int,
        lateness: Instant = 0,
        watermark: Instant | None = None,
        rotation: Rotation | None = None,
        keeps_records: bool = False,
        after: Position | None = None,
    ) -> None:
        self._raw: list[Record] | None = [] if keeps_records else None
        self._after = after
        self._known: tuple[int, int] | None = None
        self.met_known = False
        """Whether a record came that `skip` leaves out: then the next one is what follows it."""
        self._parse = parse
        self._scorer = scorer
        self._duplicates = duplicates
        self._rotation = rotation or Rotation()
        self._key_groups = key_groups
        self._batch_records_max = batch_records_max
        self._batch_bytes_max = batch_bytes_max
        self._lateness = lateness
        self._watermark = _NO_WATERMARK if watermark is None else watermark
        self._group_of: dict[str, int] = {}
        self._drawn: list[Record] = []
        self._parsed: list[Parsed] = []
        self._at = 0
        """So many of those drawn are taken."""
        self._clear()

    def _clear(self) -> None:
        self._scored: list[Scored] = []
        self._pages: list[Page] = []
        self._rejections: list[Rejection] = []
        self._verdicts: list[Verdict] = []
        self._suppressions: list[Suppression | Lift] = []
        self._first: Position | None = None
        self._last: Position | None = None
        self._records = 0
        self._bytes = 0
        self._repeated = 0
        self._late = 0
        self._unscored = 0
        self._kept = 0
        """So many of the scored transactions are in the scorer's encoded state already."""

    def skip(self, known: Position | None) -> None:
        """Leave out what comes at or before `known`, if there is such: the state has it already."""
        if known is not None:
            self._after, self._known = known, known.order

    def _unknown(self, records: Iterator[Record], known: tuple[int, int]) -> Iterator[Record]:
        # No `yield from`: when this is dropped, what is left of `records` is the next call's.
        for record in records:
            if self._known is None or record.position.order > known:
                self._known = None
                yield record
            else:
                self.met_known = True

    @property
    def empty(self) -> bool:
        """Whether nothing was taken since the last cut."""
        return self._records == 0

    @property
    def full(self) -> bool:
        """Whether the batch has reached one of its bounds."""
        return (
            self._records >= self._batch_records_max
            or self._bytes >= self._batch_bytes_max
            or self._unscored >= UNSCORED_MAX
        )

    def take(self, records: Iterator[Record]) -> None:
        """Take records off the iterator until it ends or the batch is full.

        They are drawn and parsed some at a time, and then scored: in turn, one would drive the
        other's data out of the processor's cache for every record (2.4 of 12 µs). What was drawn
        when the batch became full waits for the next call; where it did not, nothing waits.
        """
        if self._known is not None:
            records = self._unknown(records, self._known)
        detector = learner(self._scorer, self._duplicates)
        while not self.full:
            if self._at == len(self._drawn) and not self._draw(records):
                return
            if detector is not None:
                self._take_sales(detector)
                if self._at == len(self._drawn) or self.full:
                    continue
            record, parsed = self._drawn[self._at], self._parsed[self._at]
            self._at += 1
            self._records += 1
            self._bytes += len(record.data)
            self._last = record.position
            if self._first is None:
                self._first = record.position
            if type(parsed) is Transaction:
                self._score(record, parsed)
            elif type(parsed) is Rejection:
                self._rejections.append(parsed)
            else:
                self._hear(parsed)  # type: ignore[arg-type]  # it is one of the others

    def _draw(self, records: Iterator[Record]) -> bool:
        """Draw the next and parse them; False if there are none."""
        drawn = list(islice(records, DRAWN_MAX))
        if self._raw is not None:
            self._raw += drawn
        self._drawn, self._parsed, self._at = drawn, self._parse(drawn), 0
        if len(self._parsed) != len(drawn):
            raise ValueError("a parser gives one answer for each record")
        return bool(drawn)

    def _take_sales(self, detector: Detector) -> None:
        """Take the plain sales that come next: nothing else is done with them than below."""
        first = self._at
        taken = take_sales(
            self._drawn,
            self._parsed,
            first,
            detector,
            self._duplicates,
            self._group_of,
            self._scored,
            self._batch_records_max - self._records,
            self._bytes,
            self._batch_bytes_max,
            self._watermark,
            self._lateness,
            self._late,
        )
        if taken is None:
            return
        self._at, self._bytes, self._watermark, self._late = taken
        self._records += self._at - first
        self._last = self._drawn[self._at - 1].position
        if self._first is None:
            self._first = self._drawn[first].position

    def _score(self, record: Record, transaction: Transaction) -> None:
        """Let the transaction count once: score, then learn."""
        group = self._group_of.get(transaction.shop_id)
        if group is None:
            group = self._find_group(transaction.shop_id)
        transaction_id = transaction.transaction_id
        sighting = self._duplicates.see(group, transaction_id, record.data)
        if sighting is Sighting.REUSED and (letter := letter_of(record.data)) is not None:
            came_back = f"{transaction_id}\x1f{letter}"
            sighting = self._duplicates.see(group, came_back, record.data)
        if sighting is not Sighting.NEW:
            if sighting is Sighting.REPEATED:
                self._repeated += 1
            else:
                self._rejections.append(reused(record, transaction))
            return
        try:
            observation = self._scorer.observe(transaction)
        except MemoryError:  # the machine's fault, and not this transaction's
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is about this one alone
            self._rejections.append(unscored(record, transaction, error, self._scorer))
            self._scorer.put_back(item.transaction for item in self._scored[self._kept :])
            self._kept = len(self._scored)
            self._unscored += 1
            return
        occurred_at, arrived_at = transaction.occurred_at, record.arrived_at
        seen = occurred_at if arrived_at is None or occurred_at < arrived_at else arrived_at
        if seen > self._watermark:
            self._watermark = seen
        elif occurred_at + self._lateness < self._watermark:
            self._late += 1
        score = None
        if observation is not None:
            score = observation.score
            self._pages.extend(observation.pages)
        self._scored.append(Scored(record.position, transaction, score, record.data, arrived_at))

    def _hear(self, said: Verdict | Suppression | Lift) -> None:
        """Let what a person said count; what was scored before is behind the scorer then."""
        self._scorer.hear(said)
        self._kept = len(self._scored)
        if isinstance(said, Verdict):
            self._verdicts.append(said)
        else:
            self._suppressions.append(said)

    def _find_group(self, shop_id: str) -> int:
        if len(self._group_of) >= _SHOPS_CACHED_MAX:
            self._group_of.clear()
        group = self._group_of[shop_id] = key_group(shop_id, self._key_groups)
        return group

    def cut(
        self, behind_millis: int | None = None, *, whole: bool = False, at: Position | None = None
    ) -> Cut:
        """End the batch here and begin the next.

        Args:
            behind_millis: what the stream says of the lag at the last record.
            whole: whether the snapshot of this cut is to hold everything.
            at: where an empty batch stands, for a cut that only closes hours.
        """
        first, last = self._first or at, self._last or at
        if first is None or last is None:
            raise ValueError("an empty batch needs a position to stand at")
        detector = self._scorer.take_changes()
        slices = self._rotation.plan(detector.shops, whole=whole)
        raw = tuple(self._raw[: self._records]) if self._raw else ()
        if self._raw:
            del self._raw[: self._records]
        cut = Cut(
            batch=Batch(
                scored=tuple(self._scored),
                pages=tuple(self._pages),
                rejections=tuple(self._rejections),
                first=first,
                last=last,
                records=self._records,
                behind_millis=behind_millis,
                verdicts=tuple(self._verdicts),
                suppressions=tuple(self._suppressions),
                raw=raw,
                after=self._after,
            ),
            detector=detector,
            duplicates=self._duplicates.take_changes(lambda group: slice_of_group(group) in slices),
            slices=slices,
            repeated=self._repeated,
            watermark=None if self._watermark == _NO_WATERMARK else self._watermark,
            late=self._late,
            record_bytes=self._bytes,
        )
        self._after = last
        self._clear()
        return cut


DRAWN_MAX = 512
"""Records that are parsed before the first of them is scored."""

UNSCORED_MAX = 16
"""Transactions in one batch that cannot be scored: each costs putting the detector back."""

_SHOPS_CACHED_MAX = 100_000
_NO_WATERMARK: Instant = -(2**62)
"""Before any event (the year -144,000)."""


def batches(pipeline: Pipeline, records: Iterable[Record]) -> Iterator[Cut]:
    """Run all `records` through `pipeline`, cutting where it is full and at the end."""
    iterator = iter(records)
    while True:
        pipeline.take(iterator)
        if pipeline.empty:
            return
        yield pipeline.cut()
