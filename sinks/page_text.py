"""The page as a person reads it at 3 a.m.: what, where, how unusual, and what to do next. Pure."""

from collections.abc import Mapping

from events.instant import to_iso
from events.money import EXPONENTS
from events.page import Page
from sinks.amount import money_text
from sinks.page_json import links_of

SUBJECT_CHARACTERS_MAX = 100
"""SNS takes no longer subject."""

SMS_CHARACTERS_MAX = 140
SUMMARY_CHARACTERS_MAX = 2_000

SEVERITIES = {1: "LOW", 2: "MEDIUM", 3: "HIGH", 4: "CRITICAL"}
_STATUSES = {"open": "new", "updated": "goes on", "closed": "closed"}
_RATIO_MIN = 2.0

_LOOK = "Look at the first three transactions above: same card, same item, no receipt?"
_ASK = {
    "shop": "Call the manager of {shop}: is there a known cause, such as a recall, a test of a "
    "till or a wrong price?",
    "cashier": "Ask the manager of {shop} who works as {id}, and have that person's refunds "
    "approved by somebody else until this is explained.",
    "card": "Ask the payments team to hold further refunds to this card.",
    "receipt": "Ask {shop} for the original receipt and the goods.",
}
_CONCLUDE = (
    "If there is a cause, note it with the page. If there is none, have the shop keep its video "
    "of these times, and tell loss prevention."
)


def subject(page: Page) -> str:
    """The subject line: printable ASCII, as SNS wants it, worst news first."""
    text = (
        f"{_severity(page)} {_STATUSES[page.status]}: unusual refunds ({page.reason}) at "
        f"{page.shop_id}, {money_text(page.refunded_total, page.currency)} {page.currency}"
    )
    return _ascii(text)[:SUBJECT_CHARACTERS_MAX]


def sms(page: Page) -> str:
    """What fits a text message."""
    return f"{_severity(page)} {page.shop_id}: {_printable(page.summary)}"[:SMS_CHARACTERS_MAX]


def text(page: Page, links: Mapping[str, str] | None = None) -> str:
    """The whole page in plain text; `links` are templates as in page_json.links_of."""
    total = f"{money_text(page.refunded_total, page.currency)} {page.currency}"
    facts = (
        ("Where", f"{page.shop_id}{_about(page)}"),
        ("Since", f"{to_iso(page.opened_at)}, last seen {to_iso(page.updated_at)}"),
        ("Refunded", f"{total} in {page.refunds} refund{'' if page.refunds == 1 else 's'}"),
        ("Unusual", _unusual(page)),
        ("Status", f"{_STATUSES[page.status]} (page {page.page_id}, revision {page.revision})"),
    )
    lines = [f"{_severity(page)}: {page.summary[:SUMMARY_CHARACTERS_MAX]}", ""]
    lines += [f"{name + ':':<10}{value}" for name, value in facts]
    lines += ["", f"Evidence, worst first ({len(page.evidence)} of {page.refunds} refunds):"]
    lines += [f"  {transaction_id}" for transaction_id in page.evidence]
    lines += ["", "What to do next:"]
    lines += [f"  {step}. {line}" for step, line in enumerate(_next_steps(page), start=1)]
    filled = links_of(page, links or {})
    if filled:
        lines += ["", "Look on:"]
        lines += [f"  {name.replace('_', ' ')}: {target}" for name, target in filled.items()]
    return "\n".join(_printable(line) for line in lines) + "\n"


def attribute(value: str) -> str:
    """`value` as SNS takes it in a message attribute: printable and not empty."""
    return _printable(value) or "-"


def _severity(page: Page) -> str:
    return SEVERITIES.get(page.severity, f"SEVERITY {page.severity}")


def _about(page: Page) -> str:
    if page.entity.kind == "shop":
        return ""
    return f", {page.entity.kind} {page.entity.id}"


def _unusual(page: Page) -> str:
    observed, expected = _quantity(page, page.observed), _quantity(page, page.expected)
    words = f"{observed} where {expected} is expected"
    if page.expected > 0 and page.observed / page.expected >= _RATIO_MIN:
        words += f" ({page.observed / page.expected:,.0f} times)"
    return f"{words}; score {page.score:.2f}"


def _quantity(page: Page, value: float) -> str:
    """Pages for an amount observe minor units; all others count."""
    if page.reason == "amount":
        digits = EXPONENTS[page.currency]
        return f"{value / 10**digits:,.{digits}f} {page.currency}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _next_steps(page: Page) -> tuple[str, ...]:
    whom = _ASK.get(page.entity.kind, _ASK["shop"])
    return (_LOOK, whom.replace("{shop}", page.shop_id).replace("{id}", page.entity.id), _CONCLUDE)


def _printable(value: str) -> str:
    """`value` on one line, with nothing in it that SNS or a terminal would choke on."""
    return "".join(char if char.isprintable() else " " for char in value)


def _ascii(value: str) -> str:
    return _printable(value).encode("ascii", "replace").decode()
