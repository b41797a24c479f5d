"""Wire transaction, version 1: what a source sends, as types.

docs/wire-schema.json is generated from here (events/schema.py).
"""

from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta, Struct

from events.money import AMOUNT_TEXT_MAX, EXPONENTS

SCHEMA_VERSION: Final = 1
ID_BYTES_MAX: Final = 512
SHOP_ID_MAX: Final = 128
TEXT_MAX: Final = 1024
LINES_MAX: Final = 5_000

Id = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=ID_BYTES_MAX,
        description="An identifier; no control characters, 512 bytes of UTF-8 at most.",
    ),
]
ShopId = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=SHOP_ID_MAX,
        description="The shop; the record's partition key too. No control characters.",
    ),
]
Token = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
Text = Annotated[str, Meta(max_length=TEXT_MAX)]
Version = Annotated[int, Meta(extra_json_schema={"const": SCHEMA_VERSION})]
Time = Annotated[
    datetime,
    Meta(
        description="With an offset from UTC; from the year 2000 on, not in the future.",
        extra_json_schema={"format": "date-time"},
    ),
]
Currency = Annotated[
    str, Meta(description="ISO 4217.", extra_json_schema={"enum": sorted(EXPONENTS)})
]

_DECIMAL: Final = {
    "pattern": r"^-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$",
    "maxLength": AMOUNT_TEXT_MAX,
}

# Whatever stood there: the decoder hands fractions on as text, and events/money.py judges them.
Decimal = Annotated[
    Any,
    Meta(
        description="A decimal as a string or a number, read exactly and never as a float.",
        extra_json_schema={"type": ["string", "number"], **_DECIMAL},
    ),
]
OptionalDecimal = Annotated[
    Any,
    Meta(
        description="A decimal as a string or a number, read exactly and never as a float.",
        extra_json_schema={"type": ["string", "number", "null"], **_DECIMAL},
    ),
]


class WirePayment(Struct, gc=False):
    """How a transaction was paid. Other fields here are dropped: they may be card data."""

    method: Text | None = None
    card_token: Token | None = None

    def __repr__(self) -> str:
        """Without the card: these values are in the clear."""
        return "WirePayment(…)"


class WireContact(Struct, gc=False):
    """Who the customer is. Other fields here are dropped: they are contact data."""

    name: Text | None = None
    email: Text | None = None

    def __repr__(self) -> str:
        """Without the person: these values are in the clear."""
        return "WireContact(…)"


class WireLine(Struct, gc=False):
    """One line of a receipt; discounts and corrections are negative."""

    item_id: Id | None = None
    description: Text | None = None
    category: Text | None = None
    quantity: OptionalDecimal = None
    unit_price: OptionalDecimal = None


class WireTransaction(Struct, gc=False):
    """One transaction at a till.

    Amounts have no more decimals than the currency; `total` is positive for a sale and a refund
    alike, and zero or more for a void. Null is the same as absent. Fields that stand nowhere here
    are kept aside.
    """

    transaction_id: Id
    shop_id: ShopId
    type: Literal["SALE", "REFUND", "VOID"]
    occurred_at: Time
    currency: Currency
    total: Decimal
    schema: Version | None = None
    register_id: Id | None = None
    cashier_id: Id | None = None
    payment: WirePayment | None = None
    customer_id: Id | None = None
    contact: WireContact | None = None
    original_transaction_id: Id | None = None
    reason: Text | None = None
    approval_limit: OptionalDecimal = None
    lines: Annotated[tuple[WireLine, ...], Meta(max_length=LINES_MAX)] | None = None

    def __repr__(self) -> str:
        """Without its fields: they are as they came."""
        return f"WireTransaction({self.type}, …)"


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
