"""The page as a person reads it at 3 a.m.: what, where, how unusual, and what to do next. Pure."""

from collections.abc import Mapping

from anomaly.words import duration
from events.instant import to_datetime
from events.money import EXPONENTS
from events.page import Page

SUBJECT_CHARACTERS_MAX = 100
"""SNS takes no longer subject."""

SMS_CHARACTERS_MAX = 140
SUMMARY_CHARACTERS_MAX = 2_000

SEVERITIES = {1: "LOW", 2: "MEDIUM", 3: "HIGH", 4: "CRITICAL"}
_STATUSES = {"open": "new", "updated": "goes on", "closed": "closed"}
_RATIO_FROM, _RATIO_TO = 2.0, 100.0
_TENTH = 0.1
_LINKS = {
    "live_view": "Live view",
    "dashboard": "Dashboard",
    "athena": "Its refunds, by Athena or tillwatch sql",
    "replay": "This stretch of the stream again",
}

_LOOK = "Look at the first three transactions above: same card, same item, no receipt?"
_LOOK_AT_ONE = "Look at that transaction: which item, which card, what sale was it of?"
EVIDENCE_SHOWN_MAX = 10
"""Transactions that the text names; the others are among what the page's links give."""

_ASK = {
    "shop": "Call the manager of {shop}: is there a known cause, such as a recall, a test of a "
    "till or a wrong price?",
    "cashier": "Ask the manager of {shop} who works as {id}, and have that person's refunds "
    "approved by somebody else until this is explained.",
    "card": "Ask the payments team to hold further refunds to this card.",
    "customer": "Ask customer service about customer {id}, and have further refunds to that "
    "account approved by a person.",
    "receipt": "Ask {shop} for the original receipt and the goods.",
}
_CONCLUDE = (
    "If there is a cause, say so: `tillwatch verdict {page} ok`, or the buttons in the live view. "
    "If there is none, have the shop keep its video of these times, and tell loss prevention."
)


def subject(page: Page) -> str:
    """The subject line: printable ASCII, as SNS wants it, worst news first."""
    refunds = "1 refund" if page.refunds == 1 else f"{page.refunds} refunds"
    text = (
        f"{_severity(page)} {_STATUSES[page.status]}: {page.shop_id}, {refunds}, "
        f"{_money(page.refunded_total, page.currency)} ({page.reason})"
    )
    return _ascii(text)[:SUBJECT_CHARACTERS_MAX]


def sms(page: Page) -> str:
    """What fits a text message; the summary names the shop."""
    return f"{_severity(page)}: {_printable(page.summary)}"[:SMS_CHARACTERS_MAX]


def text(page: Page, links: Mapping[str, str] | None = None) -> str:
    """The whole page in plain text; `links` by name, as page_links.links_of gives them."""
    total = _money(page.refunded_total, page.currency)
    facts = [
        ("Where", f"{page.shop_id}{_about(page)}"),
        ("When", _when(page)),
        ("Refunded", f"{total} in {page.refunds} refund{'' if page.refunds == 1 else 's'}"),
        ("Unusual", _unusual(page)),
        ("Status", f"{_STATUSES[page.status]} (page {page.page_id}, revision {page.revision})"),
    ]
    if page.suppressed_by is not None:
        facts.append(("Not sent", f"by rule {page.suppressed_by}"))
    lines = [f"{_severity(page)}: {page.summary[:SUMMARY_CHARACTERS_MAX]}", ""]
    lines += [f"{name + ':':<10}{value}" for name, value in facts]
    lines += ["", *_evidence(page), "", "What to do next:"]
    lines += [f"  {step}. {line}" for step, line in enumerate(_next_steps(page), start=1)]
    if links:
        lines += ["", "Look on:"]
        for name, target in links.items():
            lines += [f"  {_LINKS.get(name, name)}:", f"    {target}"]
    return "\n".join(_printable(line) for line in lines) + "\n"


def attribute(value: str) -> str:
    """`value` as SNS takes it in a message attribute: printable and not empty."""
    return _printable(value) or "-"


def _severity(page: Page) -> str:
    return SEVERITIES.get(page.severity, f"SEVERITY {page.severity}")


def _about(page: Page) -> str:
    kind, id_ = page.entity.kind, page.entity.id
    if kind == "shop":
        return ""
    return f", {id_}" if id_.startswith(f"{kind}-") else f", {kind} {id_}"


def _when(page: Page) -> str:
    """From the first to the last refund, as people write times."""
    first = to_datetime(page.first_at or page.opened_at)
    last = to_datetime(page.last_at or page.updated_at)
    begin = f"{first:%a} {first.day} {first:%b %Y, %H:%M}"
    if last.date() == first.date():
        end = "" if f"{last:%H:%M}" == f"{first:%H:%M}" else f" to {last:%H:%M}"
    else:
        end = f" to {last:%a} {last.day} {last:%b, %H:%M}"
    return f"{begin}{end} UTC"


def _unusual(page: Page) -> str:
    observed, expected = _quantity(page, page.observed), _quantity(page, page.expected)
    stretch = f" in {duration(page.window)}" if page.window else ""
    words = f"{observed}{stretch}, where {expected} is usual"
    ratio = page.observed / page.expected if page.expected > 0 else 0.0
    if _RATIO_FROM <= ratio <= _RATIO_TO:
        words += f" ({ratio:,.0f} times)"
    return f"{words}; score {page.score:.2f}"


def _quantity(page: Page, value: float) -> str:
    """Pages for an amount observe minor units; all others count."""
    if page.reason == "amount":
        return _money(value, page.currency)
    return f"{value:,.1f}".removesuffix(".0") if value >= _TENTH else f"{value:,.2f}"


def _money(minor: float, currency: str) -> str:
    digits = EXPONENTS[currency]
    return f"{minor / 10**digits:,.{digits}f} {currency}"


def _evidence(page: Page) -> list[str]:
    shown = page.evidence[:EVIDENCE_SHOWN_MAX]
    if page.refunds == 1:
        return [f"Evidence: {', '.join(shown)}"]
    lines = [f"Evidence, worst first ({len(shown)} of {page.refunds} refunds):"]
    return lines + [f"  {transaction_id}" for transaction_id in shown]


def _next_steps(page: Page) -> tuple[str, ...]:
    whom = _ASK.get(page.entity.kind, _ASK["shop"])
    asked = whom.replace("{shop}", page.shop_id).replace("{id}", page.entity.id)
    return (
        _LOOK_AT_ONE if page.refunds == 1 else _LOOK,
        asked,
        _CONCLUDE.replace("{page}", page.page_id),
    )


def _printable(value: str) -> str:
    """`value` on one line, with nothing in it that SNS or a terminal would choke on."""
    return "".join(char if char.isprintable() else " " for char in value)


def _ascii(value: str) -> str:
    return _printable(value).encode("ascii", "replace").decode()
