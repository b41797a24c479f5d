"""One parsed, valid SALE, REFUND or VOID."""

from typing import Literal

import msgspec

from events.instant import Instant

TransactionType = Literal["SALE", "REFUND", "VOID"]


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line of a receipt.

    `quantity_thousandths` is the quantity times 1,000 (weighed goods have three decimals);
    `unit_price_e4` the price of one unit in ten-thousandths of the currency's unit (fuel and
    wholesale prices have more decimals than money).
    """

    item_id: str | None = None
    description: str | None = None
    category: str | None = None
    quantity_thousandths: int | None = None
    unit_price_e4: int | None = None


class Transaction(msgspec.Struct, frozen=True, gc=False):
    """One valid transaction.

    `total` and `approval_limit` are integer minor units of `currency` (pence for GBP, yen for JPY),
    positive for sales and refunds alike. `occurred_at` is UTC; `utc_offset_minutes` keeps the
    shop's own clock. `card_token`, `contact_name` and `contact_email` are keyed hashes of what came
    (events/pseudonym.py): the clear values exist only in the record's bytes. A refund without
    `original_transaction_id` is a refund without receipt. What the source does not have is None.
    """

    transaction_id: str
    shop_id: str
    type: TransactionType
    occurred_at: Instant
    utc_offset_minutes: int
    currency: str
    total: int
    register_id: str | None = None
    cashier_id: str | None = None
    payment_method: str | None = None
    card_token: str | None = None
    customer_id: str | None = None
    contact_name: str | None = None
    contact_email: str | None = None
    original_transaction_id: str | None = None
    reason: str | None = None
    approval_limit: int | None = None
    lines: tuple[Line, ...] = ()
    unknown: bytes | None = None
    """The fields that wire schema 1 does not know, as one JSON object; never contact data."""
    card_before: str | None = None
    """The card's hash under the key before, while keys are rotated; it leads no further than the
    shop's own state."""

    @property
    def is_refund(self) -> bool:
        """Whether money went back to a customer."""
        return self.type == "REFUND"
