"""Which dead letters are meant, what there is of them, and how they are told to a person."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec

from consumer.masking import shown
from events.instant import SECOND, Instant, to_iso
from sinks.letter import Letter

DETAIL_CHARACTERS_MAX: Final = 600
"""Characters of a sentence about a letter that are shown."""

_COLUMNS: Final = ("LETTER", "ARRIVED", "SHOP", "STAGE", "REASON", "FIELD", "BYTES", "COPIES")
_RIGHT: Final = frozenset({"BYTES", "COPIES"})


class Selection(msgspec.Struct, frozen=True):
    """Which letters are meant: those that fit everything that is given.

    `ids` are letter ids, or Positions (`<shard>/<position>`), which mean every letter about that
    record. `since` (included) and `until` (not) bound when the record arrived, or where that is
    not known, when the letter was written.
    """

    ids: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    stages: frozenset[str] = frozenset()
    shops: frozenset[str] = frozenset()
    since: Instant | None = None
    until: Instant | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is given, so that every letter is meant."""
        return self == Selection()

    def takes(self, letter: Letter) -> bool:
        """Whether `letter` is meant."""
        if self.ids and not self.ids & {letter.letter_id, letter.record_id}:
            return False
        if self.reasons and letter.reason not in self.reasons:
            return False
        if self.stages and letter.stage not in self.stages:
            return False
        if self.shops and letter.shop_id not in self.shops:
            return False
        at = letter.at
        if self.since is not None and (at is None or at < self.since):
            return False
        return self.until is None or (at is not None and at < self.until)

    def missing(self, letters: Iterable[Letter]) -> list[str]:
        """The ids that none of `letters` has."""
        have = {name for letter in letters for name in (letter.letter_id, letter.record_id)}
        return sorted(self.ids - have)


class Found:
    """Letters that were read: each once, with the number of its copies, and without its bytes."""

    def __init__(self) -> None:
        self._letters: dict[str, Letter] = {}
        self.copies: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._letters)

    def __contains__(self, letter: Letter) -> bool:
        return letter.letter_id in self._letters

    def __iter__(self) -> Iterator[Letter]:
        """In order of arrival; those of which no time is known first."""
        return iter(
            sorted(self._letters.values(), key=lambda letter: (letter.at or 0, letter.letter_id))
        )

    def add(self, letter: Letter) -> None:
        """Count one message of the queue."""
        id_ = letter.letter_id
        self.copies[id_] += 1
        known = self._letters.get(id_)
        if known is None or (known.sent_at or 0) > (letter.sent_at or 0):
            self._letters[id_] = msgspec.structs.replace(letter, data=None)

    def by_reason(self) -> list[tuple[str, str, int]]:
        """Stage, reason, letters; the most frequent first."""
        counts = Counter((letter.stage, letter.reason) for letter in self._letters.values())
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        return [(stage, reason, count) for (stage, reason), count in ordered]


def as_json(letter: Letter, copies: int) -> dict[str, Any]:
    """What is told of a letter to a machine: everything but the record."""
    return {
        "letter_id": letter.letter_id,
        "record_id": shown(letter.record_id),
        "stage": shown(letter.stage),
        "reason": shown(letter.reason),
        "field": None if letter.field is None else shown(letter.field),
        "detail": shown(letter.detail, characters_max=DETAIL_CHARACTERS_MAX),
        "shop_id": None if letter.shop_id is None else shown(letter.shop_id),
        "model_version": None if letter.model_version is None else shown(letter.model_version),
        "arrived_at": None if letter.arrived_at is None else to_iso(letter.arrived_at),
        "sent_at": None if letter.sent_at is None else to_iso(letter.sent_at),
        "data_bytes": letter.data_bytes,
        "data_key": None if letter.data_key is None else shown(letter.data_key),
        "copies": copies,
    }


def table(letters: Iterable[Letter], copies: Counter[str]) -> list[str]:
    """A line for each letter under a line of headings, or no line where there is no letter."""
    rows = [_row(letter, copies[letter.letter_id]) for letter in letters]
    if not rows:
        return []
    rows.insert(0, _COLUMNS)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            text.rjust(width) if name in _RIGHT else text.ljust(width)
            for text, width, name in zip(row, widths, _COLUMNS, strict=True)
        ).rstrip()
        for row in rows
    ]


def summary(found: Found, retention_seconds: int) -> list[str]:
    """How many letters there are of each reason, and when the oldest goes by itself."""
    copies = found.copies.total() - len(found)
    again = f", and {copies} more copies of them" if copies else ""
    lines = [f"{counted(len(found))}{again}"]
    lines += [
        f"{count:8}  {shown(stage)}/{shown(reason)}" for stage, reason, count in found.by_reason()
    ]
    sent = [letter.sent_at for letter in found if letter.sent_at is not None]
    if sent and retention_seconds:
        gone = to_iso(min(sent) + retention_seconds * SECOND)
        lines.append(
            f"the queue keeps them {retention_seconds / 86_400:g} days: the oldest goes at {gone}"
        )
    return lines


def counted(letters: int) -> str:
    """So many letters, in words."""
    return "1 letter" if letters == 1 else f"{letters:,} letters"


def _row(letter: Letter, copies: int) -> tuple[str, ...]:
    at = letter.arrived_at
    return (
        letter.letter_id,
        "-" if at is None else to_iso(at),
        "-" if letter.shop_id is None else shown(letter.shop_id),
        shown(letter.stage),
        shown(letter.reason),
        "-" if letter.field is None else shown(letter.field),
        f"{letter.data_bytes:,}",
        str(copies),
    )
