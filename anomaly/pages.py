"""Incidents: one page each, opened once, updated when it grows, closed when it has ended."""

from hashlib import blake2b

from anomaly.features import WITH_RECEIPT
from anomaly.state import CASHIERS_TOLD_MAX, INCIDENTS_MAX, NEVER, Incident, Recent, ShopState
from anomaly.suspicion import Suspicion
from anomaly.words import sentence
from events.instant import DAY, Instant
from events.page import EVIDENCE_MAX, Entity, Page, PageStatus

QUIET: Instant = DAY
"""An incident has ended after so long, in event time of its shop, without a new sign."""

GROWTH = 1.6
"""An open page is told again when its refunds or its money grew by this factor."""

DAYS_AT_STAKE = (1.0, 4.0, 16.0)
"""Days' worth of the shop's usual refunds at which a page's severity rises to 2, 3 and 4."""

SALES_AT_STAKE = (10.0, 60.0, 400.0)
"""The same in usual sales of the shop, whatever the currency."""


def page_id(shop_id: str, reason: str, entity_id: str, first: str) -> str:
    """The name of an incident, the same in every run over the same records."""
    text = f"{shop_id}\x1f{reason}\x1f{entity_id}\x1f{first}"
    return "p-" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=10).hexdigest()


def find(shop: ShopState, refund: Recent, found: list[Suspicion], nats: float) -> Incident | None:
    """The open incident that `refund` is part of.

    One of its cashier or card; or one that its suspicions, of at least `nats`, go on from.
    """
    for incident in shop.incidents:
        kind, entity = incident.entity_kind, incident.entity_id
        if (kind, entity) in (("cashier", refund.cashier), ("card", refund.card)):
            return incident
        for suspicion in found:
            if (
                suspicion.nats >= nats
                and suspicion.reason == incident.reason
                and suspicion.window == incident.window
                and suspicion.entity_id == entity
            ):
                return incident
    return None


def open_incident(
    shop: ShopState, shop_id: str, refund: Recent, suspicion: Suspicion, score: float
) -> Incident:
    """A new incident, noted in the shop. The caller made room (`INCIDENTS_MAX`)."""
    first = suspicion.refunds[0]
    incident = Incident(
        page_id=page_id(shop_id, suspicion.reason, suspicion.entity_id, first.id),
        reason=suspicion.reason,
        entity_kind=suspicion.entity_kind,
        entity_id=suspicion.entity_id,
        currency=shop.currency,
        opened_at=refund.at,
        first_at=first.at,
        last_at=first.at,
        alive_at=shop.clock,
        window=suspicion.window,
        after=refund.id,
        observed=suspicion.observed,
        expected=suspicion.expected,
        usual=suspicion.usual,
        score=score,
    )
    for member in suspicion.refunds:
        if member.incident:
            continue
        join(incident, member, float(member.total))
    shop.incidents.append(incident)
    return incident


def overflow(shop: ShopState) -> Incident | None:
    """The incident that has to be closed before another can be opened: the quietest."""
    if len(shop.incidents) < INCIDENTS_MAX:
        return None
    return min(shop.incidents, key=lambda incident: incident.alive_at)


def join(incident: Incident, refund: Recent, weight: float) -> None:
    """Count `refund` in `incident`; the weightiest stay as evidence."""
    refund.incident = incident.page_id
    incident.refunds += 1
    incident.refunded += refund.total
    incident.first_at = min(incident.first_at, refund.at)
    incident.last_at = max(incident.last_at, refund.at)
    incident.with_receipt += refund.marks & WITH_RECEIPT
    cashiers = incident.cashiers
    if refund.cashier is not None and (
        refund.cashier in cashiers or len(cashiers) < CASHIERS_TOLD_MAX
    ):
        cashiers[refund.cashier] = cashiers.get(refund.cashier, 0) + 1
    incident.evidence.append((weight, refund.id))
    incident.evidence.sort(key=lambda one: -one[0])
    del incident.evidence[EVIDENCE_MAX:]


def has_grown(incident: Incident) -> bool:
    """Whether it is time to tell of it again."""
    return (
        incident.refunds >= GROWTH * incident.told_refunds
        or incident.refunded >= GROWTH * incident.told_refunded
    )


def end_of_quiet(shop: ShopState) -> list[Incident]:
    """The incidents that have been quiet for long enough; they are taken off the shop."""
    ended = [one for one in shop.incidents if shop.clock >= one.alive_at + QUIET]
    shop.incidents = [one for one in shop.incidents if shop.clock < one.alive_at + QUIET]
    schedule(shop)
    return ended


def schedule(shop: ShopState) -> None:
    """Note when the next incident would end, so that a sale costs one comparison."""
    shop.closes_at = min((one.alive_at + QUIET for one in shop.incidents), default=NEVER)


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


def told(
    incident: Incident, status: PageStatus, shop_id: str, shop: ShopState, model_version: str
) -> Page:
    """The page as it is told now; the incident notes what was told."""
    revision = incident.revision
    incident.revision += 1
    incident.told_refunds = incident.refunds
    incident.told_refunded = incident.refunded
    return Page(
        page_id=incident.page_id,
        status=status,
        revision=revision,
        shop_id=shop_id,
        opened_at=incident.opened_at,
        updated_at=shop.clock,
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
        summary=sentence(incident, shop_id),
    )
