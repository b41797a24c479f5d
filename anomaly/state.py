"""What the detector remembers, as plain values that go to bytes and back without loss.

Everything is bounded; the maxima stand here. Encoded as MessagePack (floats keep all 64 bits, maps
keep their order), so that a restored detector goes on bit for bit. Each value starts with `FORMAT`.
"""

from typing import TypeVar

import msgspec

from events.instant import Instant

FORMAT = 1
"""Version of the encoded state; a change of any struct below needs a new one."""

SLOTS = 168
"""Hours of a week."""

PAST_HOURS = 26
"""Hours whose expected refunds are kept, so that a window of a day can be summed."""

RECENT_MAX = 64
"""Refunds of the last day that a shop remembers one by one."""

CASHIERS_MAX = 40
CARDS_MAX = 48
RECEIPTS_MAX = 32
LARGE_SALES_MAX = 12
TRAIL_MAX = 12
"""Refunds that a slowly growing suspicion remembers, to be shown as evidence."""

CASHIERS_TOLD_MAX = 8
"""Cashiers that one incident counts by name."""

INCIDENTS_MAX = 6
"""Incidents that one shop can have open at once; the quietest makes room."""

NEVER: Instant = 2**62
"""An instant that no event reaches (the year 148,000)."""


class StateError(ValueError):
    """Bytes that are not a state of this format."""


class RateState(msgspec.Struct, array_like=True):
    """Sales and refunds by local hour of the week; counts in ten-thousandths, to stay small."""

    hour: int = 0
    first: int = 0
    sales_now: int = 0
    refunds_now: float = 0.0
    hours: int = 0
    sales_seen: float = 0.0
    refunds_seen: float = 0.0
    sales: list[int] = msgspec.field(default_factory=lambda: [0] * SLOTS)
    refunds: list[int] = msgspec.field(default_factory=lambda: [0] * SLOTS)
    past: list[float] = msgspec.field(default_factory=lambda: [0.0] * PAST_HOURS)
    lift_seen: float = 0.0
    lift_expected: float = 0.0


class AmountState(msgspec.Struct, array_like=True):
    """Weight, mean and squared deviations of log amounts."""

    n: float = 0.0
    mean: float = 0.0
    squares: float = 0.0


class Recent(msgspec.Struct, array_like=True, gc=False):
    """One refund of the last day; `marks` as in features.py, `incident` a page id or empty."""

    at: Instant
    total: int
    id: str
    cashier: str | None
    card: str | None
    marks: int
    incident: str


class Incident(msgspec.Struct, array_like=True):
    """One open page, as it was last told and as it has grown since."""

    page_id: str
    reason: str
    entity_kind: str
    entity_id: str
    currency: str
    opened_at: Instant
    first_at: Instant
    last_at: Instant
    alive_at: Instant
    """When the last sign of it came, on the shop's clock."""
    window: Instant
    after: str
    observed: float
    expected: float
    usual: str
    """What the summary says was usual, as it was at opening."""
    score: float
    severity: int = 1
    revision: int = 0
    refunds: int = 0
    refunded: int = 0
    told_refunds: int = 0
    told_refunded: int = 0
    with_receipt: int = 0
    receipts_known: bool = False
    cashiers: dict[str, int] = msgspec.field(default_factory=dict)
    evidence: list[tuple[float, str]] = msgspec.field(default_factory=list)
    """Weight and transaction id, worst first."""


class ShopState(msgspec.Struct, array_like=True):
    """All that is known of one shop."""

    format: int
    group: int
    clock: Instant = -NEVER
    born: Instant = NEVER
    day: int = -NEVER
    day_score: float = 0.0
    currency: str = ""
    closes_at: Instant = NEVER
    rate: RateState = msgspec.field(default_factory=RateState)
    sale_amounts: AmountState = msgspec.field(default_factory=AmountState)
    refund_amounts: AmountState = msgspec.field(default_factory=AmountState)
    refunds: float = 0.0
    marked: list[float] = msgspec.field(default_factory=lambda: [0.0, 0.0, 0.0])
    """Of `refunds`, those with a receipt, just under the limit, out of hours; decaying together."""
    recent: list[Recent] = msgspec.field(default_factory=list)
    incidents: list[Incident] = msgspec.field(default_factory=list)


class GroupState(msgspec.Struct, array_like=True):
    """What the shops of one key group share."""

    format: int
    sales: float = 0.0
    refunds: float = 0.0
    hours: float = 0.0
    peaks: list[float] = msgspec.field(default_factory=list)
    peaks_seen: float = 0.0
    threshold: float = 0.0


def encode(state: ShopState | GroupState) -> bytes:
    """`state` as bytes; equal states give equal bytes."""
    return _ENCODER.encode(state)


def decode_shop(data: bytes) -> ShopState:
    """A shop's state from what `encode` gave.

    Raises:
        StateError: other bytes, or another format.
    """
    return _checked(data, _SHOPS)


def decode_group(data: bytes) -> GroupState:
    """A key group's state from what `encode` gave.

    Raises:
        StateError: other bytes, or another format.
    """
    return _checked(data, _GROUPS)


State = TypeVar("State", ShopState, GroupState)

_ENCODER = msgspec.msgpack.Encoder()
_SHOPS = msgspec.msgpack.Decoder(ShopState)
_GROUPS = msgspec.msgpack.Decoder(GroupState)


def _checked(data: bytes, decoder: msgspec.msgpack.Decoder[State]) -> State:
    try:
        state = decoder.decode(data)
    except msgspec.DecodeError as error:
        raise StateError(f"not a state of the detector: {error}") from error
    if state.format != FORMAT:
        raise StateError(f"state of format {state.format}; this detector reads format {FORMAT}")
    return state
