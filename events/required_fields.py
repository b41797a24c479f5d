"""The optional wire fields that a source may be bound to send, and whether it did."""

from typing import Final

from events.transaction import Transaction

# A required field is there when the transaction has one of these; a field of several parts, such
# as contact, when it has any part.
_PRESENT_AS: Final[dict[str, tuple[str, ...]]] = {
    "register_id": ("register_id",),
    "cashier_id": ("cashier_id",),
    "payment": ("payment_method", "card_token"),
    "payment.method": ("payment_method",),
    "payment.card_token": ("card_token",),
    "customer_id": ("customer_id",),
    "contact": ("contact_name", "contact_email"),
    "contact.name": ("contact_name",),
    "contact.email": ("contact_email",),
    "original_transaction_id": ("original_transaction_id",),
    "reason": ("reason",),
    "approval_limit": ("approval_limit",),
    "lines": ("lines",),
}

_ABSENT: Final = (None, "", ())

Required = tuple[tuple[str, tuple[str, ...]], ...]
"""Names of fields, each with what a transaction has one of when the field is there."""


def required(names: tuple[str, ...]) -> Required:
    """What `missing` asks about, in the order of `names`.

    Raises:
        ValueError: a name is of no optional field of the wire schema.
    """
    if unheard := sorted(set(names) - _PRESENT_AS.keys()):
        known = ", ".join(_PRESENT_AS)
        raise ValueError(f"no optional wire fields: {', '.join(unheard)}; there are {known}")
    return tuple((name, _PRESENT_AS[name]) for name in names)


def missing(transaction: Transaction, fields: Required) -> str | None:
    """The first of `fields` that `transaction` does not have."""
    for field, attributes in fields:
        if all(getattr(transaction, attribute) in _ABSENT for attribute in attributes):
            return field
    return None
