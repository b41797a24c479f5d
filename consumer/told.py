"""Pages as reports count them, whether a backtest just made them or a file holds them."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Self

import click
import msgspec

from events.instant import Instant, from_datetime
from events.page import Entity, Page
from sinks.amount import money_text


class Told(msgspec.Struct, frozen=True):
    """One page as it stood last; `refunded` in the unit of `currency`."""

    page_id: str
    shop_id: str
    reason: str
    entity: Entity
    severity: int
    opened_at: Instant
    refunds: int
    refunded: Decimal
    currency: str
    summary: str
    evidence: tuple[str, ...]

    @classmethod
    def of(cls, page: Page) -> Self:
        """What is told of a page of the detector."""
        return cls(
            page.page_id,
            page.shop_id,
            page.reason,
            page.entity,
            page.severity,
            page.opened_at,
            page.refunds,
            Decimal(money_text(page.refunded_total, page.currency)),
            page.currency,
            page.summary,
            page.evidence,
        )


class _Line(msgspec.Struct):
    page_id: str
    shop_id: str
    reason: str
    entity: Entity
    severity: int
    opened_at: datetime
    refunds: int
    refunded_total: str
    currency: str
    summary: str
    evidence: tuple[str, ...]


def read_told(path: Path) -> list[Told]:
    """The pages in a file that `backtest --pages` wrote.

    Raises:
        click.ClickException: a line is no page.
    """
    decode = msgspec.json.Decoder(_Line).decode
    told = []
    for number, data in enumerate(path.read_bytes().splitlines(), 1):
        try:
            line = decode(data)
        except msgspec.DecodeError as error:
            raise click.ClickException(f"{path}, line {number}: {error}") from error
        fields = msgspec.structs.asdict(line)
        fields["opened_at"] = from_datetime(line.opened_at)
        fields["refunded"] = Decimal(fields.pop("refunded_total"))
        told.append(Told(**fields))
    return told


def refunded(pages: Iterable[Told]) -> dict[str, Decimal]:
    """The money in `pages` by currency, the largest sum first."""
    sums: dict[str, Decimal] = {}
    for page in pages:
        sums[page.currency] = sums.get(page.currency, Decimal(0)) + page.refunded
    return dict(sorted(sums.items(), key=lambda item: (-item[1], item[0])))


def money_words(sums: dict[str, Decimal]) -> str:
    """Such as "1,284.00 GBP and 90.50 EUR"; "nothing" of nothing."""
    return " and ".join(f"{amount:,} {currency}" for currency, amount in sums.items()) or "nothing"
