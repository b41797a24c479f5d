"""A record that is not a valid transaction."""

import msgspec

from events.instant import Instant
from events.position import Position


class Rejection(msgspec.Struct, frozen=True):
    """What goes to the dead-letter queue: the bytes as they came, where, and what is wrong.

    `stage` is where it failed (parse, deduplicate, score, opensearch, parquet), `reason` a stable
    word to filter by (such as `amount_not_positive`), `field` the path of the field at fault or
    None, `detail` a sentence for a person, never with contact data or a card token in it.
    `model_version` is the model's that was to score it, where it came so far.
    """

    position: Position
    data: bytes
    stage: str
    reason: str
    field: str | None
    detail: str
    arrived_at: Instant | None = None
    shop_id: str | None = None
    model_version: str | None = None

    def __repr__(self) -> str:
        """Without the bytes: what stands in them is not for an error's text."""
        where = f"{self.stage}: {self.reason}, field={self.field!r}"
        return f"Rejection({self.position!r}, {len(self.data)} bytes, {where})"
