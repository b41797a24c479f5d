"""What the stream delivers, before anything is known about it."""

import msgspec

from events.instant import Instant
from events.position import Position


class Record(msgspec.Struct, frozen=True, gc=False):
    """The bytes of one Kinesis user record with its Position.

    `arrived_at` is the stream's own time of arrival (it replays with the record), or None where the
    source has none, such as a file.
    """

    position: Position
    data: bytes
    partition_key: str
    arrived_at: Instant | None = None

    def __repr__(self) -> str:
        """Without the bytes: what stands in them is not for an error's text."""
        return f"Record({self.position!r}, {len(self.data)} bytes)"
