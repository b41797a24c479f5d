"""The uninterrupted run and the outcome side by side: what differs, in words."""

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise
from typing import Any

from local.outcome import Outcome
from local.uninterrupted import Uninterrupted

_NAMED_MAX = 5
_NOTED_MILLIS = 10_000
"""A page that SNS accepted is noted within this, or its process was killed before."""


def faults(expected: Uninterrupted, found: Outcome, *, kills_at: Sequence[int] = ()) -> list[str]:
    """Everything that P1, P2 and P3 forbid, one line each; empty where all of it holds.

    What dead workers left behind has to be gone too: `found` is read when all is published.

    `kills_at` are the times (epoch milliseconds) at which a process was killed. A page may go out
    twice when a kill followed shortly on the first: SNS had accepted it, and it was not noted yet.
    """
    told = [
        *_ids("documents", expected.documents, found.documents),
        *_ids("rows", expected.documents, found.rows),
        _named("transactions with several rows", (i for i, n in found.rows.items() if n > 1)),
        _named("documents with another content", _differing(expected.documents, found.documents)),
        _named("rows with another score", _differing(expected.scores, found.scores)),
        *_ids("pages", expected.pages, found.pages),
        _named("pages with another content", _differing(expected.pages, found.pages)),
        *_ids("pages sent", expected.sendings, found.sendings),
        _named("pages sent twice without a kill in between", _unexplained(found, kills_at)),
        _named("staged parts left behind", found.staged),
        _named("snapshots left behind that nothing needs", found.orphans),
    ]
    if expected.rejections != found.rejections:
        told.append(f"dead letters: {found.rejections} instead of {expected.rejections}")
    return [line for line in told if line]


def repeats(found: Outcome) -> int:
    """How many messages repeated a page that had gone out already."""
    return sum(len(times) - 1 for times in found.sendings.values())


def _unexplained(found: Outcome, kills_at: Sequence[int]) -> Iterable[Any]:
    for sending, times in found.sendings.items():
        for first, second in pairwise(times):
            until = min(second, first + _NOTED_MILLIS)
            if not any(first <= killed_at <= until for killed_at in kills_at):
                yield sending


def _differing(expected: dict[str, Any], found: dict[str, Any]) -> Iterable[str]:
    return (name for name, what in expected.items() if name in found and found[name] != what)


def _ids(what: str, expected: Collection[Any], found: Collection[Any]) -> list[str]:
    return [
        _named(f"{what} missing", (one for one in expected if one not in found)),
        _named(f"{what} that should not be", (one for one in found if one not in expected)),
    ]


def _named(what: str, which: Iterable[Any]) -> str:
    """`what`, how many, and some of them; empty where there is none."""
    some = sorted(which)
    return f"{len(some)} {what}: {some[:_NAMED_MAX]}" if some else ""
