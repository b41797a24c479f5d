"""What one refund says about itself, as bits that are kept with it."""

from events.transaction import Transaction

WITH_RECEIPT = 1
UNDER_LIMIT = 2
OUT_OF_HOURS = 4

UNDER_LIMIT_FROM = 0.88
"""A refund of at least this part of the approval limit, and not above it, lies just under it."""


def marks(transaction: Transaction, *, out_of_hours: bool) -> int:
    """The bits of one refund."""
    bits = 0
    if transaction.original_transaction_id is not None:
        bits |= WITH_RECEIPT
    limit = transaction.approval_limit
    if limit is not None and UNDER_LIMIT_FROM * limit <= transaction.total <= limit:
        bits |= UNDER_LIMIT
    if out_of_hours:
        bits |= OUT_OF_HOURS
    return bits
