"""What every sink promises, and what it gives back."""

from typing import Protocol

import msgspec

from events.batch import Batch
from events.instant import Instant
from events.rejection import Rejection


class StagedPart(msgspec.Struct, frozen=True):
    """One Parquet file outside `processed/`, holding the rows of one batch.

    `hours` maps to row groups: row group i holds the rows of the hour that starts at `hours[i]`,
    `rows[i]` of them.
    """

    key: str
    first: str
    last: str
    hours: tuple[Instant, ...]
    rows: tuple[int, ...]


class Written(msgspec.Struct, frozen=True):
    """A sink's answer: what the service refused for good, and what was staged for later."""

    rejections: tuple[Rejection, ...] = ()
    staged: StagedPart | None = None


class Stopped(Exception):  # noqa: N818 -- not a failure: someone asked
    """The wait for a service was ended because the shard is being given up; nothing was lost."""


class Sink(Protocol):
    """Somewhere a batch goes.

    `write` returns when everything in the batch is durable there or refused for good; transient
    trouble (429, 5xx, time-outs, connection loss) is waited out with backoff and full jitter until
    the stop event it was built with is set, and then `Stopped` is raised. Writing the same batch
    again changes nothing. A sink keeps no reference to the batch after it returns.
    """

    name: str

    def write(self, batch: Batch) -> Written:
        """Make `batch` durable."""
        ...

    def close(self) -> None:
        """Let go of connections; safe to call twice."""
        ...
