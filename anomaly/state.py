"""What the detector remembers, as plain values that go to bytes and back without loss.

Everything is bounded; the maxima stand here. Encoded as MessagePack (floats keep all 64 bits, maps
keep their order), so that a restored detector goes on bit for bit, and compressed (at_rest.py).
"""

from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from anomaly.at_rest import AtRestError, packer, unpack
from anomaly.sale_state import ChainMisfitState, MarkState, NumberingState, SoldState, TenderState
from anomaly.suppression import RuleState
from events.instant import Instant

FORMAT: Final = 8
"""Version of the encoded state; a change of any struct below, or its meaning, needs a new one."""

SLOTS: Final = 168
"""Hours of a week."""

RECENT_MAX: Final = 48
"""Refunds of the last day that a shop remembers one by one."""

CASHIERS_MAX: Final = 40
CARDS_MAX: Final = 40
CUSTOMERS_MAX: Final = 8
RECEIPTS_MAX: Final = 20
LARGE_SALES_MAX: Final = 12
TOP_MAX: Final = 16
"""The largest amounts, whose fall tells how rare still larger ones are."""

TRAIL_MAX: Final = 6
"""Refunds that a cashier, card or receipt remembers beyond a day, to be shown as evidence."""

CASHIERS_TOLD_MAX: Final = 8
"""Cashiers that one incident counts by name."""

INCIDENTS_MAX: Final = 6
"""Incidents that one shop can have open at once; the quietest makes room."""

VERDICT_REASONS_MAX: Final = 16
VERDICT_PAGES_MAX: Final = 8
"""Pages of one shop and reason whose last verdict is remembered, so that it can be taken back."""

NEVER: Final[Instant] = 2**62
"""An instant that no event reaches (the year 148,000)."""


NO_PEAK: Final = -99.0
"""The peak of a day without refunds."""


class StateError(ValueError):
    """Bytes that are not a state that this detector can go on from."""


class RateState(msgspec.Struct, array_like=True):
    """Sales by local hour of the week in ten-thousandths, which keeps them short.

    By hours since the day's first transaction, fading: sales, and refunds in hundredths.
    """

    hour: int = 0
    first: int = 0
    hours: int = 0
    opened: int = 0
    """The hour of the day's first transaction."""
    sales_now: int = 0
    refunds_now: float = 0.0
    came: int = 0
    """Refunds of the open hour."""
    sales_seen: float = 0.0
    refunds_seen: float = 0.0
    lift_seen: float = 0.0
    lift_expected: float = 0.0
    unspent: float = 0.0
    """Refunds that were to be expected since the last hour with refunds."""
    sales: list[int] = msgspec.field(default_factory=lambda: [0] * SLOTS)
    weekday_refunds: list[float] = msgspec.field(default_factory=lambda: [0.0] * 7)
    weekday_expected: list[float] = msgspec.field(default_factory=lambda: [0.0] * 7)
    chain_seen: float = 0.0
    chain_expected: float = 0.0
    """This shop's part of what the chain's lift is made of, at the open hour."""
    daily_sales: list[int] = msgspec.field(default_factory=lambda: [0] * 24)
    daily_refunds: list[int] = msgspec.field(default_factory=lambda: [0] * 24)


class AmountState(msgspec.Struct, array_like=True):
    """Weight, mean and squared deviations of log amounts."""

    n: float = 0.0
    mean: float = 0.0
    squares: float = 0.0
    large: int = 0
    """From where on an amount is among the largest."""
    seen: int = 0
    top: list[int] = msgspec.field(default_factory=list)
    """The largest, the least of them first."""


class Recent(msgspec.Struct, array_like=True, gc=False):
    """One refund as it is remembered; `marks` as in marks.py, `incident` a page id or empty."""

    at: Instant
    total: int
    id: str
    cashier: str | None
    card: int | None
    """By hash (repeats.py)."""
    marks: int
    incident: str = ""
    item: int = 0
    """The first article, by hash; 0 where it is not known."""


class RunsState(msgspec.Struct, array_like=True, gc=False):
    """The runs that are going on about one entity, and its last hour with refunds."""

    hour: int = 0
    owed: float = 0.0
    tests: bytes = b""
    """Packed by sequential.py, some 15 bytes each: most shops and cashiers have several."""


class CashierState(msgspec.Struct, array_like=True, gc=False):
    """One cashier: how busy, what share of refunds is usual, and what has gathered lately.

    `hour`, `owed` and `tests` are the cashier's runs, as in RunsState: a chain has many cashiers
    without any, so they are no object of their own.
    """

    today: int = 0
    sales: float = 0.0
    usual_sales: float = 0.0
    usual_refunds: float = 0.0
    usual_days: float = 0.0
    refunds_today: int = 0
    lately_sales: float = 0.0
    lately_refunds: float = 0.0
    """The same of the days before, fading fast."""
    counted: int = 0
    """Sales of today that are already in what is to be expected."""
    hour: int = 0
    owed: float = 0.0
    tests: bytes = b""
    trail: bytes = b""
    """The last refunds, packed by trail.py without the cashier's name."""


class SeenState(msgspec.Struct, array_like=True, gc=False):
    """One card, customer or receipt.

    `count` are the refunds so far, fading, in thousandths, as of the newest in `trail`, which holds
    the last of them.
    """

    count: int = 0
    trail: bytes = b""
    """Packed by trail.py."""


class RepeatsState(msgspec.Struct, array_like=True):
    """How usual coming back is; the refunds remembered, by hash of the card or receipt.

    The card that was longest not seen comes first.
    """

    refunds: float = 0.0
    again: float = 0.0
    seen: dict[int, SeenState] = msgspec.field(default_factory=dict)


class MisfitState(msgspec.Struct, array_like=True):
    """How usual it is that a refund does not fit its sale, and what has gathered."""

    n: float = 0.0
    above: float = 0.0
    late: float = 0.0
    ages: list[int] = msgspec.field(default_factory=list)
    """Refunds by the age of their sale, fading, in hundredths."""
    chain_count: int = 0
    chain_n: float = 0.0
    chain_late: float = 0.0
    """This shop's part of what the chain's last refunds are, when the chain had counted so many."""
    above_runs: RunsState = msgspec.field(default_factory=RunsState)
    late_runs: RunsState = msgspec.field(default_factory=RunsState)
    trail: bytes = b""
    """The last that did not fit, packed by trail.py."""


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
    receipts_known: bool
    severity: int = 1
    revision: int = 0
    refunds: int = 0
    refunded: int = 0
    told_refunds: int = 0
    told_refunded: int = 0
    with_receipt: int = 0
    elsewhere: int = 0
    """Refunds that went another way than their sale was paid."""
    cashiers: dict[str, int] = msgspec.field(default_factory=dict)
    evidence: list[tuple[float, str]] = msgspec.field(default_factory=list)
    """Weight and transaction id, worst first."""
    muted: bool = False
    """Whether a rule kept its last telling from people."""


class VerdictState(msgspec.Struct, array_like=True):
    """What verdicts on pages of one reason moved: so many nats at `at`, on the shop's clock."""

    shift: float = 0.0
    at: Instant = 0
    pages: dict[str, str] = msgspec.field(default_factory=dict)
    """The last pages judged, and what was found; the oldest first."""


class ShopState(msgspec.Struct, array_like=True):
    """All that is known of one shop."""

    format: int
    group: int
    currency: str
    born: Instant
    clock: Instant
    day: int
    closes_at: Instant = NEVER
    sales_today: int = 0
    peak: float = NO_PEAK
    """The strongest suspicion of the day, in nats beyond its need."""
    told: bool = False
    """Whether a page was opened today."""
    runs: RunsState = msgspec.field(default_factory=RunsState)
    late_hour: int = 0
    """Hour of the last refund that came late."""
    rate: RateState = msgspec.field(default_factory=RateState)
    sale_amounts: AmountState = msgspec.field(default_factory=AmountState)
    refund_amounts: AmountState = msgspec.field(default_factory=AmountState)
    marks: MarkState = msgspec.field(default_factory=MarkState)
    tenders: TenderState = msgspec.field(default_factory=TenderState)
    cashiers: dict[str, CashierState] = msgspec.field(default_factory=dict)
    cards: RepeatsState = msgspec.field(default_factory=RepeatsState)
    customers: RepeatsState = msgspec.field(default_factory=RepeatsState)
    receipts: RepeatsState = msgspec.field(default_factory=RepeatsState)
    large_sales: dict[str, int] = msgspec.field(default_factory=dict)
    sold: SoldState = msgspec.field(default_factory=SoldState)
    numbering: NumberingState = msgspec.field(default_factory=NumberingState)
    misfits: MisfitState = msgspec.field(default_factory=MisfitState)
    recent: list[Recent] = msgspec.field(default_factory=list)
    incidents: list[Incident] = msgspec.field(default_factory=list)
    verdicts: dict[str, VerdictState] = msgspec.field(default_factory=dict)
    """By reason."""
    rules: list[RuleState] = msgspec.field(default_factory=list)
    """Of which pages nobody is told."""


class PeaksState(msgspec.Struct, array_like=True):
    """A histogram of the daily peaks, and the threshold that follows from it."""

    seen: int = 0
    updates: int = 0
    level: float = 0.0
    counts: list[int] = msgspec.field(default_factory=list)


class ForestState(msgspec.Struct, array_like=True):
    """The masses of a forest (its trees are grown again from the seed), and its usual scores."""

    counter: int = 0
    first_window: bool = True
    masses: bytes = b""
    golden: list[float] = msgspec.field(default_factory=list)
    """Scores of fixed probes; a restored forest has to give the same."""
    scores: list[int] = msgspec.field(default_factory=list)


class GroupState(msgspec.Struct, array_like=True):
    """What the shops of one key group share."""

    format: int
    hours: float = 0.0
    sales: float = 0.0
    refunds: float = 0.0
    hour: int = 0
    lift_seen: float = 0.0
    lift_expected: float = 0.0
    peaks: PeaksState = msgspec.field(default_factory=PeaksState)
    forest: ForestState = msgspec.field(default_factory=ForestState)
    misfits: ChainMisfitState = msgspec.field(default_factory=ChainMisfitState)


State = TypeVar("State", ShopState, GroupState)

_ENCODER = msgspec.msgpack.Encoder()
_SHOPS = msgspec.msgpack.Decoder(ShopState)
_GROUPS = msgspec.msgpack.Decoder(GroupState)


def encode(state: ShopState | GroupState, pack: Callable[[bytes], bytes] | None = None) -> bytes:
    """`state` as bytes, by a packer of the caller's; equal states give equal bytes."""
    return (pack or packer())(_ENCODER.encode(state))


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


def _checked(data: bytes, decoder: msgspec.msgpack.Decoder[State]) -> State:
    try:
        state = decoder.decode(unpack(data))
    except (msgspec.DecodeError, AtRestError) as error:
        raise StateError(f"not a state of the detector: {error}") from error
    if state.format != FORMAT:
        raise StateError(f"state of format {state.format}; this detector reads format {FORMAT}")
    return state
