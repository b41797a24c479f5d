"""The detector: transactions in, scores and pages out, one at a time, in stream order."""

from collections.abc import Mapping
from hashlib import sha256
from math import exp

import msgspec

from anomaly import pages
from anomaly.features import WITH_RECEIPT, marks
from anomaly.shop import Shop
from anomaly.state import (
    FORMAT,
    GroupState,
    Incident,
    Recent,
    ShopState,
    decode_group,
    decode_shop,
    encode,
)
from anomaly.suspicion import Suspicion
from anomaly.threshold import PeakThreshold
from events.instant import DAY, HOUR, MINUTE, Instant
from events.key_group import key_group
from events.page import Page, PageStatus
from events.score import Score
from events.transaction import Transaction

EVEN_ODDS_NATS = 6.0
"""Nats of evidence at which a refund's score is one half: fraud is that rare beforehand."""

WARM_UP: Instant = 14 * DAY
WARM_UP_NATS = 5.0
"""What a shop's first refund needs beyond the threshold; it falls to nothing over `WARM_UP`."""

DAMPED_FROM = 0.5
"""Part of the threshold from which a refund teaches less."""

DAMPED_TO = 0.15
"""What a refund at the threshold still teaches, so that a lasting change is learnt in the end."""

QUIET_DAYS_MAX = 14
"""Days without events that count as quiet ones, at most."""


class DetectorConfig(msgspec.Struct, frozen=True):
    """What a detector runs with; part of the model's version.

    `pages_per_shop_week` is the one setting a user turns: the pages accepted per shop and week that
    turn out to be nothing.
    """

    key_groups: int = 4
    pages_per_shop_week: float = 0.1
    seed: int = 17

    def model_version(self) -> str:
        """A name for the format of the state and this configuration together."""
        digest = sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()
        return f"tillwatch-{FORMAT}-{digest[:8]}"


class Observation(msgspec.Struct, frozen=True):
    """What one transaction gave: the score of a refund, and pages opened, updated or closed."""

    score: Score | None
    pages: tuple[Page, ...]


class Changes(msgspec.Struct, frozen=True):
    """The encoded state of what changed; merged in order, all changes are the full state."""

    shops: dict[str, bytes]
    groups: dict[int, bytes]


class Detector:
    """Scores each refund against its shop, then learns from it, and groups what stands out.

    The same transactions in the same order give bit-identical scores and pages, whatever calls of
    `take_changes` and restarts lie in between. Time is event time. Nothing is done outside memory.

    Args:
        config: the same for the life of the state.
        shops: encoded state by shop, merged from what `take_changes` gave.
        groups: likewise by key group.

    Raises:
        StateError: bytes of another format.
    """

    def __init__(
        self,
        config: DetectorConfig,
        shops: Mapping[str, bytes] | None = None,
        groups: Mapping[int, bytes] | None = None,
    ) -> None:
        self._config = config
        self._version = config.model_version()
        self._groups = {number: decode_group(data) for number, data in (groups or {}).items()}
        self._shops: dict[str, Shop] = {}
        for shop_id, data in (shops or {}).items():
            state = decode_shop(data)
            self._shops[shop_id] = Shop(shop_id, state, self._group(state.group))
        self._changed: dict[str, Shop] = {}

    def observe(self, transaction: Transaction) -> Observation | None:
        """Score `transaction`, then learn from it; None where there is nothing to say."""
        shop = self._shops.get(transaction.shop_id)
        if shop is None:
            shop = self._new_shop(transaction)
        if not shop.dirty:
            shop.dirty = True
            self._changed[transaction.shop_id] = shop
        state = shop.state
        at = transaction.occurred_at
        state.clock = max(state.clock, at)
        hour = (at + transaction.utc_offset_minutes * MINUTE) // HOUR
        late = hour != state.rate.hour and self._enter(shop, hour)
        if transaction.type == "REFUND":
            return self._refund(shop, transaction, hour, late=late)
        if transaction.type == "SALE":
            if late:
                shop.rate.count_sales(hour, 1, late=True)
            else:
                state.rate.sales_now += 1
            shop.sale_amounts.learn(transaction.total)
        if state.clock >= state.closes_at:
            return Observation(None, tuple(self._close_quiet(shop)))
        return None

    def take_changes(self) -> Changes:
        """The state of the shops and key groups that changed since the last call."""
        changed, self._changed = self._changed, {}
        shops = {}
        numbers = set()
        for shop_id, shop in changed.items():
            shop.dirty = False
            shops[shop_id] = encode(shop.state)
            numbers.add(shop.state.group)
        return Changes(shops, {number: encode(self._group(number)) for number in sorted(numbers)})

    def _group(self, number: int) -> GroupState:
        group = self._groups.get(number)
        if group is None:
            group = self._groups[number] = GroupState(FORMAT)
        return group

    def _new_shop(self, transaction: Transaction) -> Shop:
        number = key_group(transaction.shop_id, self._config.key_groups)
        state = ShopState(FORMAT, number, born=transaction.occurred_at)
        state.currency = transaction.currency
        shop = self._shops[transaction.shop_id] = Shop(
            transaction.shop_id, state, self._group(number)
        )
        return shop

    def _enter(self, shop: Shop, hour: int) -> bool:
        """Close the hours (and days) before `hour`; True if `hour` was closed before."""
        state = shop.state
        late = shop.rate.reach(hour)
        day = hour // 24
        if day > state.day:
            threshold = self._threshold(shop)
            if state.day >= 0:
                threshold.update(state.day_score)
                for _ in range(min(day - state.day - 1, QUIET_DAYS_MAX)):
                    threshold.update(0.0)
            state.day = day
            state.day_score = 0.0
        return late

    def _threshold(self, shop: Shop) -> PeakThreshold:
        return PeakThreshold(self._config.pages_per_shop_week, shop.group)

    def _refund(
        self, shop: Shop, transaction: Transaction, hour: int, *, late: bool
    ) -> Observation:
        state = shop.state
        refund = Recent(
            at=transaction.occurred_at,
            total=transaction.total,
            id=transaction.transaction_id,
            cashier=transaction.cashier_id,
            card=transaction.card_token,
            marks=marks(transaction, out_of_hours=False),
            incident="",
        )
        shop.remember(refund)
        found = shop.suspicions(refund, transaction.utc_offset_minutes * MINUTE)
        worst = found[0]
        value = 1.0 / (1.0 + exp(min(EVEN_ODDS_NATS - worst.nats, 700.0)))
        told = self._close_quiet(shop)
        told += self._page(shop, refund, found, value)
        state.day_score = max(state.day_score, worst.nats)
        self._learn(shop, transaction, refund, hour, worst.nats, late=late)
        return Observation(Score(value, worst.reasons(), self._version), tuple(told))

    def _learn(
        self,
        shop: Shop,
        transaction: Transaction,
        refund: Recent,
        hour: int,
        nats: float,
        *,
        late: bool,
    ) -> None:
        """Learn less from what stands out: an anomaly does not teach that it is normal."""
        excess = nats / self._threshold(shop).get() - DAMPED_FROM
        weight = 1.0 - (1.0 - DAMPED_TO) * min(max(excess / (1.0 - DAMPED_FROM), 0.0), 1.0)
        if refund.incident:
            weight = DAMPED_TO
        shop.rate.count_refunds(hour, weight, late=late)
        shop.refund_amounts.learn(transaction.total, weight)
        if refund.marks & WITH_RECEIPT:
            shop.state.marked[0] += weight

    def _page(self, shop: Shop, refund: Recent, found: list[Suspicion], value: float) -> list[Page]:
        """Join the refund to its incident, or open one if it passes the threshold."""
        state, worst = shop.state, found[0]
        needed = self._threshold(shop).get()
        young = 1.0 - (state.clock - state.born) / WARM_UP
        if young > 0.0:
            needed += WARM_UP_NATS * young
        passes = worst.nats >= needed
        incident = pages.find(state, refund, found, DAMPED_FROM * needed)
        if incident is not None:
            if passes or worst.nats >= DAMPED_FROM * needed:
                incident.alive_at = state.clock
                pages.schedule(state)
            pages.join(incident, refund, float(refund.total))
            incident.score = max(incident.score, value)
            if not pages.has_grown(incident):
                return []
            return [self._tell(shop, incident, "updated")]
        if not passes:
            return []
        told = []
        room = pages.overflow(state)
        if room is not None:
            state.incidents.remove(room)
            told.append(self._tell(shop, room, "closed"))
        incident = pages.open_incident(state, shop.id, refund, worst, value)
        incident.receipts_known = state.marked[0] > 0.0
        pages.schedule(state)
        told.append(self._tell(shop, incident, "open"))
        return told

    def _close_quiet(self, shop: Shop) -> list[Page]:
        if shop.state.clock < shop.state.closes_at:
            return []
        return [self._tell(shop, incident, "closed") for incident in pages.end_of_quiet(shop.state)]

    def _tell(self, shop: Shop, incident: Incident, status: PageStatus) -> Page:
        incident.severity = max(
            incident.severity,
            pages.severity(incident, shop.usual_sale(), shop.usual_refunds()),
        )
        return pages.told(incident, status, shop.id, shop.state, self._version)
