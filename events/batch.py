"""What one flush hands to the sinks."""

import msgspec

from events.instant import Instant
from events.page import Page
from events.position import Position
from events.record import Record
from events.rejection import Rejection
from events.score import Score
from events.suppression import Lift, Suppression
from events.transaction import Transaction
from events.verdict import Verdict


class Scored(msgspec.Struct, frozen=True, gc=False):
    """A transaction that went through the detector; `score` is None for sales and voids.

    `data` are the record's bytes, for the dead-letter queue should a sink refuse it for good.
    """

    position: Position
    transaction: Transaction
    score: Score | None
    data: bytes
    arrived_at: Instant | None = None

    def __repr__(self) -> str:
        """Without the record's bytes: what stands in them is not for an error's text."""
        return f"Scored({self.position!r}, {self.transaction!r}, {self.score!r})"


class Batch(msgspec.Struct, frozen=True):
    """Everything between two checkpoints of one shard, in stream order.

    `first` and `last` are the positions of its first and last record, rejected and duplicate ones
    included; `records` counts all of them; `pages` holds every opening, update and closing in
    order; `behind_millis` is how far behind the tip of the stream the shard was at `last`, as the
    stream says it; `verdicts` are what people said of pages in between, and `suppressions` of whom
    to tell.

    `raw` are all its records as they came, where a sink needs them, and `after` is the position
    that the shard stood at before the first of them; None at the beginning of a shard.
    """

    scored: tuple[Scored, ...]
    pages: tuple[Page, ...]
    rejections: tuple[Rejection, ...]
    first: Position
    last: Position
    records: int
    behind_millis: int | None = None
    verdicts: tuple[Verdict, ...] = ()
    suppressions: tuple[Suppression | Lift, ...] = ()
    raw: tuple[Record, ...] = ()
    after: Position | None = None

    @property
    def arrived_at(self) -> Instant | None:
        """When the last of its records arrived, as far as it knows."""
        scored = [item.arrived_at for item in self.scored[-1:]]
        rejected = [item.arrived_at for item in self.rejections[-1:]]
        return max((at for at in (*scored, *rejected) if at is not None), default=None)
