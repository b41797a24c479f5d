"""The rows of a batch as one Arrow table, column by column. Pure.

Nothing here makes an object per value that numpy or Arrow can make per column: amounts go from
integers to decimal128 through a view of their bytes.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec.structs import astuple

from events.batch import Scored
from events.instant import HOUR, Instant
from events.money import EXPONENTS
from events.native import native
from events.position import Position
from events.score import Reason, Score
from events.transaction import Line, Transaction
from sinks.schema import LINE, LINES, MONEY, MONEY_DECIMALS, QUANTITY, REASON, REASONS, SCHEMA, TIME

_native = native("sinks._columns")

_Unsorted = tuple[Any, Any, Any]
"""Of rows in stream order: their times, the ranks of their shops, and their table."""

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
    times, shops, table = _by_twin(scored) or _by_python(scored)
    order, hours, counts = _order(times, shops)
    # Columns first, order after: in stream order the values lie one after another in memory.
    return Rows(table.take(order), hours, counts)


def _by_python(scored: Sequence[Scored]) -> _Unsorted:
    items = _columns(Scored, scored)
    of = _columns(Transaction, items["transaction"])
    times = np.fromiter(of["occurred_at"], np.int64, len(scored))
    ranks, kind = _ranks(set(of["shop_id"]))
    shops = np.fromiter(map(ranks.__getitem__, of["shop_id"]), kind, len(scored))
    return times, shops, _table(items, of, times)


def _columns(kind: type[msgspec.Struct], items: Sequence[Any]) -> dict[str, Sequence[Any]]:
    """The fields of `items`, all of them structs of one kind, by name.

    A tuple per item, and these turned round, take half the time of asking every item for every
    field: an item is looked at once, and then is still in the processor's cache.
    """
    names = kind.__struct_fields__
    if not items:
        return dict.fromkeys(names, ())
    return dict(zip(names, zip(*map(astuple, items), strict=True), strict=True))


def _ranks(shops: Iterable[str]) -> tuple[dict[str, int], Any]:
    """The rank of each of `shops`, and the narrowest type that holds it.

    Ranks of 16 bits are sorted in a tenth of the time that 64 take.
    """
    ranks = {shop: rank for rank, shop in enumerate(sorted(shops))}
    return ranks, np.min_scalar_type(len(ranks))


def _order(times: Any, shops: Any) -> tuple[Any, tuple[Instant, ...], tuple[int, ...]]:
    """The rows' order by `times` and by the ranks of their `shops`; their hours."""
    hours = times // HOUR
    order = np.lexsort((times, shops, hours))
    starts, counts = np.unique(hours, return_counts=True)
    return pa.array(order), tuple((starts * HOUR).tolist()), tuple(counts.tolist())


def _table(items: dict[str, Sequence[Any]], of: dict[str, Sequence[Any]], times: Any) -> Any:
    positions = _columns(Position, items["position"])
    factors = _factors(of["currency"])
    columns: dict[str, Any] = {name: _strings(of[name]) for name in _STRINGS}
    columns |= {
        "occurred_at": pa.array(times).view(TIME),
        "utc_offset_minutes": pa.array(of["utc_offset_minutes"], pa.int16()),
        "total": _decimals(of["total"], MONEY, factors),
        "approval_limit": _decimals(of["approval_limit"], MONEY, factors),
        "lines": _lists(of["lines"], _lines, LINES),
        "unknown": _strings([None if it is None else it.decode() for it in of["unknown"]]),
        **_scores(items["score"]),
        "shard_id": _strings(positions["shard_id"]),
        "sequence_number": _strings(positions["sequence_number"]),
        "sub_sequence_number": pa.array(positions["sub_sequence_number"], pa.int64()),
        "arrived_at": pa.array(items["arrived_at"], pa.int64()).view(TIME),
    }
    return pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA)


def _scores(scores: Sequence[Score | None]) -> dict[str, Any]:
    return {
        "score": pa.array([None if s is None else s.value for s in scores], pa.float64()),
        "score_reasons": _lists(
            [() if s is None else s.reasons for s in scores], _reasons, REASONS
        ),
        "model_version": _strings([None if s is None else s.model_version for s in scores]),
    }


def _strings(values: Sequence[str | None]) -> Any:
    return pa.array(values, pa.string())


def _factors(currencies: Sequence[str]) -> Any:
    """What turns minor units of each currency into the last decimal of MONEY."""
    first = currencies[0]
    if currencies.count(first) == len(currencies):
        return _FACTORS[first]
    return np.array([_FACTORS[currency] for currency in currencies], np.int64)


def _decimals(values: Sequence[int | None], kind: Any, factors: Any = 1) -> Any:
    """`values` times `factors`, integers in the last decimal of `kind`, as decimals of `kind`.

    A decimal128 is a little-endian 128-bit integer: the value in the low half, its sign in the
    high one.

    Raises:
        OverflowError: a value has more than 18 digits.
    """
    size = len(values)
    absent = values.count(None)
    if absent == size:
        return pa.nulls(size, kind)
    whole = np.fromiter([v or 0 for v in values] if absent else values, np.int64, size)
    limit = _MANTISSA_MAX // factors
    if (whole >= limit).any() or (whole <= -limit).any():
        raise OverflowError("more than 18 digits")
    halves = np.empty((size, 2), np.int64)
    halves[:, 0] = whole * factors
    halves[:, 1] = whole >> 63
    validity = None
    if absent:
        present = np.array([v is not None for v in values])
        validity = pa.py_buffer(np.packbits(present, bitorder="little"))
    return pa.Array.from_buffers(kind, size, [validity, pa.py_buffer(halves)])


def _lists(values: Sequence[Sequence[Any]], build: Callable[[list[Any]], Any], kind: Any) -> Any:
    ends = list(accumulate(map(len, values), initial=0))
    flat = build(list(chain.from_iterable(values)))
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat, type=kind)


def _lines(lines: list[Line]) -> Any:
    of = _columns(Line, lines)
    return pa.StructArray.from_arrays(
        [
            _strings(of["item_id"]),
            _strings(of["description"]),
            _strings(of["category"]),
            _decimals(of["quantity_thousandths"], QUANTITY),
            _decimals(of["unit_price_e4"], MONEY),
        ],
        fields=list(LINE),
    )


def _reasons(reasons: list[Reason]) -> Any:
    of = _columns(Reason, reasons)
    return pa.StructArray.from_arrays(
        [pa.array(of[field.name], field.type) for field in REASON], fields=list(REASON)
    )


def _by_twin(scored: Sequence[Scored]) -> _Unsorted | None:
    """As `_by_python`, from buffers that sinks/_columns.c fills; None where Python is to do it."""
    made = None if _native is None else _native.columns(scored, _FACTORS)
    if made is None:
        return None
    size = len(scored)
    named, (lines, line_ends, of_lines), (shops, shop_of), (scores, score_of) = made
    columns = {name: _array(SCHEMA.field(name).type, size, of) for name, of in named.items()}
    flat = [_array(field.type, lines, of) for field, of in zip(LINE, of_lines, strict=True)]
    columns["lines"] = pa.ListArray.from_arrays(
        _array(pa.int32(), size + 1, (None, line_ends)),
        pa.StructArray.from_arrays(flat, fields=list(LINE)),
        type=LINES,
    )
    places = _array(pa.int32(), size, (None, score_of))
    columns |= {name: column.take(places) for name, column in _scores(scores).items()}
    ranks, kind = _ranks(shops)
    rank_of = np.array([ranks[shop] for shop in shops], kind)
    return (
        np.frombuffer(named["occurred_at"][1], np.int64, size),
        rank_of[np.frombuffer(shop_of, np.int32, size)],
        pa.Table.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA),
    )


def _array(kind: Any, size: int, buffers: Sequence[bytes | None]) -> Any:
    return pa.Array.from_buffers(
        kind, size, [None if held is None else pa.py_buffer(held) for held in buffers]
    )
