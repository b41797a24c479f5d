"""What one flush hands to the sinks."""

import msgspec

from events.instant import Instant
from events.page import Page
from events.position import Position
from events.rejection import Rejection
from events.score import Score
from events.transaction import Transaction


class Scored(msgspec.Struct, frozen=True, gc=False):
    """A transaction that went through the detector; `score` is None for sales and voids."""

    position: Position
    transaction: Transaction
    score: Score | None
    arrived_at: Instant | None = None


class Batch(msgspec.Struct, frozen=True):
    """Everything between two checkpoints of one shard, in stream order.

    `first` and `last` are the positions of its first and last record, rejected and duplicate ones
    included; `records` counts all of them; `pages` holds every opening, update and closing in
    order.
    """

    scored: tuple[Scored, ...]
    pages: tuple[Page, ...]
    rejections: tuple[Rejection, ...]
    first: Position
    last: Position
    records: int
