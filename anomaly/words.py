"""What a person reads first on a page, in the words of the shop."""

from anomaly.state import Incident
from events.instant import DAY, HOUR, MINUTE, Instant
from events.money import EXPONENTS

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


def money(minor: float, currency: str) -> str:
    """Minor units as people write them, such as 1,284.00 GBP."""
    exponent = EXPONENTS.get(currency, 2)
    return f"{minor / 10**exponent:,.{exponent}f} {currency}"


def weekday_hour(local_hour: int) -> str:
    """A local hour since 1970 as day and hour, such as Tuesday 14:00."""
    return f"{DAYS[(local_hour // 24 + _EPOCH_WEEKDAY) % 7]} {local_hour % 24:02d}:00"


def number(value: float) -> str:
    """A small expectation with one decimal, a smaller one with two."""
    return f"{value:.1f}" if value >= 0.1 else f"{value:.2f}"  # noqa: PLR2004 -- one decimal's worth


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
    facts = []
    if incident.cashiers:
        cashier, count = max(incident.cashiers.items(), key=lambda item: item[1])
        if refunds == 1:
            facts.append(f"by cashier {cashier}")
        elif 2 * count >= refunds:
            share = "all" if count == refunds else f"{count} of {refunds}"
            facts.append(f"{share} by cashier {cashier}")
    if incident.entity_kind == "card":
        facts.append(f"to card {incident.entity_id}")
    bare = refunds - incident.with_receipt
    if incident.receipts_known and 2 * bare >= refunds:
        facts.append("none with a receipt" if bare == refunds else f"{bare} without a receipt")
    return "; ".join(part for part in (text, incident.usual, ", ".join(facts)) if part)
