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
from sinks.schema import LINE, MONEY, MONEY_DECIMALS, QUANTITY, REASON, SCHEMA, TIME

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
_NUMBERS = ("occurred_at", "utc_offset_minutes", "total", "approval_limit", "lines", "unknown")
_of_transaction = attrgetter(*_STRINGS, *_NUMBERS)
_of_position = attrgetter("shard_id", "sequence_number", "sub_sequence_number")
_of_line = attrgetter(*Line.__struct_fields__)
_of_reason = attrgetter(*Reason.__struct_fields__)

UNBUILDABLE = (KeyError, OverflowError, ValueError, TypeError)
"""What a row that fits no column raises (Arrow's errors and UnicodeError are ValueErrors)."""


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
        one of UNBUILDABLE: some row does not fit the schema; `unbuildable` finds it.
    """
    order, hours, counts = _order(scored)
    ordered = [scored[i] for i in order]
    return Rows(_table(ordered), hours, counts)


def unbuildable(scored: Sequence[Scored]) -> list[tuple[Scored, str]]:
    """The items of `scored` that no row can be made of, each with what it raised.

    Halves until the culprits stand alone, so one bad row costs the logarithm, not a row-by-row run.
    """
    if not scored:
        return []
    try:
        _table(scored)
    except UNBUILDABLE as error:
        if len(scored) == 1:
            return [(scored[0], type(error).__name__)]
        middle = len(scored) // 2
        return unbuildable(scored[:middle]) + unbuildable(scored[middle:])
    return []


def _order(
    scored: Sequence[Scored],
) -> tuple[list[int], tuple[Instant, ...], tuple[int, ...]]:
    times = np.fromiter((s.transaction.occurred_at for s in scored), np.int64, len(scored))
    shops = [s.transaction.shop_id for s in scored]
    ranks = {shop: rank for rank, shop in enumerate(sorted(set(shops)))}
    codes = np.fromiter((ranks[shop] for shop in shops), np.int64, len(scored))
    hours = times // HOUR
    order = np.lexsort((times, codes, hours))
    starts, counts = np.unique(hours, return_counts=True)
    return order.tolist(), tuple((starts * HOUR).tolist()), tuple(counts.tolist())


def _table(scored: Sequence[Scored]) -> Any:
    transactions = tuple(zip(*map(_of_transaction, [s.transaction for s in scored]), strict=True))
    strings = dict(zip(_STRINGS, transactions, strict=False))
    occurred, offsets, totals, limits, lines, unknown = transactions[len(_STRINGS) :]
    shards, sequences, subs = zip(*map(_of_position, [s.position for s in scored]), strict=True)
    factors = [_FACTORS[code] for code in strings["currency"]]
    scores = [s.score for s in scored]
    columns: dict[str, Any] = {name: pa.array(v, pa.string()) for name, v in strings.items()}
    columns |= {
        "occurred_at": _times(occurred),
        "utc_offset_minutes": pa.array(offsets, pa.int16()),
        "total": _decimals([v * f for v, f in zip(totals, factors, strict=True)], MONEY),
        "approval_limit": _decimals(
            [None if v is None else v * f for v, f in zip(limits, factors, strict=True)], MONEY
        ),
        "lines": _lists(lines, _lines),
        "unknown": pa.array([None if v is None else v.decode() for v in unknown], pa.string()),
        "score": pa.array([None if s is None else s.value for s in scores], pa.float64()),
        "score_reasons": _lists([() if s is None else s.reasons for s in scores], _reasons),
        "model_version": pa.array(
            [None if s is None else s.model_version for s in scores], pa.string()
        ),
        "shard_id": pa.array(shards, pa.string()),
        "sequence_number": pa.array(sequences, pa.string()),
        "sub_sequence_number": pa.array(subs, pa.int64()),
        "arrived_at": _times([s.arrived_at for s in scored]),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


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


def _lists(values: Sequence[Sequence[Any]], build: Callable[[list[Any]], Any]) -> Any:
    ends = list(accumulate(map(len, values), initial=0))
    return pa.ListArray.from_arrays(
        pa.array(ends, pa.int32()), build(list(chain.from_iterable(values)))
    )


def _lines(lines: list[Line]) -> Any:
    items, descriptions, categories, quantities, prices = _columns(lines, _of_line, 5)
    return pa.StructArray.from_arrays(
        [
            pa.array(items, pa.string()),
            pa.array(descriptions, pa.string()),
            pa.array(categories, pa.string()),
            _decimals(quantities, QUANTITY),
            _decimals(prices, MONEY),
        ],
        fields=list(LINE),
    )


def _reasons(reasons: list[Reason]) -> Any:
    columns = _columns(reasons, _of_reason, len(REASON))
    return pa.StructArray.from_arrays(
        [pa.array(values, field.type) for values, field in zip(columns, REASON, strict=True)],
        fields=list(REASON),
    )


def _columns(
    items: Sequence[Any], fields: Callable[[Any], tuple[Any, ...]], width: int
) -> tuple[tuple[Any, ...], ...]:
    return tuple(zip(*map(fields, items), strict=True)) or ((),) * width
