"""The UCI Online Retail data set as wire transactions, one per invoice, nothing left out.

Daqing Chen, "Online Retail", UCI Machine Learning Repository, 2015, doi:10.24432/C5BW33, CC BY 4.0:
what one British retailer invoiced between December 2010 and December 2011. Its lines become records
by these rules:

- **Time** is the invoice's first, taken as London's clock. Records come in order of it; invoices of
  the same minute as they stand in the file.
- **Type**: an invoice whose number starts with C is a cancellation, hence a REFUND; all digits is a
  SALE. Anything else is sent as ADJUSTMENT. Those are three "Adjust bad debt" entries under A: no
  till took or gave that money, and wire schema 1 has no word for it, so the consumer rejects them.
- **Total** is the exact sum of quantity times unit price, rounded once, half to even, to the cent;
  of a refund with its sign turned, and its quantities too, so that money given back is positive. A
  sum of zero or less is sent as it is, for the consumer to reject: stock that was written off.
- **Lines** keep their order, repeats included, and up to four decimals of the unit price.
- **Shop** is the country. The United Kingdom has nine tenths of all invoices and is spread over
  eight shops, by a hash of the customer, so that whoever returns something does so where it was
  bought; without a customer by a hash of the invoice's number.

There are no cashiers, cards or receipts in it: no refund names its sale.
"""

import re
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from pathlib import Path
from typing import Any
from zlib import crc32
from zoneinfo import ZoneInfo

import msgspec

UNITED_KINGDOM_SHOPS = 8

_COLUMNS = (
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
)
_LONDON = ZoneInfo("Europe/London")
_CENT = Decimal("0.01")
_TEN_THOUSANDTH = Decimal("0.0001")
_EXACT = Context(prec=60)


class OnlineRetailError(Exception):
    """The file is not the data set."""


class InvoiceLine(msgspec.Struct, frozen=True, gc=False):
    """One line as the data set has it."""

    stock_code: str
    description: str | None
    quantity: int
    unit_price: Decimal


class Invoice(msgspec.Struct, frozen=True):
    """One invoice as the data set has it; `invoiced_at` is London's time of its first line."""

    number: str
    invoiced_at: datetime
    customer: int | None
    country: str
    lines: list[InvoiceLine]

    @property
    def type(self) -> str:
        """REFUND, SALE, or ADJUSTMENT, which wire schema 1 does not know."""
        if self.number.startswith("C"):
            return "REFUND"
        return "SALE" if self.number.isdigit() else "ADJUSTMENT"

    @property
    def total(self) -> Decimal:
        """What was paid or, for a refund, paid back; zero or less where it was neither."""
        exact = sum((line.quantity * line.unit_price for line in self.lines), Decimal())
        total = exact.quantize(_CENT, ROUND_HALF_EVEN, _EXACT)
        return (-total if self.type == "REFUND" else total) + 0  # + 0: no minus before a zero

    @property
    def shop_id(self) -> str:
        """The country, with a number behind it where that is the United Kingdom."""
        shop = re.sub(r"[^a-z0-9]+", "-", self.country.lower()).strip("-")
        if self.country != "United Kingdom":
            return shop
        spread = self.number.lstrip("AC") if self.customer is None else str(self.customer)
        return f"{shop}-{crc32(spread.encode()) % UNITED_KINGDOM_SHOPS + 1}"


def read_invoices(path: Path) -> list[Invoice]:
    """All invoices of the Parquet file at `path`, in order of time; about 300 MB while it reads.

    Raises:
        OnlineRetailError: no Parquet file, a column is missing, or a line has no number, time,
            quantity, price or country.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.ParquetFile(path)
        if missing := set(_COLUMNS) - set(table.schema_arrow.names):
            raise OnlineRetailError(f"{path} lacks the columns {', '.join(sorted(missing))}")
        invoices: dict[str, Invoice] = {}
        for batch in table.iter_batches(columns=list(_COLUMNS)):
            _add_lines(invoices, batch)
    except pa.ArrowInvalid as error:
        raise OnlineRetailError(f"{path} is no Parquet file: {error}") from error
    return sorted(invoices.values(), key=_instant)


def to_wire(invoice: Invoice) -> tuple[str, bytes]:
    """(partition key, record) of one invoice: its shop, and its bytes in wire schema 1."""
    sign = -1 if invoice.type == "REFUND" else 1
    wire: dict[str, Any] = {
        "schema": 1,
        "transaction_id": invoice.number,
        "shop_id": invoice.shop_id,
        "type": invoice.type,
        "occurred_at": invoice.invoiced_at.isoformat(),
        "currency": "GBP",
        "total": str(invoice.total),
    }
    if invoice.customer is not None:
        wire["customer_id"] = str(invoice.customer)
    wire["lines"] = [_wire_line(line, sign) for line in invoice.lines]
    return invoice.shop_id, msgspec.json.encode(wire)


def _wire_line(line: InvoiceLine, sign: int) -> dict[str, Any]:
    wire: dict[str, Any] = {"item_id": line.stock_code}
    if line.description is not None:
        wire["description"] = line.description
    wire["quantity"] = sign * line.quantity
    wire["unit_price"] = str(line.unit_price)
    return wire


def _add_lines(invoices: dict[str, Invoice], batch: Any) -> None:
    columns = [batch.column(name).to_pylist() for name in _COLUMNS]
    for number, stock_code, description, quantity, at, price, customer, country in zip(
        *columns, strict=True
    ):
        if None in (number, stock_code, quantity, at, price, country):
            raise OnlineRetailError(f"a line of invoice {number} lacks a value that all lines have")
        line = InvoiceLine(stock_code, description, quantity, _price(price))
        invoiced_at = at.replace(tzinfo=_LONDON)
        invoice = invoices.get(number)
        if invoice is None:
            invoices[number] = Invoice(number, invoiced_at, customer, country, [line])
        else:
            invoice.lines.append(line)


def _price(price: float) -> Decimal:
    """The decimal that was meant by `price`: the shortest one that reads as that float."""
    exact = Decimal(repr(price))
    decimals = _TEN_THOUSANDTH if exact != exact.quantize(_CENT, context=_EXACT) else _CENT
    return exact.quantize(decimals, ROUND_HALF_EVEN, _EXACT)


def _instant(invoice: Invoice) -> float:
    return invoice.invoiced_at.timestamp()
