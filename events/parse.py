"""Record to Transaction or Rejection: where bytes become types, once."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from events.decode import CONTROL, decode, shop_id_of, too_deep
from events.instant import DAY, Instant, from_datetime
from events.money import (
    AMOUNT_MAX,
    EXPONENTS,
    OF_TEXT,
    QUANTITY_DECIMALS,
    UNIT_PRICE_DECIMALS,
    AmountError,
    minor_units,
    quantity_thousandths,
    unit_price_e4,
)
from events.native import native
from events.noted import noted
from events.parse_reason import ParseFault, ParseReason
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.redaction import has_personal, redacted
from events.rejection import Rejection
from events.required_fields import missing, required
from events.suppression import Lift, Suppression, suppression_of
from events.transaction import Line, Transaction
from events.unique_keys import check_unique, strings_of
from events.verdict import Verdict, verdict_of
from events.wire import ID_BYTES_MAX, SCHEMA_VERSION, WireContact, WireLine, WireTransaction

_twin = native("events._parse")

STAGE: Final = "parse"

OCCURRED_MIN: Final[Instant] = from_datetime(datetime(2000, 1, 1, tzinfo=UTC))
"""Older times are clocks that were never set; each would open an index of its own day."""

OCCURRED_END: Final[Instant] = from_datetime(datetime(2100, 1, 1, tzinfo=UTC))
"""No time from here on, even where the record's own arrival is not known."""

TEXTS_SHARED_MAX: Final = 8_192
"""Distinct names of shops, tills, cashiers and articles of which one copy serves all transactions.

A batch is then half as large, and what reads it column by column finds it in the processor's cache:
2 of 28 µs a record.
"""

_OWN_ID_MAX: Final = 8
"""Characters of a customer's id that is taken as it comes without a look."""

_MINUTE: Final = timedelta(minutes=1)

_PIECE: Final = 10**QUANTITY_DECIMALS
_PIECES_MAX: Final = AMOUNT_MAX // _PIECE
_price_of_text: Final = OF_TEXT[UNIT_PRICE_DECIMALS]

_ID_FIELDS: Final = (
    "transaction_id",
    "shop_id",
    "register_id",
    "cashier_id",
    "customer_id",
    "original_transaction_id",
)


class _Shared(dict[Any, Any]):
    """The one copy of each text that is asked for, as `made` makes it when it first comes.

    So a text that many records have is looked at for personal data once.
    """

    __slots__ = ("_made",)

    def __init__(self, made: Callable[[str], str] | None = None) -> None:
        super().__init__()
        self._made = made

    def __missing__(self, text: str) -> str:
        if len(self) >= TEXTS_SHARED_MAX:
            self.clear()
        self[text] = shown = self._made(text) if self._made is not None and text else text
        return shown


class Parser:
    """Turns records into transactions or rejections, always exactly one of the two.

    Args:
        pseudonymize: what card tokens and contact data are replaced by.
        required_fields: optional wire fields that this source must send, such as `contact` or
            `payment.card_token`.
        future_max: how far after the record's arrival a transaction may claim to have occurred.

    The same record gives the same answer at any time: no clock is asked but the record's own.

    Raises:
        ValueError: `required_fields` names a field that the wire schema does not have.
    """

    def __init__(
        self,
        pseudonymize: Pseudonymizer,
        *,
        required_fields: tuple[str, ...] = (),
        future_max: Instant = DAY,
    ) -> None:
        self._pseudonymize = pseudonymize
        self._required = required(required_fields)
        self._future_max = future_max
        self._ids = _Shared()
        self._texts = _Shared(redacted)
        self._people = _Shared(pseudonymize.cashier_id)

    def parse(self, record: Record) -> Transaction | Verdict | Suppression | Lift | Rejection:
        """The transaction in `record`, or what a person said, or what is wrong with it.

        Raises nothing.
        """
        try:
            return self._transaction(record.data, record.arrived_at)
        except ParseFault as found:
            deep = too_deep(record.data)  # such a record is not looked into
            if not deep:
                said = verdict_of(record.data) or suppression_of(record.data)
                if said is not None:
                    reason = self._not_in_time(said.given_at, record.arrived_at)
                    if reason is None:
                        return noted(said)
                    return _rejected(record, ParseFault(reason, "given_at"), deep=False)
            # No name of this frame may hold the fault beyond here: the fault holds the frame, and
            # the two of them every caller's records, until cycles are looked for.
            return _rejected(record, ParseFault(ParseReason.TOO_DEEP) if deep else found, deep=deep)

    def parse_all(
        self, records: Sequence[Record]
    ) -> list[Transaction | Verdict | Suppression | Lift | Rejection]:
        """What `parse` says of each of `records`, in their order; of most its twin says it."""
        if _twin is None or self._required:
            return list(map(self.parse, records))
        answers: list[Transaction | Verdict | Suppression | Lift | Rejection] = _twin.parse_all(
            records,
            self.parse,
            self._ids,
            self._texts,
            self._people,
            self._pseudonymize,
            (OCCURRED_MIN, OCCURRED_END, self._future_max),
        )
        return answers

    def _transaction(  # noqa: C901 -- a call for a part of it takes longer than the part
        self, data: bytes, arrived_at: Instant | None
    ) -> Transaction:
        wire, unknown = decode(data)
        if wire.schema != SCHEMA_VERSION and wire.schema is not None:
            raise ParseFault(ParseReason.SCHEMA_UNSUPPORTED, "schema")
        escaped = data.find(b"\\") >= 0  # `in` takes thrice as long on bytes
        if escaped or not data.isascii():
            _check_ids(wire)
        if escaped or data.count(b'"') != 2 * strings_of(wire):
            check_unique(data, escaped=escaped)
        exponent = EXPONENTS.get(wire.currency)
        if exponent is None:
            raise ParseFault(ParseReason.UNKNOWN_CURRENCY, "currency")
        total, approval_limit = _amounts(wire, exponent)
        occurred_at, utc_offset_minutes = self._time(wire.occurred_at, arrived_at)
        method = card = card_before = name = email = None
        if (payment := wire.payment) is not None:
            method = payment.method
            if payment.card_token is not None:
                card = self._pseudonymize.card_token(payment.card_token)
                if wire.type == "REFUND":  # cards are remembered by their refunds alone
                    card_before = self._pseudonymize.card_before(payment.card_token)
        if wire.contact is not None:
            name, email = self._contact(wire.contact)
        ids, texts = self._ids, self._texts
        customer = wire.customer_id
        # The retailer's own numbers are shorter than anything personal but an e-mail address.
        if customer is not None and (
            len(customer) > _OWN_ID_MAX
            or "@" in customer
            or "%" in customer
            or not customer.isascii()
        ):
            customer = self._pseudonymize.customer_id(customer)
        transaction = Transaction(
            wire.transaction_id,
            ids[wire.shop_id],
            wire.type,
            occurred_at,
            utc_offset_minutes,
            ids[wire.currency],
            total,
            ids[wire.register_id],
            self._people[wire.cashier_id],
            texts[method],
            card,
            customer,
            name,
            email,
            wire.original_transaction_id,
            texts[wire.reason],
            approval_limit,
            _lines(wire.lines, ids, texts) if wire.lines else (),
            unknown,
            card_before,
        )
        if self._required and (field := missing(transaction, self._required)) is not None:
            raise ParseFault(ParseReason.MISSING_FIELD, field, "this source must send it")
        return transaction

    def _contact(self, contact: WireContact) -> tuple[str | None, str | None]:
        """Pseudonyms of name and e-mail; blank is absent, or strangers would be one person."""
        name = email = None
        if contact.name is not None and contact.name.strip():
            name = self._pseudonymize.contact_name(contact.name)
        if contact.email is not None and contact.email.strip():
            email = self._pseudonymize.contact_email(contact.email)
        return name, email

    def _time(self, moment: datetime, arrived_at: Instant | None) -> tuple[Instant, int]:
        """The instant of `moment`, and its offset from UTC in minutes."""
        offset = None
        if moment.tzinfo is not UTC:  # asking a datetime for its offset takes longer than the rest
            offset = moment.utcoffset()
            if offset is None:
                raise ParseFault(ParseReason.TIME_WITHOUT_OFFSET, "occurred_at")
        occurred_at = from_datetime(moment)
        if (reason := self._not_in_time(occurred_at, arrived_at)) is not None:
            raise ParseFault(reason, "occurred_at")
        return occurred_at, offset // _MINUTE if offset else 0

    def _not_in_time(self, at: Instant, arrived_at: Instant | None) -> ParseReason | None:
        """What is wrong with the time `at` of a record that arrived then, if anything."""
        end = OCCURRED_END if arrived_at is None else arrived_at + self._future_max + 1
        if at >= min(end, OCCURRED_END):
            return ParseReason.OCCURRED_IN_FUTURE
        return ParseReason.OCCURRED_TOO_LONG_AGO if at < OCCURRED_MIN else None


def _rejected(record: Record, fault: ParseFault, *, deep: bool) -> Rejection:
    return Rejection(
        position=record.position,
        data=record.data,
        stage=STAGE,
        reason=fault.reason.value,
        field=fault.field,
        detail=fault.detail,
        arrived_at=record.arrived_at,
        shop_id=None if deep else _shown_shop(record.data),
    )


def _shown_shop(data: bytes) -> str | None:
    """The shop that a rejected record speaks of; what stands there may be anything."""
    shop_id = shop_id_of(data)
    return None if shop_id is None or has_personal(shop_id) else shop_id


def _check_ids(wire: WireTransaction) -> None:
    """What the types cannot say of identifiers, where a record is not plain ASCII throughout."""
    for name in _ID_FIELDS:
        _check_id(getattr(wire, name), name)
    for index, line in enumerate(wire.lines or ()):
        _check_id(line.item_id, f"lines[{index}].item_id")


def _check_id(value: str | None, field: str) -> None:
    if value is None:
        return
    if len(value.encode()) > ID_BYTES_MAX:
        raise ParseFault(ParseReason.TOO_LONG, field)
    if CONTROL.search(value):
        raise ParseFault(ParseReason.CONTROL_CHARACTER, field)


def _amounts(wire: WireTransaction, exponent: int) -> tuple[int, int | None]:
    """The total and the approval limit in minor units.

    A void may come to zero, as that of an empty receipt does; a limit of zero is a limit.
    """
    if wire.total is None:
        raise ParseFault(ParseReason.MISSING_FIELD, "total")
    limit: int | None = None
    field = "total"
    try:
        if type(wire.total) is str:
            total = OF_TEXT[exponent](wire.total)
        else:
            total = minor_units(wire.total, exponent)
        if wire.approval_limit is not None:
            field = "approval_limit"
            limit = minor_units(wire.approval_limit, exponent)
    except AmountError as error:
        raise ParseFault(error.reason, field) from None
    if total <= 0 and wire.type != "VOID":
        raise ParseFault(ParseReason.AMOUNT_NOT_POSITIVE, "total")
    if total < 0:
        raise ParseFault(ParseReason.AMOUNT_NEGATIVE, "total")
    if limit is not None and limit < 0:
        raise ParseFault(ParseReason.AMOUNT_NEGATIVE, "approval_limit")
    return total, limit


def _lines(lines: tuple[WireLine, ...], ids: _Shared, texts: _Shared) -> tuple[Line, ...]:
    parsed: list[Line] = []
    for line in lines:
        quantity, price = line.quantity, line.unit_price
        field = "quantity"
        try:
            # The usual types without a call in between: this runs for every line of every receipt.
            if type(quantity) is int and -_PIECES_MAX < quantity < _PIECES_MAX:
                quantity *= _PIECE
            elif quantity is not None:
                quantity = quantity_thousandths(quantity)
            field = "unit_price"
            if type(price) is str:
                price = _price_of_text(price)
            elif price is not None:
                price = unit_price_e4(price)
        except AmountError as error:
            path = f"lines[{len(parsed)}].{field}"
            raise ParseFault(error.reason, path) from None
        parsed.append(
            Line(
                ids[line.item_id],
                texts[line.description],
                texts[line.category],
                quantity,
                price,
            )
        )
    return tuple(parsed)
