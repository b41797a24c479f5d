"""Wire transaction, version 1: what a source sends, as types.

docs/wire-schema.json is generated from here (events/schema.py).
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

SCHEMA_VERSION: Final = 1
ID_BYTES_MAX: Final = 512
SHOP_ID_MAX: Final = 128
TEXT_MAX: Final = 1024
LINES_MAX: Final = 5_000

Id = Annotated[str, Meta(min_length=1, max_length=ID_BYTES_MAX)]
"""An identifier: not empty, no control characters, 512 bytes of UTF-8 (OpenSearch's `_id`)."""

ShopId = Annotated[str, Meta(min_length=1, max_length=SHOP_ID_MAX)]
"""A shop's identifier, which is the partition key too."""

Token = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_MAX)]

Amount = Annotated[
    Any,
    Meta(
        description="A decimal, as a string or a number; it is read exactly, never as a float.",
        extra_json_schema={
            "type": ["string", "number"],
            "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
            "maxLength": 64,
        },
    ),
]
"""Whatever stood there: the decoder hands numbers on as text, events/money.py judges them."""


class WirePayment(Struct, gc=False):
    """How a transaction was paid. Other fields here are dropped: they may be card data."""

    method: Text | None = None
    card_token: Token | None = None


class WireContact(Struct, gc=False):
    """Who the customer is. Other fields here are dropped: they are contact data."""

    name: Text | None = None
    email: Text | None = None


class WireLine(Struct, gc=False):
    """One line of a receipt; discounts and corrections are negative."""

    item_id: Id | None = None
    description: Text | None = None
    category: Text | None = None
    quantity: Amount = None
    unit_price: Amount = None


class WireTransaction(Struct, gc=False):
    """One transaction at a till."""

    transaction_id: Id
    shop_id: ShopId
    type: Literal["SALE", "REFUND", "VOID"]
    occurred_at: datetime
    currency: str
    total: Amount
    schema: int | None = None
    register_id: Id | None = None
    cashier_id: Id | None = None
    payment: WirePayment | None = None
    customer_id: Id | None = None
    contact: WireContact | None = None
    original_transaction_id: Id | None = None
    reason: Text | None = None
    approval_limit: Amount = None
    lines: Annotated[tuple[WireLine, ...], Meta(max_length=LINES_MAX)] | None = None


REQUIRED: Final = tuple(
    field.name for field in msgspec.structs.fields(WireTransaction) if field.required
)
"""The fields that every transaction stands on."""


class StrictPayment(WirePayment, gc=False, forbid_unknown_fields=True):
    """A payment that has no field but the known ones."""


class StrictContact(WireContact, gc=False, forbid_unknown_fields=True):
    """A contact that has no field but the known ones."""


class StrictLine(WireLine, gc=False, forbid_unknown_fields=True):
    """A line that has no field but the known ones."""


class StrictTransaction(WireTransaction, gc=False, forbid_unknown_fields=True):
    """A transaction that has no field but the known ones: the usual case, and the fast one.

    It skips over nothing, so what it takes is known to be UTF-8 and shallow.
    """

    payment: StrictPayment | None = None
    contact: StrictContact | None = None
    lines: Annotated[tuple[StrictLine, ...], Meta(max_length=LINES_MAX)] | None = None
