"""The rows of a batch as one Arrow table, column by column. Pure.

Nothing here makes an object per value that numpy or Arrow can make per column: amounts go from
integers to decimal128 through a view of their bytes.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from events.batch import Scored
from events.instant import HOUR, Instant
from events.money import EXPONENTS
from events.score import Reason
from events.transaction import Line
from sinks.schema import LINE, LINES, MONEY, MONEY_DECIMALS, QUANTITY, REASON, REASONS, SCHEMA, TIME

_MANTISSA_MAX = 10**18
_FACTORS = {code: 10 ** (MONEY_DECIMALS - digits) for code, digits in EXPONENTS.items()}
_STRINGS = (
    "transaction_id",
    "shop_id",
    "type",
    "currency",
    "register_id",
    "cashier_id",
    "payment_method",
    "card_token",
    "customer_id",
    "contact_name",
    "contact_email",
    "original_transaction_id",
    "reason",
)


class Rows(msgspec.Struct, frozen=True):
    """Sorted rows: by event hour, within it by shop and time, and then as they came.

    The rows of the hour `hours[i]` are the next `counts[i]` of `table`.
    """

    table: Any
    hours: tuple[Instant, ...]
    counts: tuple[int, ...]


def rows(scored: Sequence[Scored]) -> Rows:
    """The rows of `scored`, of which there is at least one.

    Raises:
        Exception: some row does not fit the schema; sinks/culprits.py finds it.
    """
    order, hours, counts = _order(scored)
    # Columns first, order after: in stream order the values lie one after another in memory.
    return Rows(_table(scored).take(order), hours, counts)


def _order(scored: Sequence[Scored]) -> tuple[Any, tuple[Instant, ...], tuple[int, ...]]:
    times = np.fromiter((s.transaction.occurred_at for s in scored), np.int64, len(scored))
    shops = [s.transaction.shop_id for s in scored]
    ranks = {shop: rank for rank, shop in enumerate(sorted(set(shops)))}
    codes = np.fromiter((ranks[shop] for shop in shops), np.int64, len(scored))
    hours = times // HOUR
    order = np.lexsort((times, codes, hours))
    starts, counts = np.unique(hours, return_counts=True)
    return pa.array(order), tuple((starts * HOUR).tolist()), tuple(counts.tolist())


def _table(scored: Sequence[Scored]) -> Any:
    transactions = [s.transaction for s in scored]
    positions = [s.position for s in scored]
    scores = [s.score for s in scored]
    factors = [_FACTORS[it.currency] for it in transactions]
    columns: dict[str, Any] = {name: _strings(transactions, name) for name in _STRINGS}
    columns |= {
        "occurred_at": _times([it.occurred_at for it in transactions]),
        "utc_offset_minutes": pa.array([it.utc_offset_minutes for it in transactions], pa.int16()),
        "total": _decimals(
            [it.total * factor for it, factor in zip(transactions, factors, strict=True)], MONEY
        ),
        "approval_limit": _decimals(
            [
                None if it.approval_limit is None else it.approval_limit * factor
                for it, factor in zip(transactions, factors, strict=True)
            ],
            MONEY,
        ),
        "lines": _lists([it.lines for it in transactions], _lines, LINES),
        "unknown": pa.array(
            [None if it.unknown is None else it.unknown.decode() for it in transactions],
            pa.string(),
        ),
        "score": pa.array([None if s is None else s.value for s in scores], pa.float64()),
        "score_reasons": _lists(
            [() if s is None else s.reasons for s in scores], _reasons, REASONS
        ),
        "model_version": pa.array(
            [None if s is None else s.model_version for s in scores], pa.string()
        ),
        "shard_id": _strings(positions, "shard_id"),
        "sequence_number": _strings(positions, "sequence_number"),
        "sub_sequence_number": pa.array([p.sub_sequence_number for p in positions], pa.int64()),
        "arrived_at": _times([s.arrived_at for s in scored]),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _strings(items: Sequence[Any], field: str) -> Any:
    # One list per column, never a tuple per row: those would set the collector off again and again.
    return pa.array(list(map(attrgetter(field), items)), pa.string())


def _times(values: Sequence[Instant | None]) -> Any:
    return pa.array(values, pa.int64()).view(TIME)


def _decimals(values: Sequence[int | None], kind: Any) -> Any:
    """`values`, integers in the last decimal of `kind`, as decimals of `kind`.

    A decimal128 is a little-endian 128-bit integer: the value in the low half, its sign in the
    high one.

    Raises:
        OverflowError: a value has more than 18 digits.
    """
    absent = None in values
    whole = np.array([v or 0 for v in values] if absent else values, np.int64)
    if whole.size and (whole.max() >= _MANTISSA_MAX or whole.min() <= -_MANTISSA_MAX):
        raise OverflowError("more than 18 digits")
    halves = np.empty((whole.size, 2), np.int64)
    halves[:, 0] = whole
    halves[:, 1] = whole >> 63
    validity = None
    if absent:
        present = np.array([v is not None for v in values])
        validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, whole.size, [validity, pa.py_buffer(halves)])


def _lists(values: Sequence[Sequence[Any]], build: Callable[[list[Any]], Any], kind: Any) -> Any:
    ends = list(accumulate(map(len, values), initial=0))
    flat = build(list(chain.from_iterable(values)))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat, type=kind)


def _lines(lines: list[Line]) -> Any:
    return pa.StructArray.from_arrays(
        [
            _strings(lines, "item_id"),
            _strings(lines, "description"),
            _strings(lines, "category"),
            _decimals([line.quantity_thousandths for line in lines], QUANTITY),
            _decimals([line.unit_price_e4 for line in lines], MONEY),
        ],
        fields=list(LINE),
    )


def _reasons(reasons: list[Reason]) -> Any:
    return pa.StructArray.from_arrays(
        [pa.array(list(map(attrgetter(field.name), reasons)), field.type) for field in REASON],
        fields=list(REASON),
    )
