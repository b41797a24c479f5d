"""The detector: transactions in, scores and pages out, one at a time, in stream order."""

from collections.abc import Mapping
from hashlib import sha256
from math import exp, log
from sys import intern

import msgspec

from anomaly import pages, suppression
from anomaly.at_rest import packer
from anomaly.bar import DAMPED_FROM, Bar
from anomaly.features import features
from anomaly.group import Group
from anomaly.hypotheses import suspicions
from anomaly.marks import item_of, marks_of
from anomaly.needs import needed_in
from anomaly.renaming import rename_card
from anomaly.repeats import short
from anomaly.shop import Shop
from anomaly.state import (
    FORMAT,
    NO_PEAK,
    GroupState,
    Incident,
    Recent,
    ShopState,
    decode_group,
    decode_shop,
    encode,
)
from anomaly.suspicion import Suspicion
from anomaly.verdicts import judge
from events.instant import DAY, HOUR, MINUTE, Instant
from events.key_group import key_group
from events.page import Page, PageStatus
from events.score import Score
from events.suppression import Lift, Suppression
from events.transaction import Transaction
from events.verdict import Verdict

EVEN_ODDS_BELOW = 3.0
"""A score is one half at so many nats below what a page needs, and 0.95 at a page."""

MEMBER_SCORE = 0.5
"""What belongs to an open page scores no less."""

WARM_UP: Instant = 14 * DAY
WARM_UP_NATS = 5.0
"""What a shop's first refund needs beyond the threshold; it falls to nothing over `WARM_UP`."""

USUAL_DAILY = 6.0
"""Refunds a day, and one, of the shop that needs.NEEDED is meant for."""

DAMPED_TO = 0.15
"""What a refund that would page still teaches."""

DAMPED_FOR: Instant = 7 * DAY
"""An incident that lasts longer is how things are now: its refunds teach in full again."""

KNOWN: Instant = 7 * DAY
"""A shop's days tell where the threshold has to be from this age on."""


class DetectorConfig(msgspec.Struct, frozen=True):
    """What a detector runs with; part of the model's version.

    `pages_per_shop_week` is the one setting a user turns: the pages accepted per shop and week that
    turn out to be nothing. `without` names evidence to leave out, to see what it is worth: any of
    needs.EVIDENCE.
    """

    key_groups: int = 4
    pages_per_shop_week: float = 0.1
    seed: int = 17
    without: tuple[str, ...] = ()

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
    `take_changes` and restarts lie in between. Time is event time, and may go back. Nothing is done
    outside memory.

    Args:
        config: the same for the life of the state.
        shops: encoded state by shop, merged from what `take_changes` gave.
        groups: likewise by key group; a group that is missing starts anew.

    Raises:
        StateError: bytes that this detector cannot go on from.
    """

    def __init__(
        self,
        config: DetectorConfig,
        shops: Mapping[str, bytes] | None = None,
        groups: Mapping[int, bytes] | None = None,
    ) -> None:
        self._config = config
        self._version = config.model_version()
        self._groups = {
            number: self._make_group(decode_group(data)) for number, data in (groups or {}).items()
        }
        self._shops: dict[str, Shop] = {}
        for shop_id, data in (shops or {}).items():
            state = decode_shop(data)
            self._shops[shop_id] = Shop(shop_id, state, self._group(state.group))
        self._changed: list[Shop] = []
        self._pack = packer()

    def observe(self, transaction: Transaction) -> Observation | None:
        """Score `transaction`, then learn from it; None where there is nothing to say.

        Whatever happens is a function of the state before and of `transaction` alone. That holds
        for an unexpected exception too: it comes again, at the same step and with the same state
        after it, when the records are gone through again.
        """
        shop = self._shops.get(transaction.shop_id)
        if shop is None:
            shop = self._new_shop(transaction)
        if not shop.dirty:
            shop.dirty = True
            self._changed.append(shop)
        state, at = shop.state, transaction.occurred_at
        if at > state.clock:  # noqa: PLR1730 -- a call of max() for every record
            state.clock = at
        hour = (at + transaction.utc_offset_minutes * MINUTE) // HOUR
        late = hour != state.rate.hour and self._enter(shop, hour)
        if transaction.type == "REFUND":
            return self._refund(shop, transaction, hour, late=late)
        if transaction.type == "SALE":
            shop.sell(transaction, hour, late=late)
        if state.clock >= state.closes_at:
            return Observation(None, tuple(self._close_quiet(shop)))
        return None

    def judge(self, verdict: Verdict) -> bool:
        """Let what a person said of a page move that shop's threshold for its reason.

        Within the bounds of anomaly/verdicts.py. False where it changes nothing: the same was said
        before, or the shop is not known here.
        """
        shop = self._shops.get(verdict.shop_id)
        if shop is None or not judge(shop.state, verdict):
            return False
        if not shop.dirty:
            shop.dirty = True
            self._changed.append(shop)
        return True

    def suppress(self, said: Suppression | Lift) -> bool:
        """Let a rule begin or end of which pages nobody is told: see anomaly/suppression.py.

        False where it changes nothing: it is known, or over, or the shop is not known here.
        """
        shop = self._shops.get(said.shop_id)
        if shop is None or not suppression.apply(shop.state.rules, said, shop.state.clock):
            return False
        if not shop.dirty:
            shop.dirty = True
            self._changed.append(shop)
        return True

    def take_changes(self) -> Changes:
        """The state of the shops and key groups that changed since the last call."""
        changed, self._changed = self._changed, []
        shops = {}
        for shop in changed:
            shop.dirty = False
            shops[shop.id] = encode(shop.state, self._pack)
        numbers = sorted({shop.state.group for shop in changed})
        return Changes(
            shops, {number: encode(self._groups[number].dump(), self._pack) for number in numbers}
        )

    def put_back(self, shops: Mapping[str, bytes], groups: Mapping[int, bytes]) -> None:
        """Forget everything observed since the last `take_changes`.

        `shops` and `groups` are all encoded state as of then. Only what was touched is read from
        it again.
        """
        touched, self._changed = self._changed, []
        numbers = {shop.state.group for shop in touched}
        for number in numbers:
            data = groups.get(number)
            kept = GroupState(FORMAT) if data is None else decode_group(data)
            self._groups[number] = self._make_group(kept)
        for shop in touched:
            if shop.id in shops:
                shop.state = decode_shop(shops[shop.id])
            else:
                del self._shops[shop.id]
        for shop_id, shop in self._shops.items():
            if shop.state.group in numbers:  # it held on to the group as it was
                self._shops[shop_id] = Shop(shop_id, shop.state, self._groups[shop.state.group])

    def _make_group(self, state: GroupState) -> Group:
        config = self._config
        return Group(state, config.pages_per_shop_week, config.seed, frozenset(config.without))

    def _group(self, number: int) -> Group:
        group = self._groups.get(number)
        if group is None:
            group = self._groups[number] = self._make_group(GroupState(FORMAT))
        return group

    def _new_shop(self, transaction: Transaction) -> Shop:
        number = key_group(transaction.shop_id, self._config.key_groups)
        at = transaction.occurred_at
        state = ShopState(
            format=FORMAT,
            group=number,
            currency=transaction.currency,
            born=at,
            clock=at,
            day=(at + transaction.utc_offset_minutes * MINUTE) // DAY,
        )
        shop = Shop(transaction.shop_id, state, self._group(number))
        self._shops[shop.id] = shop
        return shop

    def _enter(self, shop: Shop, hour: int) -> bool:
        """Close the hours, and the days, before `hour`; True if `hour` itself was closed before."""
        state = shop.state
        late = shop.rate.reach(hour)
        days = hour // 24 - state.day
        if days > 0:
            shop.next_day(days)
            if not state.told and not state.incidents and state.clock - state.born > KNOWN:
                shop.group.threshold.update(state.peak)
            state.peak, state.told = NO_PEAK, False
            state.day += days
        return late

    def _refund(
        self, shop: Shop, transaction: Transaction, hour: int, *, late: bool
    ) -> Observation:
        """Score, page, learn: in this order."""
        state, cashier = shop.state, transaction.cashier_id or transaction.register_id
        if transaction.card_before is not None and transaction.card_token is not None:
            rename_card(shop, transaction.card_before, transaction.card_token)
        fit = shop.fit(transaction)
        refund = Recent(
            at=transaction.occurred_at,
            total=transaction.total if transaction.currency == state.currency else 0,
            id=transaction.transaction_id,
            # One string for all refunds of a cashier: they are compared again and again.
            cashier=cashier if cashier is None else intern(cashier),
            card=None if transaction.card_token is None else short(transaction.card_token),
            marks=marks_of(transaction, out_of_hours=shop.out_of_hours(hour, late=late))
            | fit.marks()
            | shop.tender_marks(transaction),
            item=item_of(transaction),
        )
        told = self._close_quiet(shop)
        shop.remember(refund)
        rates, usual = shop.rate.rates(hour), shop.refund_amounts.usual()[:2]
        pattern = shop.group.score_then_learn(features(shop, transaction, refund, rates, usual))
        young = max(1.0 - (state.clock - state.born) / WARM_UP, 0.0)
        more = young * WARM_UP_NATS + shop.group.threshold.get()
        # That some refund looks odd by chance is likelier the more there are.
        often = log((rates.share * rates.hourly * 24.0 + 1.0) / USUAL_DAILY)
        bar = Bar(state, needed_in(shop), more + often, pattern)
        told_of = pages.of_entity(state, refund)
        found = suspicions(shop, transaction, refund, fit, rates, usual, bar, told_of, late=late)
        for one in found:
            one.parts.append(("pattern", pattern, 0.0, pattern, "nats"))
            one.add_up()
            one.needed = bar.needed(one.channel, one.reason)
        beyond = [(one.nats - one.needed, one) for one in found]
        excess, worst = max(beyond, key=lambda one: one[0])
        state.peak = max(state.peak, excess + more)
        value = 1.0 / (1.0 + exp(min(-EVEN_ODDS_BELOW - excess, 700.0)))
        told += self._page(shop, refund, beyond, value, told_of)
        if refund.incident and value < MEMBER_SCORE:
            value = MEMBER_SCORE
        weight = max(self._weight(shop, refund, worst), young)
        shop.learn(transaction, refund, fit, rates, weight, late=late)
        return Observation(Score(value, worst.reasons(), self._version), tuple(told))

    def _weight(self, shop: Shop, refund: Recent, worst: Suspicion) -> float:
        """How much a refund teaches: an anomaly does not teach that it is normal."""
        for incident in shop.state.incidents:
            if incident.page_id == refund.incident:
                lasting = shop.state.clock - incident.opened_at > DAMPED_FOR
                return 1.0 if lasting else DAMPED_TO
        part = (worst.nats / worst.needed - DAMPED_FROM) / (1.0 - DAMPED_FROM)
        return 1.0 - (1.0 - DAMPED_TO) * min(max(part, 0.0), 1.0)

    def _page(
        self,
        shop: Shop,
        refund: Recent,
        beyond: list[tuple[float, Suspicion]],
        value: float,
        incident: Incident | None,
    ) -> list[Page]:
        """Join the refund to its incident, or open one if something passes its threshold."""
        state = shop.state
        going_on = [one for _, one in beyond if one.nats >= DAMPED_FROM * one.needed]
        incident = incident or pages.find(state, going_on)
        huge = beyond[0][0] >= 0.0 and (incident is None or incident.reason != "amount")
        if incident is not None and not huge:
            refund.incident = incident.page_id
            pages.join(incident, refund)
            incident.score = max(incident.score, value)
            pages.keep_alive(state, incident, going_on)
            again = pages.has_grown(incident) or pages.is_heard_again(state, incident)
            return [self._tell(shop, incident, "updated")] if again else []
        worst = pages.worst_at_stake(shop, beyond)
        if worst is None:
            return []
        told = []
        room = pages.room(state)
        if room is not None:
            told.append(self._tell(shop, room, "closed"))
        state.told = True
        incident = pages.open_incident(shop, refund, worst, value)
        told.append(self._tell(shop, incident, "open"))
        return told

    def _close_quiet(self, shop: Shop) -> list[Page]:
        if shop.state.clock < shop.state.closes_at:
            return []
        ended = pages.take_ended(shop.state)
        return [self._tell(shop, incident, "closed") for incident in ended]

    def _tell(self, shop: Shop, incident: Incident, status: PageStatus) -> Page:
        return pages.told(shop, incident, status, self._version)
