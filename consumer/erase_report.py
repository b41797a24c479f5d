"""What an erasure found where, and what became of it; never who it was about."""

from collections.abc import Iterable, Iterator

import msgspec


class Place(msgspec.Struct, frozen=True):
    """One place where data of a person may lie.

    `found` counts what holds some, `erased` what holds none any more; the rest is left, and `note`
    says until when or why. `of` says what is counted.
    """

    name: str
    of: str
    found: int
    erased: int
    note: str = ""
    whole: bool = True
    """Whether all of the place was looked through, and nothing that read it before may bring back
    what is erased; else `note` says when to erase again."""

    @property
    def left(self) -> int:
        """What still holds some."""
        return self.found - self.erased

    def clean(self, *, dry_run: bool) -> bool:
        """Whether nothing is left to do here, or, of a dry run, to look at."""
        return self.whole and (dry_run or not self.left)


def lines(places: Iterable[Place], *, dry_run: bool) -> Iterator[str]:
    """The report as a person reads it."""
    for place in places:
        done = "" if dry_run else f", {place.erased:,} erased"
        note = f": {place.note}" if place.note else ""
        yield f"{place.name:22} {place.found:,} {place.of}{done}{note}"
