"""The bound on the share of rejects: beyond it a shard stops, rather than empty its stream."""

from collections import deque
from collections.abc import Iterable
from typing import Final

WINDOW_RECORDS_MAX: Final = 10_000
"""The last so many records are looked at, and the rest of the batch that they begin in."""

RECORDS_MIN: Final = 1_000
"""Fewer records than this are no reason to stop, however many of them are rejected."""

_STRETCHES_MAX: Final = 64
"""Pieces that the window is remembered in."""

Stretch = tuple[int, int]
"""Consecutive records, and how many of them were rejected."""


class TooManyRejected(Exception):  # noqa: N818 -- it says what happened
    """So large a share of the last records was rejected that something is wrong with all of them.

    A source that changed its format, or a fault of this program: a person has to look. Nothing of
    the batch that went beyond has been checkpointed or put into the dead-letter queue.
    """


class RejectShare:
    """Counts the records of one shard and the rejected among them, over a sliding window.

    It goes by counts alone, so that the same batches give the same answer at any time. What it
    remembers is in `recent`: a shard that is taken up again with it stops at the same batch, rather
    than have a thousand records for every start.

    Args:
        share_max: the part of the window that may be rejected; 1.0 is no bound.
        recent: what `recent` was at the checkpoint, oldest first.
    """

    def __init__(self, share_max: float, recent: Iterable[Stretch] = ()) -> None:
        self._share_max = share_max
        self._stretches: deque[Stretch] = deque(recent)
        self._records = sum(records for records, _ in self._stretches)
        self._rejected = sum(rejected for _, rejected in self._stretches)

    @property
    def recent(self) -> tuple[Stretch, ...]:
        """What is remembered, to be kept in the Snapshot."""
        return tuple(self._stretches)

    def note(self, records: int, rejections: int) -> None:
        """Count one batch; to be called before its rejections go to the dead-letter queue.

        Args:
            records: all records of the batch.
            rejections: those of them that were rejected, by the parser, the scorer or a sink.

        Raises:
            TooManyRejected: the share is beyond its bound; the batch is not counted.
        """
        seen, rejected = self._records + records, self._rejected + rejections
        stretches = deque(self._stretches)
        if stretches and stretches[-1][0] < WINDOW_RECORDS_MAX // _STRETCHES_MAX:
            last, last_rejected = stretches.pop()
            stretches.append((last + records, last_rejected + rejections))
        else:
            stretches.append((records, rejections))
        while seen - stretches[0][0] >= WINDOW_RECORDS_MAX:
            gone, gone_rejected = stretches.popleft()
            seen, rejected = seen - gone, rejected - gone_rejected
        if seen >= RECORDS_MIN and rejected > self._share_max * seen:
            raise TooManyRejected(
                f"{rejected:,} of the last {seen:,} records were rejected, more than "
                f"{self._share_max:.0%} (TILLWATCH_REJECTED_SHARE_MAX): the shard stops before its "
                "stream drains into the dead-letter queue. docs/operations.md says what to do"
            )
        self._stretches, self._records, self._rejected = stretches, seen, rejected
