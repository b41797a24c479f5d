"""What a person reads first on a page, in the words of the shop."""

from anomaly.state import Incident
from events.instant import DAY, HOUR, MINUTE, Instant
from events.money import EXPONENTS

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday

NEXT_TO_NONE = 0.1
"""Fewer refunds than that are told as next to none."""

HASH_SHOWN = 8
"""Characters of a card's hash that a person is told."""


def money(minor: float, currency: str) -> str:
    """Minor units as people write them, such as 1,284 GBP or 12.50 GBP."""
    exponent = EXPONENTS.get(currency, 2)
    amount = f"{minor / 10**exponent:,.{exponent}f}"
    return f"{amount.removesuffix('.' + exponent * '0')} {currency}"


def weekday_hour(local_hour: int) -> str:
    """A local hour since 1970 as day and hour, such as Tuesday 14:00."""
    return f"{DAYS[(local_hour // 24 + _EPOCH_WEEKDAY) % 7]} {local_hour % 24:02d}:00"


def number(value: float) -> str:
    """A small expectation with one decimal; of a smaller one no figure says anything at night."""
    return f"{value:.1f}" if value >= NEXT_TO_NONE else "next to none"


def duration(span: Instant) -> str:
    """A stretch of time in its largest fitting unit."""
    for unit, name in ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")):
        if span >= 2 * unit:
            return f"{round(span / unit)} {name}s"
    return "a minute"


def sentence(incident: Incident, shop_id: str) -> str:
    """The summary of `incident`: how many, how much, how fast; usual; who, and how."""
    refunds = incident.refunds
    amount = money(incident.refunded, incident.currency)
    if refunds == 1:
        text = f"one refund of {amount} at {shop_id}"
    else:
        span = duration(incident.last_at - incident.first_at)
        text = f"{refunds} refunds, {amount}, in {span} at {shop_id}"
    return "; ".join(part for part in (text, _usual(incident), ", ".join(_who(incident))) if part)


def _usual(incident: Incident) -> str:
    """What was to be expected, of the stretch that gave the incident away."""
    usual, refunds = incident.usual, incident.refunds
    if incident.reason == "amount" and refunds > 1:
        return f"one of {money(incident.observed, incident.currency)}, where {usual}"
    of_hour = usual[-1:].isdigit() and incident.entity_kind in {"shop", "cashier"}
    if of_hour and incident.last_at - incident.first_at >= 2 * HOUR:
        return f"{usual} an hour"
    if usual or not incident.window:
        return usual
    seen, span = round(incident.observed), duration(incident.window)
    if seen == refunds:
        return f"usual in {span} is {number(incident.expected)}"
    # Of those that gave it away only the ones without receipt, for one, may be the incident's.
    began = "it began with" if seen < refunds else "with others"
    return f"{began} {seen} in {span}, where {number(incident.expected)} is usual"


def _who(incident: Incident) -> list[str]:
    """Who stands out, and how it was done."""
    refunds, facts = incident.refunds, []
    if incident.cashiers:
        name, count = max(incident.cashiers.items(), key=lambda item: item[1])
        by = "register" if incident.entity_kind == "register" else "cashier"
        if refunds == 1:
            facts.append(f"by {by} {name}")
        elif 2 * count > refunds:
            share = "all" if count == refunds else f"{count} of {refunds}"
            facts.append(f"{share} by {by} {name}")
    if incident.entity_kind in {"card", "customer"}:
        facts.append(f"to {incident.entity_kind} {short(incident)}")
    elif incident.entity_kind == "receipt":
        facts.append(f"over receipt {incident.entity_id}")
    bare = refunds - incident.with_receipt
    if incident.receipts_known and 2 * bare >= refunds:
        several = "none with a receipt" if bare == refunds else f"{bare} without a receipt"
        facts.append("without a receipt" if refunds == 1 else several)
    other = incident.elsewhere
    if 2 * other >= incident.with_receipt > 0:
        whose = "" if refunds == 1 else "all " if other == refunds else f"{other} "
        facts.append(f"{whose}paid back another way than the sale was paid")
    return facts


def short(incident: Incident) -> str:
    """The entity's name; of a hash its beginning, as the whole stands elsewhere on the page."""
    kind, id_ = incident.entity_kind, incident.entity_id
    name = id_.removeprefix(f"{kind}-")
    return f"{name[:HASH_SHOWN]}…" if name != id_ and len(name) > 2 * HASH_SHOWN else id_
