"""Bulk bodies of bounded size, and the verdict on each item of an answer. Pure."""

import re
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

import msgspec

from events.page import Page
from events.suppression import Lift, Suppression
from events.verdict import Verdict as GivenVerdict
from sinks.bulk_errors import QUOTED, Fault, fault
from sinks.document import Entry, Source

BODY_BYTES_MAX = 5 * 2**20
"""Bytes of one body; a single document that is larger goes alone. AWS refuses more than 10 MiB."""

DETAIL_CHARACTERS_MAX = 500
"""So much of OpenSearch's own words is kept."""

PIECE_BYTES_MAX = 120_000
"""Bytes that the C twin writes at a time: large enough for speed, and fewer than the 128 KiB from
which on glibc asks the kernel for fresh pages."""

_CHUNK_ENTRIES = 128
"""Entries that Python encodes at a time, for the same reasons."""

Refuse = Callable[[Source, str, str, str | None], None]
"""Takes what will never be indexed: what it was, a stable word why, a sentence, the field."""

_encoder = msgspec.json.Encoder()


class _Where(msgspec.Struct, frozen=True):
    index: str = msgspec.field(name="_index")


class _ActionLine(msgspec.Struct, frozen=True):
    index: _Where


_actions = msgspec.json.Decoder(_ActionLine)


class Body(msgspec.Struct, frozen=True):
    """The bytes of one request, and what its items were built from, in the same order."""

    data: bytes
    sources: tuple[Source, ...]

    def only(self, indexes: Iterable[int]) -> "Body":
        """The body of those items alone, cut from the bytes: two lines per item."""
        lines = self.data.split(b"\n")
        chosen = list(indexes)
        data = b"".join(b"%b\n%b\n" % (lines[2 * i], lines[2 * i + 1]) for i in chosen)
        return Body(data, tuple(self.sources[i] for i in chosen))

    def index_of(self, index: int) -> str:
        """The name of the index that an item goes to, by the item's place."""
        line = self.only((index,)).data.split(b"\n", 1)[0]
        return _actions.decode(line).index.index

    def halves(self) -> tuple["Body", "Body"]:
        """This body in two; it must have more than one item."""
        middle = len(self.sources) // 2
        return self.only(range(middle)), self.only(range(middle, len(self.sources)))


def bodies(
    entries: Iterable[Entry], refuse: Refuse, body_bytes_max: int = BODY_BYTES_MAX
) -> Iterator[Body]:
    """`entries` in order as bodies of at most `body_bytes_max`; what has no JSON is refused.

    Lazy: at most one body and one chunk exist here at a time.
    """
    return joined(pieces(entries, refuse, body_bytes_max), body_bytes_max)


def joined(parts: Iterable[Body], body_bytes_max: int) -> Iterator[Body]:
    """`parts` in order, put together to bodies of at most `body_bytes_max`.

    What is larger alone stays alone. Lazy: at most one body and one part exist here at a time.
    """
    # Joined once: a buffer that grows and is copied at the end takes twice the fresh pages.
    held: list[bytes] = []
    size = 0
    sources: list[Source] = []
    for part in parts:
        if held and size + len(part.data) > body_bytes_max:
            yield Body(b"".join(held), tuple(sources))
            held, size, sources = [], 0, []
        held.append(part.data)
        size += len(part.data)
        sources += part.sources
    if held:
        yield Body(b"".join(held), tuple(sources))


def pieces(entries: Iterable[Entry], refuse: Refuse, bytes_max: int) -> Iterator[Body]:
    """`entries` in order as small bodies, of at most `bytes_max` unless one entry alone is larger.

    What has no JSON is refused. Lazy: at most one chunk of entries exists here at a time.
    """
    remaining = iter(entries)
    while chunk := list(islice(remaining, _CHUNK_ENTRIES)):
        yield from _encoded(chunk, refuse, bytes_max)


def _encoded(entries: list[Entry], refuse: Refuse, bytes_max: int) -> Iterator[Body]:
    """`entries` encoded, in pieces of at most `bytes_max` unless one entry alone is larger."""
    lines: list[object] = [None] * (2 * len(entries))
    lines[::2] = [entry.action for entry in entries]
    lines[1::2] = [entry.document for entry in entries]
    try:
        data = _encoder.encode_lines(lines)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is narrowed down to its entry
        if len(entries) == 1:
            detail = f"no JSON can be made of it: {type(error).__name__}"
            refuse(entries[0].source, "document_unbuildable", detail, None)
            return
    else:
        if len(data) <= bytes_max or len(entries) == 1:
            yield Body(data, tuple([entry.source for entry in entries]))
            return
    middle = len(entries) // 2
    yield from _encoded(entries[:middle], refuse, bytes_max)
    yield from _encoded(entries[middle:], refuse, bytes_max)


class ItemError(msgspec.Struct, frozen=True):
    """What OpenSearch says of an item that it did not take."""

    type: str = "unknown"
    reason: str = ""


class _ItemResult(msgspec.Struct, frozen=True):
    status: int
    error: ItemError | None = None


class _Item(msgspec.Struct, frozen=True):
    index: _ItemResult


class _Answer(msgspec.Struct, frozen=True):
    errors: bool
    items: tuple[_Item, ...] = ()


class Refused(msgspec.Struct, frozen=True):
    """An item that OpenSearch will never take, by its place in the body."""

    index: int
    error: ItemError


class Verdict(msgspec.Struct, frozen=True):
    """What to do with the items of an answered body; the rest of them are durable."""

    again: tuple[int, ...] = ()
    refused: tuple[Refused, ...] = ()
    trouble: ItemError | None = None
    """What the first of the items that are to be tried again met with."""


_ALL_WELL = Verdict()
_NO_ERRORS = b'"errors":false'
_STATUS = b'"status":'
"""Once in every item of an answer without errors, which has no words of its own in it."""
_CREATED_MAX = 299
_CONFLICT = 409
_VERSIONED = (Page, GivenVerdict, Suppression, Lift)
"""Written with a version: a conflict says that a newer one stands, which is as good as written."""
_answers = msgspec.json.Decoder(_Answer)


def judge(answer: bytes, body: Body) -> Verdict:
    """The verdict on `answer`, which is what OpenSearch said to `body`.

    Raises:
        ValueError: it is no answer to that body.
    """
    if _NO_ERRORS in answer[:64]:
        answered = answer.count(_STATUS)
        if answered != len(body.sources):
            raise ValueError(f"{answered} items answered of {len(body.sources)}")
        return _ALL_WELL
    try:
        items = _answers.decode(answer).items
    except msgspec.MsgspecError as error:
        raise ValueError(f"not the answer to a bulk request: {error}") from error
    if len(items) != len(body.sources):
        raise ValueError(f"{len(items)} items answered of {len(body.sources)}")
    again: list[int] = []
    refused: list[Refused] = []
    trouble = None
    for index, item in enumerate(items):
        status = item.index.status
        said = item.index.error or ItemError()
        if status <= _CREATED_MAX or (
            status == _CONFLICT and isinstance(body.sources[index], _VERSIONED)
        ):
            continue
        if fault(status, said.type, said.reason) is not Fault.RECORD:
            again.append(index)
            trouble = trouble or said
        else:
            refused.append(Refused(index, said))
    return Verdict(tuple(again), tuple(refused), trouble)


_FIELD = re.compile(r"field(?:=\"| \[|=\[)([^\"\]]+)")


def detail_of(error: ItemError) -> str:
    """OpenSearch's reason without the values that it quotes, which may be a customer's."""
    return QUOTED.sub("…", error.reason)[:DETAIL_CHARACTERS_MAX]


def field_of(error: ItemError) -> str | None:
    """The field at fault, where OpenSearch names one."""
    found = _FIELD.search(error.reason)
    return found.group(1) if found else None
