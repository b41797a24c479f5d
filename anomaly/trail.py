"""Trails: the last refunds of a cashier, card or receipt, packed as they are kept.

A shop keeps some hundred of them and hardly ever reads one: as bytes they take a fifth of the
memory of objects, and go into the encoded state as they are.
"""

from struct import Struct

import msgspec

from anomaly.state import TRAIL_MAX, Recent
from events.instant import Instant

_HEAD = Struct("<Hq")
"""Bytes that follow (an id has 512 at most, events/wire.py), and when the refund was."""

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(tuple[int, str, str | None, int, str]).decode


def added(trail: bytes, refund: Recent, *, named: bool = True) -> bytes:
    """`trail` with `refund` as its newest; of more than `TRAIL_MAX` the oldest is left out.

    The card is not kept, nor, unless `named`, the cashier: whose trail it is knows that.
    """
    rest = _ENCODE(
        (
            refund.total,
            refund.id,
            refund.cashier if named else None,
            refund.marks,
            refund.incident,
        )
    )
    packed = _HEAD.pack(len(rest), refund.at) + rest
    if not trail:
        return packed
    if length(trail) == TRAIL_MAX:
        trail = trail[_HEAD.size + _HEAD.unpack_from(trail)[0] :]
    return trail + packed


def length(trail: bytes) -> int:
    """How many refunds there are in it."""
    return len(instants(trail))


def instants(trail: bytes) -> list[Instant]:
    """When each was, in the order in which they came."""
    found, place, end = [], 0, len(trail)
    while place < end:
        size, at = _HEAD.unpack_from(trail, place)
        found.append(at)
        place += _HEAD.size + size
    return found


def refunds(trail: bytes, cashier: str | None = None) -> tuple[Recent, ...]:
    """All of them, in the order in which they came; `cashier` is whose trail it is."""
    found, place, end = [], 0, len(trail)
    while place < end:
        size, at = _HEAD.unpack_from(trail, place)
        place += _HEAD.size + size
        total, name, by, marks, incident = _DECODE(trail[place - size : place])
        found.append(Recent(at, total, name, cashier or by, None, marks, incident))
    return tuple(found)
