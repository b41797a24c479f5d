from collections import Counter
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.batch import Scored
from events.instant import HOUR, floor_hour, to_datetime
from events.money import EXPONENTS
from sinks.culprits import culprits
from sinks.rows import rows
from sinks.schema import SCHEMA
from tests.sinks.made import NOON, scored, trade


def expected_row(item: Scored) -> dict[str, Any]:
    """The row as one would write it by hand, with Decimals."""
    it = item.transaction
    unit = Decimal(10) ** -EXPONENTS[it.currency]
    given = item.score
    return {
        **{
            name: getattr(it, name)
            for name in SCHEMA.names
            if name in it.__struct_fields__ and name not in {"unknown", "lines", "reason"}
        },
        "reason": it.reason,
        "occurred_at": to_datetime(it.occurred_at),
        "total": it.total * unit,
        "approval_limit": None if it.approval_limit is None else it.approval_limit * unit,
        "lines": [
            {
                "item_id": line.item_id,
                "description": line.description,
                "category": line.category,
                "quantity": None
                if line.quantity_thousandths is None
                else Decimal(line.quantity_thousandths) / 1_000,
                "unit_price": None
                if line.unit_price_e4 is None
                else Decimal(line.unit_price_e4) / 10_000,
            }
            for line in it.lines
        ],
        "unknown": None if it.unknown is None else it.unknown.decode(),
        "score": None if given is None else given.value,
        "score_reasons": []
        if given is None
        else [msgspec.structs.asdict(reason) for reason in given.reasons],
        "model_version": None if given is None else given.model_version,
        **msgspec.structs.asdict(item.position),
        "arrived_at": None if item.arrived_at is None else to_datetime(item.arrived_at),
    }


def test_rows_say_what_the_transactions_say() -> None:
    items = trade(500)
    items[3] = msgspec.structs.replace(items[3], arrived_at=None)
    made = rows(items)
    assert made.table.schema.equals(SCHEMA)
    made.table.validate(full=True)
    wanted = sorted(
        items,
        key=lambda s: (
            floor_hour(s.transaction.occurred_at),
            s.transaction.shop_id,
            s.transaction.occurred_at,
        ),
    )
    assert made.table.to_pylist() == [expected_row(item) for item in wanted]
    hours = Counter(floor_hour(item.transaction.occurred_at) for item in items)
    assert dict(zip(made.hours, made.counts, strict=True)) == hours
    assert list(made.hours) == sorted(hours)


def test_one_row_of_the_least_there_may_be() -> None:
    made = rows([scored(1, cashier_id=None, lines=())])
    made.table.validate(full=True)
    (row,) = made.table.to_pylist()
    assert row["lines"] == []
    assert row["cashier_id"] is None
    assert (made.hours, made.counts) == ((NOON,), (1,))


@settings(max_examples=60)
@given(st.lists(st.integers(1 - 10**14, 10**14 - 1) | st.none(), min_size=1, max_size=20))
def test_decimals_are_exact_at_any_size_and_sign(values: list[int | None]) -> None:
    items = [scored(n, approval_limit=value) for n, value in enumerate(values)]
    column = rows(items).table["approval_limit"]
    column.validate(full=True)
    by_id = dict(zip(rows(items).table["transaction_id"].to_pylist(), column, strict=True))
    for n, value in enumerate(values):
        got = by_id[f"t-{n:06d}"].as_py()
        assert got == (None if value is None else Decimal(value) / 100)


@pytest.mark.parametrize(
    "occurred_at", [-62_135_596_800_000_000, -1, 0, 253_402_300_799_999_999, NOON + HOUR - 1]
)
def test_any_time_has_its_hour(occurred_at: int) -> None:
    made = rows([scored(1, occurred_at=occurred_at)])
    assert made.hours == (floor_hour(occurred_at),)
    assert made.table["occurred_at"].cast(pa.int64()).to_pylist() == [occurred_at]


BAD: list[dict[str, Any]] = [
    {"currency": "XXX"},
    {"currency": "JPY", "total": 10**14},
    {"currency": "JPY", "total": 10**15 - 1},
    {"total": 10**40},
    {"reason": "\ud800"},
    {"unknown": b"\xff"},
    {"utc_offset_minutes": 40_000},
]


@pytest.mark.parametrize("fields", BAD)
def test_a_row_that_does_not_fit_is_found_and_the_others_stand(fields: dict[str, Any]) -> None:
    items = [scored(n) for n in range(40)]
    items[17] = scored(17, **fields)
    with pytest.raises((KeyError, OverflowError, ValueError, TypeError)):
        rows(items)
    assert [item for item, _ in culprits(items, rows)] == [items[17]]


def test_many_that_do_not_fit_are_all_found() -> None:
    items = [scored(n, **(BAD[n % len(BAD)] if n % 3 else {})) for n in range(60)]
    assert [item for item, _ in culprits(items, rows)] == [items[n] for n in range(60) if n % 3]
