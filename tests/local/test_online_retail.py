"""Online Retail as wire transactions: the rules on small tables, the counts on the data set."""

import json
import os
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction
from local.online_retail import Invoice, OnlineRetailError, read_invoices, to_wire

Write = Callable[..., list[Invoice]]

NOON = datetime(2011, 7, 1, 12, 0)  # noqa: DTZ001 -- the data set has no zones either
COLUMNS = {
    "InvoiceNo": pa.string(),
    "StockCode": pa.string(),
    "Description": pa.string(),
    "Quantity": pa.int32(),
    "InvoiceDate": pa.timestamp("us"),
    "UnitPrice": pa.float64(),
    "CustomerID": pa.int32(),
    "Country": pa.string(),
}


def write(path: Path, rows: list[tuple[Any, ...]]) -> None:
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(c, t) for c, t in zip(columns, COLUMNS.values(), strict=True)]
    pq.write_table(pa.table(arrays, names=list(COLUMNS)), path)


@pytest.fixture
def invoices(tmp_path: Path) -> Write:
    def made(*rows: tuple[Any, ...]) -> list[Invoice]:
        write(tmp_path / "retail.parquet", list(rows))
        return read_invoices(tmp_path / "retail.parquet")

    return made


def line(
    number: str, quantity: int, price: float, at: datetime = NOON, customer: int | None = 17850,
    country: str = "France",
) -> tuple[Any, ...]:  # fmt: skip
    return (number, "85123A", "HEART HOLDER", quantity, at, price, customer, country)


def wire(invoice: Invoice) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(to_wire(invoice)[1])
    return found


def parse(data: bytes) -> Transaction | Rejection:
    record = Record(Position("shard", "1"), data, "", None)
    return Parser(Pseudonymizer(b"sixteen bytes ok")).parse(record)


def test_a_sale_is_what_was_paid_at_londons_time(invoices: Write) -> None:
    (sale,) = invoices(line("536365", 6, 2.55), line("536365", 1, 3.4), line("536365", 6, 2.55))
    assert wire(sale) == {
        "schema": 1,
        "transaction_id": "536365",
        "shop_id": "france",
        "type": "SALE",
        "occurred_at": "2011-07-01T12:00:00+01:00",
        "currency": "GBP",
        "total": "34.00",
        "customer_id": "17850",
        "lines": [
            {"item_id": "85123A", "description": "HEART HOLDER", "quantity": q, "unit_price": p}
            for q, p in ((6, "2.55"), (1, "3.40"), (6, "2.55"))
        ],
    }


def test_a_cancellation_is_a_positive_refund_of_its_balance(invoices: Write) -> None:
    (refund,) = invoices(line("C1", -5, 2.0), line("C1", 1, 3.0))
    sent = wire(refund)
    assert (sent["type"], sent["total"]) == ("REFUND", "7.00")
    assert [sent_line["quantity"] for sent_line in sent["lines"]] == [5, -1]
    parsed = parse(to_wire(refund)[1])
    assert isinstance(parsed, Transaction)
    assert (parsed.is_refund, parsed.total) == (True, 700)


def test_the_exact_sum_is_rounded_once_and_to_the_even_cent(invoices: Write) -> None:
    rows = [line("1", 5, 0.001), line("2", 15, 0.001), line("3", 5, 0.001), line("3", 10, 0.001)]
    totals = [invoice.total for invoice in invoices(*rows)]
    assert [str(total) for total in totals] == ["0.00", "0.02", "0.02"]
    assert wire(invoices(*rows)[0])["lines"][0]["unit_price"] == "0.0010"


def test_floats_are_read_as_the_decimals_they_were(invoices: Write) -> None:
    (sale,) = invoices(*(line("1", 3, 0.1) for _ in range(1_000)), line("1", 1, 11062.06))
    assert sale.total == Decimal("11362.06")


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        ([line("1", 6, 0.0)], "amount_not_positive"),
        ([line("1", -6, 0.0)], "amount_not_positive"),
        ([line("1", -6, 1.0)], "amount_not_positive"),
        ([line("C1", 6, 1.0)], "amount_not_positive"),
        ([line("A1", 1, -11062.06)], "unknown_type"),
        ([line("A1", 1, 11062.06)], "unknown_type"),
    ],
)
def test_what_is_no_transaction_goes_through_and_is_rejected(
    invoices: Write, rows: list[tuple[Any, ...]], reason: str
) -> None:
    (invoice,) = invoices(*rows)
    parsed = parse(to_wire(invoice)[1])
    assert isinstance(parsed, Rejection)
    assert parsed.reason == reason


def test_records_come_in_order_of_time_and_then_of_the_file(invoices: Write) -> None:
    earlier = NOON.replace(hour=9)
    found = invoices(line("3", 1, 1.0), line("2", 1, 1.0), line("1", 1, 1.0, at=earlier))
    assert [invoice.number for invoice in found] == ["1", "3", "2"]


def test_an_invoice_keeps_its_first_time_and_all_its_lines(invoices: Write) -> None:
    later = NOON.replace(minute=1)
    (first, other) = invoices(line("1", 1, 1.0), line("2", 1, 1.0), line("1", 1, 1.0, at=later))
    assert (first.number, len(first.lines), first.invoiced_at.minute) == ("1", 2, 0)
    assert other.number == "2"


def test_a_customer_of_the_largest_country_always_buys_at_one_of_its_shops(invoices: Write) -> None:
    kingdom = "United Kingdom"
    found = invoices(
        line("1", 1, 1.0, country=kingdom), line("C2", -1, 1.0, country=kingdom),
        *(line(str(n), 1, 1.0, country=kingdom, customer=n) for n in range(100, 400)),
        *(line(str(n), 1, 1.0, country=kingdom, customer=None) for n in range(400, 700)),
        line("9", 1, 1.0, country="Channel Islands"),
    )  # fmt: skip
    by_number = {invoice.number: invoice.shop_id for invoice in found}
    assert by_number["1"] == by_number["C2"]
    assert by_number.pop("9") == "channel-islands"
    assert set(by_number.values()) == {f"united-kingdom-{n}" for n in range(1, 9)}
    assert all(to_wire(invoice)[0] == wire(invoice)["shop_id"] for invoice in found)


def test_what_the_data_set_lacks_is_absent(invoices: Write) -> None:
    (sale,) = invoices(("1", "X", None, 1, NOON, 1.0, None, "France"))
    assert "customer_id" not in wire(sale)
    assert "description" not in wire(sale)["lines"][0]


def test_a_file_of_another_kind_is_refused(tmp_path: Path, invoices: Write) -> None:
    path = tmp_path / "no.parquet"
    path.write_bytes(b"InvoiceNo,StockCode")
    with pytest.raises(OnlineRetailError, match="no Parquet file"):
        read_invoices(path)
    pq.write_table(pa.table({"InvoiceNo": ["1"]}), path)
    with pytest.raises(OnlineRetailError, match="lacks the columns Country, CustomerID"):
        read_invoices(path)
    with pytest.raises(OnlineRetailError, match="invoice 1 lacks a value"):
        invoices(("1", "X", None, 1, None, 1.0, None, "France"))


@pytest.fixture(scope="module")
def data_set() -> Path:
    if "TILLWATCH_ONLINE_RETAIL" not in os.environ:
        pytest.skip("TILLWATCH_ONLINE_RETAIL does not name the data set's Parquet file")
    return Path(os.environ["TILLWATCH_ONLINE_RETAIL"])


@pytest.fixture(scope="module")
def all_invoices(data_set: Path) -> list[Invoice]:
    return read_invoices(data_set)


def test_every_invoice_becomes_a_transaction_or_a_rejection(all_invoices: list[Invoice]) -> None:
    parsed = [parse(to_wire(invoice)[1]) for invoice in all_invoices]
    outcome = Counter(
        found.reason if isinstance(found, Rejection) else found.type for found in parsed
    )
    assert outcome == {
        "SALE": 19_959,
        "REFUND": 3_836,
        "amount_not_positive": 2_102,
        "unknown_type": 3,
    }
    assert all(
        invoice.number.startswith("C") == (isinstance(found, Transaction) and found.is_refund)
        for invoice, found in zip(all_invoices, parsed, strict=True)
    )
    times = [invoice.invoiced_at for invoice in all_invoices]
    assert times == sorted(times)
    assert len({invoice.number for invoice in all_invoices}) == 25_900


def test_totals_per_day_are_the_data_sets_to_the_cent(
    data_set: Path, all_invoices: list[Invoice]
) -> None:
    import pandas as pd

    table = pd.read_parquet(data_set)
    # Thousandths are exact for every price there is; pandas sums them as integers.
    table["worth"] = table["Quantity"].astype("int64") * (
        table["UnitPrice"] * 1_000
    ).round().astype("int64")
    by_invoice = table.groupby("InvoiceNo").agg(worth=("worth", "sum"), at=("InvoiceDate", "min"))
    expected: dict[tuple[str, str], Decimal] = {}
    for number, worth, at in by_invoice.itertuples():
        kind = {"C": "REFUND", "A": "ADJUSTMENT"}.get(number[0], "SALE")
        cents = (Decimal(worth) / 10).quantize(Decimal(1)) * (-1 if kind == "REFUND" else 1)
        day = (kind, at.date().isoformat())
        expected[day] = expected.get(day, Decimal(0)) + cents
    found: dict[tuple[str, str], Decimal] = {}
    for invoice in all_invoices:
        sent = wire(invoice)
        day = (sent["type"], sent["occurred_at"][:10])
        found[day] = found.get(day, Decimal(0)) + Decimal(sent["total"]) * 100
    assert found == expected


def test_the_two_famous_returns_are_there(all_invoices: list[Invoice]) -> None:
    by_number = {invoice.number: invoice for invoice in all_invoices}
    for number, sale, total in (
        ("C541433", "541431", "77183.60"),
        ("C581484", "581483", "168469.60"),
    ):
        assert wire(by_number[number])["total"] == total == wire(by_number[sale])["total"]
        assert by_number[number].shop_id == by_number[sale].shop_id
    assert max(len(invoice.lines) for invoice in all_invoices) == 1_114
