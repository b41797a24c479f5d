"""Drafts of the sample stream as bytes of wire schema 1, and records that are no transaction."""

from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from random import Random

import msgspec

from events.instant import SECOND
from local.sample_trade import Draft


class _Payment(msgspec.Struct, omit_defaults=True, gc=False):
    method: str
    card_token: str | None = None


class _Line(msgspec.Struct, gc=False):
    item_id: str
    category: str
    quantity: int
    unit_price: str


class _Wire(msgspec.Struct, omit_defaults=True, gc=False):
    transaction_id: str
    shop_id: str
    type: str
    occurred_at: str
    currency: str
    total: str
    payment: _Payment
    lines: list[_Line]
    register_id: str | None = None
    cashier_id: str | None = None
    customer_id: str | None = None
    original_transaction_id: str | None = None
    reason: str | None = None
    approval_limit: str | None = None


class _Version1(_Wire, tag_field="schema", tag=1, omit_defaults=True, gc=False):
    """Writes `"schema": 1` in front."""


_encode = msgspec.json.Encoder().encode


def to_wire(draft: Draft, *, bare: bool = False) -> bytes:
    """The record of a numbered `draft`; `bare` leaves out cashier, card, receipt and limit."""
    refund = draft.type == "REFUND"
    limit = draft.shop.approval_limit if refund and not bare else None
    return _encode(
        _Version1(
            transaction_id=draft.transaction_id,
            shop_id=draft.shop.shop_id,
            type=draft.type,
            occurred_at=_iso(draft.occurred_at, draft.offset_minutes),
            currency=draft.shop.currency,
            total=_decimal(draft.total),
            payment=_Payment(draft.method, None if bare else draft.card),
            lines=[
                _Line(item.item_id, item.category, quantity, _decimal(price))
                for item, quantity, price in draft.lines
            ],
            register_id=draft.register_id,
            cashier_id=None if bare else draft.cashier_id,
            customer_id=None if bare else draft.customer_id,
            original_transaction_id=draft.original.transaction_id
            if draft.original and not bare
            else None,
            reason=draft.reason,
            approval_limit=None if limit is None else _decimal(limit),
        )
    )


def garble(rng: Random, data: bytes) -> bytes:
    """What a broken till or line makes of a record: never a valid transaction."""
    fault = rng.randrange(9)
    if fault == 0:
        return data[: rng.randrange(1, len(data))]
    if fault == 1:
        return b"<html><body>502 Bad Gateway</body></html>"
    if fault == 2:
        return data.replace(b'"type":"', b'"type":"\xff')
    wire = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    change = {
        3: ("total", b'"-' + bytes(wire["total"])[1:]),
        4: ("total", b'"12,50"'),
        5: ("type", b'"LAYAWAY"'),
        6: ("occurred_at", bytes(wire["occurred_at"])[:20] + b'"'),
        7: ("currency", b'"XQX"'),
        8: ("shop_id", None),
    }[fault]
    if change[1] is None:
        del wire[change[0]]
    else:
        wire[change[0]] = msgspec.Raw(change[1])
    return msgspec.json.encode(wire)


def _decimal(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"


def _iso(instant: int, offset_minutes: int) -> str:
    seconds, micros = divmod(instant, SECOND)
    moment = datetime.fromtimestamp(seconds, _zone(offset_minutes))
    return moment.replace(microsecond=micros).isoformat(timespec="milliseconds")


@lru_cache(maxsize=64)
def _zone(offset_minutes: int) -> timezone:
    return timezone(timedelta(minutes=offset_minutes)) if offset_minutes else UTC
