"""Trails: the last refunds of a cashier, card or receipt, packed as they are kept.

A shop keeps some hundred of them and hardly ever reads one: as bytes they take a fifth of the
memory of objects, and go into the encoded state as they are.
"""

from collections.abc import Iterator
from struct import Struct

import msgspec

from anomaly.state import TRAIL_MAX, Recent
from events.instant import Instant

_HEAD = Struct("<Bq")
"""Bytes that follow, and when the refund was."""

_LONG = 255
_LENGTH = Struct("<H")
"""Of so many bytes or more the number stands behind the head: an id has 512 at most (wire.py)."""


class _Rest(msgspec.Struct, array_like=True, gc=False):
    """What follows; what most refunds do not have comes last, and is left out."""

    total: int
    id: str
    marks: int
    cashier: str | None = None
    incident: str = ""


_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(_Rest).decode


def added(trail: bytes, refund: Recent, *, named: bool = True) -> bytes:
    """`trail` with `refund` as its newest; of more than `TRAIL_MAX` the oldest is left out.

    The card is not kept, nor, unless `named`, the cashier: whose trail it is knows that.
    """
    rest: tuple[object, ...] = refund.total, refund.id, refund.marks
    cashier = refund.cashier if named else None
    if refund.incident:
        rest = *rest, cashier, refund.incident
    elif cashier is not None:
        rest = *rest, cashier
    packed = _ENCODE(rest)
    size = len(packed)
    if size < _LONG:
        packed = _HEAD.pack(size, refund.at) + packed
    else:
        packed = _HEAD.pack(_LONG, refund.at) + _LENGTH.pack(size) + packed
    if not trail:
        return packed
    ends = [end for _, _, end in _places(trail)]
    return (trail[ends[0] :] if len(ends) == TRAIL_MAX else trail) + packed


def length(trail: bytes) -> int:
    """How many refunds there are in it."""
    return len(instants(trail))


def instants(trail: bytes) -> list[Instant]:
    """When each was, in the order in which they came."""
    return [at for at, _, _ in _places(trail)]


def refunds(trail: bytes, cashier: str | None = None) -> tuple[Recent, ...]:
    """All of them, in the order in which they came; `cashier` is whose trail it is."""
    found = []
    for at, start, end in _places(trail):
        rest = _DECODE(trail[start:end])
        by = cashier or rest.cashier
        found.append(Recent(at, rest.total, rest.id, by, None, rest.marks, rest.incident))
    return tuple(found)


def _places(trail: bytes) -> Iterator[tuple[Instant, int, int]]:
    """Of each when it was, and where the rest of it begins and ends."""
    end = 0
    while end < len(trail):
        size, at = _HEAD.unpack_from(trail, end)
        start = end + _HEAD.size
        if size == _LONG:
            (size,) = _LENGTH.unpack_from(trail, start)
            start += _LENGTH.size
        end = start + size
        yield at, start, end
