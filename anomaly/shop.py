"""One shop: its estimators over its state, and what it suspects of a refund."""

from math import exp

from anomaly.amounts import LogAmounts
from anomaly.baseline import HourOfWeek
from anomaly.state import RECENT_MAX, GroupState, Recent, ShopState
from anomaly.surprise import surprise_of_count
from anomaly.suspicion import Suspicion
from anomaly.words import money, number, weekday_hour
from events.instant import DAY, HOUR, Instant

WINDOWS: tuple[Instant, ...] = (2 * HOUR, DAY)
"""How far back a shop's refunds are counted against what is usual, in event time."""

RECENT_FOR: Instant = DAY
VOLUME_MIN = 4
"""Fewer refunds than these are no volume, however quiet the shop."""


class Shop:
    """The estimators of one shop. `state` is all that is kept."""

    __slots__ = ("dirty", "group", "id", "rate", "refund_amounts", "sale_amounts", "state")

    def __init__(self, shop_id: str, state: ShopState, group: GroupState) -> None:
        self.id = shop_id
        self.state = state
        self.group = group
        self.dirty = False
        self.rate = HourOfWeek(group)
        self.rate.state = state.rate
        self.sale_amounts = LogAmounts(memory=4000.0)
        self.sale_amounts.state = state.sale_amounts
        self.refund_amounts = LogAmounts(memory=1000.0, prior=self.sale_amounts)
        self.refund_amounts.state = state.refund_amounts

    def remember(self, refund: Recent) -> None:
        """Keep `refund` for a day of the shop's clock, among `RECENT_MAX` at most."""
        oldest = self.state.clock - RECENT_FOR
        recent = self.state.recent
        if recent and (len(recent) >= RECENT_MAX or recent[0].at < oldest):
            recent = [one for one in recent if one.at >= oldest]
            del recent[: max(len(recent) - RECENT_MAX + 1, 0)]
            self.state.recent = recent
        recent.append(refund)

    def suspicions(self, refund: Recent, offset: Instant) -> list[Suspicion]:
        """What `refund`, the newest remembered, may be a sign of; the strongest first."""
        found = [self._of_amount(refund)]
        found.extend(self._of_volume(refund, offset, window) for window in WINDOWS)
        found.sort(key=lambda suspicion: -suspicion.nats)
        return found

    def usual_sale(self) -> float:
        """The typical amount of a sale (a refund where no sale was seen), minor units."""
        known = self.sale_amounts if self.state.sale_amounts.n > 0.0 else self.refund_amounts
        return exp(known.state.mean)

    def usual_refunds(self) -> float:
        """Money that goes back on a usual day, minor units."""
        mean, deviation, _ = self.refund_amounts.usual()
        daily = self.rate.refund_share() * self.rate.daily_sales()
        return daily * exp(mean + 0.5 * deviation * deviation)

    def _of_amount(self, refund: Recent) -> Suspicion:
        mean, _, _ = self.refund_amounts.usual()
        nats = self.refund_amounts.score_one({"amount": refund.total})
        usual = money(exp(mean), self.state.currency)
        return Suspicion(
            reason="amount",
            entity_kind="shop",
            entity_id=self.id,
            nats=nats,
            observed=float(refund.total),
            expected=exp(mean),
            parts=[("amount", nats, exp(mean), float(refund.total), "minor units")],
            refunds=[refund],
            usual=f"a usual refund is {usual}",
            window=0,
        )

    def _of_volume(self, refund: Recent, offset: Instant, window: Instant) -> Suspicion:
        since = refund.at - window
        own = {""} | {
            incident.page_id
            for incident in self.state.incidents
            if incident.reason == "volume" and incident.window == window
        }
        refunds = [
            one for one in self.state.recent if since < one.at <= refund.at and one.incident in own
        ]
        local = refund.at + offset
        hour = local // HOUR
        expected = self.rate.expected(local - window, local)
        nats = 0.0
        if len(refunds) >= VOLUME_MIN:
            nats = surprise_of_count(float(len(refunds)), expected, self.rate.shape(hour))
        if window > HOUR * 2:
            usual = f"usual for a day is {number(expected)}"
        else:
            usual = f"usual for {weekday_hour(hour)} is {number(self.rate.rate(hour))}"
        return Suspicion(
            reason="volume",
            entity_kind="shop",
            entity_id=self.id,
            nats=nats,
            observed=float(len(refunds)),
            expected=expected,
            parts=[("volume", nats, expected, float(len(refunds)), "refunds")],
            refunds=refunds,
            usual=usual,
            window=window,
        )
