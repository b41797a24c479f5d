"""How records of another hand's streams reach the stream: late, twice, in the chain's own form.

Tills are offline for days and deliver at an hour of their own, shops and the whole chain lose their
line for hours, and senders that got no answer send again.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any, NamedTuple

from benchmarks.stranger_chain import DAY, REFUND, START, Entry, Shop, World

_MIDNIGHT = datetime(START.year, START.month, START.day, tzinfo=UTC)


class Delivered(NamedTuple):
    """An entry as it arrives; times are seconds of UTC, `offset` the shop's clock ahead of it."""

    arrives: float
    entry: Entry
    at: float
    offset: float


class _Outage(NamedTuple):
    shop: Shop | None
    begins: float
    ends: float


class _Offline(NamedTuple):
    register: str
    begins: int
    ends: int
    hours: float


class _Retry(NamedTuple):
    begins: float
    ends: float
    share: float


class _Line:
    """What befalls the line between tills and stream."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._offsets: dict[tuple[str, int], float] = {}
        self._outages = self._lost_lines()
        self._offline = self._lone_tills()
        self._retries = self._resent()

    def _lost_lines(self) -> list[_Outage]:
        """Some for one to six hours in all shops, and in three of ten shops up to twenty hours."""
        world, rng = self._world, self._world.rng
        found = []
        for _ in range(rng.poisson(2)):
            begins = rng.integers(3, world.days) * DAY + rng.uniform(9, 17) * 3600
            found.append(_Outage(None, begins, begins + rng.uniform(1, 6) * 3600))
        for shop in world.shops:
            if rng.random() < 0.3:
                begins = rng.integers(3, world.days) * DAY + rng.uniform(9, 17) * 3600
                found.append(_Outage(shop, begins, begins + rng.uniform(1, 20) * 3600))
        for one in found:
            shop_id = one.shop.shop_id if one.shop else "*"
            world.happens(shop_id, "outage", one.begins / DAY, one.ends / DAY + 0.3)
        return found

    def _lone_tills(self) -> dict[str, _Offline]:
        """In a third of the shops one till that delivers hours late for one to four days."""
        world, rng = self._world, self._world.rng
        found = {}
        for shop in world.shops:
            if rng.random() < 0.35:
                begins = int(rng.integers(5, world.days - 2))
                ends = begins + int(rng.integers(1, 5))
                register = shop.registers[rng.integers(len(shop.registers))]
                found[shop.shop_id] = _Offline(register, begins, ends, rng.uniform(3, 14))
                world.happens(shop.shop_id, "offline", begins, ends + 1)
        return found

    def _resent(self) -> list[_Retry]:
        """Three times within the stream a part of all is sent again, for up to four hours."""
        world, rng = self._world, self._world.rng
        found = []
        for _ in range(3):
            begins = rng.uniform(2, world.days) * DAY
            ends = begins + rng.uniform(0.5, 4) * 3600
            found.append(_Retry(begins, ends, rng.uniform(0.2, 0.9)))
        for one in found:
            world.happens("*", "retry", one.begins / DAY, one.ends / DAY + 0.1)
        return found

    def _offset(self, shop: Shop, day: int) -> float:
        """How far the shop's clock is ahead of UTC on that day, seconds."""
        offset = self._offsets.get((shop.shop_id, day))
        if offset is None:
            noon = datetime.combine(
                START + timedelta(days=day), datetime.min.time(), tzinfo=shop.zone
            ).replace(hour=12)
            ahead = noon.utcoffset()
            offset = ahead.total_seconds() if ahead else 0.0
            self._offsets[shop.shop_id, day] = offset
        return offset

    def deliver(self, entry: Entry) -> Iterator[Delivered]:
        """The arrivals of an entry: one, or two."""
        rng, shop, day = self._world.rng, entry.shop, int(entry.at // DAY)
        offset = self._offset(shop, day)
        at = entry.at - offset
        arrives = at + rng.exponential(4)
        till = self._offline.get(shop.shop_id)
        if till and till.register == entry.register and till.begins <= day < till.ends:
            arrives = max(arrives, at - at % 3600 + till.hours * 3600 + rng.uniform(0, 60))
        for one in self._outages:
            meets = one.shop is None or one.shop is shop
            if meets and one.begins <= arrives + offset < one.ends:
                arrives = max(arrives, one.ends - offset + rng.uniform(0, 400))
        yield Delivered(arrives, entry, at, offset)
        share = 0.002
        for retry in self._retries:
            if retry.begins <= entry.at < retry.ends:
                share = retry.share
        if rng.random() < share:
            again = arrives + rng.choice([5, 60, 900, 7200]) * rng.uniform(0.5, 1.5)
            yield Delivered(again, entry, at, offset)


def deliver(world: World) -> list[Delivered]:
    """What arrives of all entries, in order."""
    line, latest = _Line(world), (world.days + 0.2) * DAY
    found = [
        delivered
        for entry in world.entries
        if 0 <= entry.at < latest
        for delivered in line.deliver(entry)
    ]
    found.sort(key=lambda one: one.arrives)
    return found


def moment(delivered: Delivered) -> datetime:
    """When it happened, UTC."""
    return _MIDNIGHT + timedelta(seconds=round(delivered.at, 3))


def record(world: World, delivered: Delivered) -> bytes:
    """The record as the chain's tills write it; what a `bare` source has not is left out."""
    entry, bare = delivered.entry, world.draw.bare
    fields: dict[str, Any] = {
        "transaction_id": entry.transaction_id,
        "shop_id": entry.shop.shop_id,
        "type": entry.type,
        "occurred_at": _written(world, delivered),
        "currency": world.chain.currency,
        "total": _money(world, entry.total),
    }
    if bare < 2:
        fields["payment"] = {"method": entry.tender}
        fields["register_id"] = entry.register
    if not bare:
        _add_optional(world, entry, fields)
    return json.dumps(fields, separators=(",", ":")).encode()


def _add_optional(world: World, entry: Entry, fields: dict[str, Any]) -> None:
    fields["cashier_id"] = entry.cashier
    if entry.card:
        fields["payment"]["card_token"] = entry.card
    if entry.customer:
        fields["customer_id"] = entry.customer
    if entry.original:
        foreign = world.draw.foreign
        fields["original_transaction_id"] = _foreign(entry.original) if foreign else entry.original
    if entry.type == REFUND:
        fields["approval_limit"] = _money(world, entry.shop.limit)
    if entry.reason:
        fields["reason"] = entry.reason
    fields["lines"] = [
        {
            "item_id": line.item,
            "category": line.category,
            "quantity": line.quantity,
            "unit_price": _money(world, line.price),
        }
        for line in entry.lines
    ]


def _written(world: World, delivered: Delivered) -> str:
    at = moment(delivered)
    if world.chain.clock == "utc":
        return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z"
    zone = timezone(timedelta(seconds=delivered.offset))
    return at.astimezone(zone).isoformat(timespec="seconds")


def _money(world: World, amount: int) -> str:
    return str(amount) if world.chain.decimals == 0 else f"{amount // 100}.{amount % 100:02d}"


def _foreign(receipt: str) -> str:
    """The number that is printed on a receipt where it is not the id of its sale."""
    digest = int.from_bytes(sha256(receipt.encode()).digest()[:8], "big")
    return f"R{digest % 10**12}"
