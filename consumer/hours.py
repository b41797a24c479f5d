"""Which event hours of a shard are open, which are closed but not yet published. Pure state."""

from collections.abc import Iterable

import msgspec

from events.instant import HOUR, Instant
from sinks.parquet import ClosedHour
from sinks.sink import StagedPart

OPEN_MAX: Instant = 2 * HOUR
"""So far the watermark goes, beyond the lateness, while an hour is open: one that lies a day ahead,
by a till's clock, would keep every staged part of a day, and make every Snapshot larger."""


class OpenHour(msgspec.Struct):
    """One hour that still takes rows: its staged pieces, and the watermark when it was opened."""

    opened_at: Instant
    pieces: list[tuple[str, int]]
    first: str
    last: str


class HoursState(msgspec.Struct):
    """All of it, as it stands in a Snapshot."""

    watermark: Instant | None = None
    open: dict[Instant, OpenHour] = {}
    to_publish: list[ClosedHour] = []
    staged: dict[str, int] = {}
    """Staged parts that are still needed, with how many of their hours are unpublished."""


class Hours:
    """The hours of one shard.

    An hour closes when the watermark (how far event time has come) is `lateness` past both its end
    and the watermark at which it was opened; so a late record opens its hour anew and adds a file.
    So does one whose hour lies far ahead: that closes once it has been open for `OPEN_MAX`.
    """

    def __init__(self, shard_id: str, lateness: Instant, state: HoursState | None = None) -> None:
        self._shard_id = shard_id
        self._lateness = lateness
        self.state = state or HoursState()

    def add(self, part: StagedPart | None, watermark: Instant | None) -> None:
        """Note one batch: its staged part, and the latest event time in it."""
        state = self.state
        if watermark is not None and (state.watermark is None or watermark > state.watermark):
            state.watermark = watermark
        if part is None:
            return
        state.staged[part.key] = len(part.hours)
        for row_group, hour in enumerate(part.hours):
            entry = state.open.get(hour)
            if entry is None:
                entry = state.open[hour] = OpenHour(
                    opened_at=hour if state.watermark is None else state.watermark,
                    pieces=[],
                    first=part.first,
                    last=part.last,
                )
            entry.pieces.append((part.key, row_group))
            entry.last = part.last

    def close(self, *, everything: bool = False) -> None:
        """Move the hours that are over to what is to be published."""
        state = self.state
        for hour in sorted(state.open):
            entry = state.open[hour]
            ends = min(max(hour + HOUR, entry.opened_at), entry.opened_at + OPEN_MAX)
            over = state.watermark is not None and ends + self._lateness <= state.watermark
            if over or everything:
                del state.open[hour]
                state.to_publish.append(
                    ClosedHour(
                        hour=hour,
                        shard_id=self._shard_id,
                        first=entry.first,
                        last=entry.last,
                        pieces=tuple(entry.pieces),
                    )
                )

    def published(self, closed: Iterable[ClosedHour]) -> list[str]:
        """Take `closed` off the list; the keys of staged parts that nothing needs any more.

        An hour that is not on the list, because it was taken off before, changes nothing.
        """
        state = self.state
        listed = {_name(hour): hour for hour in state.to_publish}
        spent: list[str] = []
        for name in map(_name, closed):
            hour = listed.pop(name, None)
            for key, _ in hour.pieces if hour else ():
                state.staged[key] -= 1
                if not state.staged[key]:
                    del state.staged[key]
                    spent.append(key)
        state.to_publish = list(listed.values())
        return spent


def _name(hour: ClosedHour) -> tuple[Instant, str, str]:
    return hour.hour, hour.first, hour.last
