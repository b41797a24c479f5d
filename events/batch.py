"""What one flush hands to the sinks."""

import msgspec

from events.instant import Instant
from events.page import Page
from events.position import Position
from events.rejection import Rejection
from events.score import Score
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


class Batch(msgspec.Struct, frozen=True):
    """Everything between two checkpoints of one shard, in stream order.

    `first` and `last` are the positions of its first and last record, rejected and duplicate ones
    included; `records` counts all of them; `pages` holds every opening, update and closing in
    order; `behind_millis` is how far behind the tip of the stream the shard was at `last`, as the
    stream says it; `verdicts` are what people said of pages in between.
    """

    scored: tuple[Scored, ...]
    pages: tuple[Page, ...]
    rejections: tuple[Rejection, ...]
    first: Position
    last: Position
    records: int
    behind_millis: int | None = None
    verdicts: tuple[Verdict, ...] = ()
