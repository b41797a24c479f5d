"""Incidents: one page each, opened once, updated when it grows, closed when it has ended."""

from hashlib import blake2b

from anomaly.marks import WITHOUT_RECEIPT
from anomaly.repeats import short
from anomaly.sequential import cap
from anomaly.shop import Shop
from anomaly.state import CASHIERS_TOLD_MAX, INCIDENTS_MAX, NEVER, Incident, Recent, ShopState
from anomaly.suppression import RuleState, holding
from anomaly.suspicion import Suspicion
from anomaly.tenders import OTHER_TENDER, SAME_TENDER
from anomaly.words import sentence
from events.instant import DAY, Instant
from events.page import EVIDENCE_MAX, Entity, Page, PageStatus

QUIET: dict[str, Instant] = {
    "volume": DAY,
    "amount": DAY,
    "receipt": DAY,
    "limit": 2 * DAY,
    "hours": 2 * DAY,
    "cashier": 3 * DAY,
    "above": 3 * DAY,
    "late": 3 * DAY,
    "card": 3 * DAY,
    "customer": 3 * DAY,
}
"""An incident has ended after so long, in event time of its shop, without a new sign."""

SETTLED = 0.5
"""Part of what a page needs that is left standing once it has been told."""

GROWTH = 1.6
"""An open page is told again when its refunds or its money grew by this factor."""

STAKE_MIN = 1.0
"""Usual sales' worth of money below which nobody is told, however odd the refunds are."""

DAYS_AT_STAKE = (1.0, 4.0, 16.0)
"""Days' worth of the shop's usual refunds at which a page's severity rises to 2, 3 and 4."""

SALES_AT_STAKE = (10.0, 50.0, 200.0)
"""The same in usual sales of the shop, whatever the currency."""


MARKED_WEIGHS = 4.0
"""As evidence a refund with a mark against it weighs as much as one so many times its money: a page
of the whole shop takes up much that is usual while it lasts."""


def page_id(shop_id: str, reason: str, entity_id: str, after: str) -> str:
    """The name of the incident that the refund `after` opened: a refund opens one at most."""
    text = f"{shop_id}\x1f{reason}\x1f{entity_id}\x1f{after}"
    return "p-" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def of_entity(state: ShopState, refund: Recent) -> Incident | None:
    """The open incident about the cashier, the register or the card of `refund`."""
    for incident in state.incidents:
        entity = incident.entity_id
        if incident.entity_kind == "card":
            if refund.card is not None and short(entity) == refund.card:
                return incident
        elif incident.reason == "cashier" and entity == refund.cashier:
            return incident
    return None


def find(state: ShopState, going_on: list[Suspicion]) -> Incident | None:
    """The open incident that a refund goes on with, by the suspicions that it raises.

    One of the same reason and entity; or one of the whole shop, where the shop as a whole is under
    suspicion or a cashier who has a part in it: the same thing seen from two sides.
    """
    for incident in state.incidents:
        whole = incident.entity_kind == "shop" and incident.reason != "amount"
        for one in going_on:
            if one.entity_id == incident.entity_id and one.reason == incident.reason:
                return incident
            if (
                whole
                and one.reason != "amount"
                and (one.entity_kind == "shop" or one.entity_id in incident.cashiers)
            ):
                return incident
    return None


def worst_at_stake(shop: Shop, beyond: list[tuple[float, Suspicion]]) -> Suspicion | None:
    """Of suspicions and how far each is beyond its threshold: the one to open a page for, if any.

    The farthest beyond of those whose refunds are worth telling of.
    """
    enough = STAKE_MIN * shop.usual_sale()
    passing = [
        (excess, one)
        for excess, one in beyond
        if excess >= 0.0 and sum(refund.total for refund in one.refunds) >= enough
    ]
    return max(passing, key=lambda pair: pair[0])[1] if passing else None


def open_incident(shop: Shop, refund: Recent, suspicion: Suspicion, score: float) -> Incident:
    """A new incident, noted in the shop; its refunds count towards no other."""
    state = shop.state
    members = [one for one in suspicion.refunds if not one.incident] or [refund]
    first = members[0]
    incident = Incident(
        page_id=page_id(shop.id, suspicion.reason, suspicion.entity_id, refund.id),
        reason=suspicion.reason,
        entity_kind=suspicion.entity_kind,
        entity_id=suspicion.entity_id,
        currency=state.currency,
        opened_at=refund.at,
        first_at=first.at,
        last_at=first.at,
        alive_at=state.clock,
        window=suspicion.window,
        after=refund.id,
        observed=suspicion.observed,
        expected=suspicion.expected,
        usual=suspicion.usual(),
        score=score,
        receipts_known=shop.receipts_known(),
    )
    state.incidents.append(incident)
    schedule(state)
    for member in members:
        join(incident, member)
    shop.forgive(members, incident.page_id)
    settle(state, incident, SETTLED * suspicion.needed)
    repeats = {"card": shop.cards, "customer": shop.customers, "receipt": shop.receipts}
    if suspicion.entity_kind in repeats:
        repeats[suspicion.entity_kind].forget(suspicion.entity_id)
    return incident


def settle(state: ShopState, incident: Incident, nats: float) -> None:
    """Leave the runs about those in `incident` with `nats` at most: the rest has been told.

    With half of what a page needs, the next sign shows that it goes on, and without one that is
    soon used up.
    """
    if incident.reason == "amount":
        return
    for runs in (state.runs, state.misfits.above_runs, state.misfits.late_runs):
        cap(runs, nats)
    for name in incident.cashiers:
        one = state.cashiers.get(name)
        if one is not None:
            cap(one, nats)


def room(state: ShopState) -> Incident | None:
    """The incident that has to be closed before another is opened, taken off: the quietest."""
    if len(state.incidents) < INCIDENTS_MAX:
        return None
    quietest = min(state.incidents, key=lambda incident: incident.alive_at)
    state.incidents.remove(quietest)
    return quietest


def join(incident: Incident, refund: Recent) -> None:
    """Count `refund` in `incident`; what weighs most stays as evidence."""
    incident.refunds += 1
    incident.refunded += refund.total
    incident.first_at = min(incident.first_at, refund.at)
    incident.last_at = max(incident.last_at, refund.at)
    incident.with_receipt += not refund.marks & WITHOUT_RECEIPT
    incident.elsewhere += bool(refund.marks & OTHER_TENDER)
    cashiers = incident.cashiers
    if refund.cashier is not None and (
        refund.cashier in cashiers or len(cashiers) < CASHIERS_TOLD_MAX
    ):
        cashiers[refund.cashier] = cashiers.get(refund.cashier, 0) + 1
    weight = refund.total * (MARKED_WEIGHS if refund.marks & ~SAME_TENDER else 1.0)
    incident.evidence.append((weight, refund.id))
    incident.evidence.sort(key=lambda one: -one[0])
    del incident.evidence[EVIDENCE_MAX:]


def keep_alive(state: ShopState, incident: Incident, going_on: list[Suspicion]) -> None:
    """Note that `incident` goes on, if anything about its entity does."""
    for one in going_on:
        if one.entity_id == incident.entity_id:
            incident.alive_at = state.clock
            settle(state, incident, SETTLED * one.needed)
            break
    schedule(state)


def has_grown(incident: Incident) -> bool:
    """Whether it is time to tell of it again."""
    return (
        incident.refunds >= GROWTH * incident.told_refunds
        or incident.refunded >= GROWTH * incident.told_refunded
    )


def rule_of(state: ShopState, incident: Incident) -> RuleState | None:
    """The rule for which nobody is told of `incident` now."""
    if not state.rules:
        return None
    return holding(
        state.rules, incident.reason, incident.entity_kind, incident.entity_id, state.clock
    )


def is_heard_again(state: ShopState, incident: Incident) -> bool:
    """Whether it goes on behind the end of a rule that kept its last telling from people."""
    return incident.muted and rule_of(state, incident) is None


def take_ended(state: ShopState) -> list[Incident]:
    """The incidents that have been quiet for long enough, taken off."""
    ended = [one for one in state.incidents if state.clock >= _ends(one)]
    for incident in ended:
        settle(state, incident, 0.0)
    state.incidents = [one for one in state.incidents if state.clock < _ends(one)]
    schedule(state)
    return ended


def schedule(state: ShopState) -> None:
    """Note when the next incident would end, so that a sale costs one comparison."""
    state.closes_at = min(map(_ends, state.incidents), default=NEVER)


def severity(incident: Incident, usual_sale: float, refunded_daily: float) -> int:
    """1 to 4 by the money at stake: in the shop's usual days of refunds, and in usual sales.

    Both have to say so, hence neither a shop without refunds nor one with tiny sales cries wolf.
    """
    days = incident.refunded / max(refunded_daily, usual_sale, 1.0)
    sales = incident.refunded / max(usual_sale, 1.0)
    return 1 + min(
        sum(days >= level for level in DAYS_AT_STAKE),
        sum(sales >= level for level in SALES_AT_STAKE),
    )


def told(shop: Shop, incident: Incident, status: PageStatus, model_version: str) -> Page:
    """The page as it is told now; the incident notes what was told."""
    incident.severity = max(
        incident.severity, severity(incident, shop.usual_sale(), shop.usual_refunds())
    )
    revision = incident.revision
    incident.revision += 1
    incident.told_refunds = incident.refunds
    incident.told_refunded = incident.refunded
    rule = rule_of(shop.state, incident)
    incident.muted = rule is not None
    return Page(
        page_id=incident.page_id,
        status=status,
        revision=revision,
        shop_id=shop.id,
        opened_at=incident.opened_at,
        updated_at=shop.state.clock,
        reason=incident.reason,
        entity=Entity(kind=incident.entity_kind, id=incident.entity_id),
        severity=incident.severity,
        after_transaction_id=incident.after,
        evidence=tuple(one for _, one in incident.evidence),
        refunds=incident.refunds,
        observed=incident.observed,
        expected=incident.expected,
        refunded_total=incident.refunded,
        currency=incident.currency,
        score=incident.score,
        model_version=model_version,
        summary=sentence(incident, shop.id),
        window=incident.window,
        first_at=incident.first_at,
        last_at=incident.last_at,
        suppressed_by=None if rule is None else rule.rule_id,
    )


def _ends(incident: Incident) -> Instant:
    return incident.alive_at + QUIET[incident.reason]
