"""Rows told apart by number and Positions, without holding them: those read, and those written."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Iterable

POSITION = ["shard_id", "sequence_number", "sub_sequence_number"]


class PositionSum(msgspec.Struct, frozen=True):
    """How many rows, and the sum of a 64-bit hash of each one's Position.

    The same rows have the same sum in any order, so sums are added and subtracted as rows come and
    go. The hash is Python's own, which differs from process to process: compare within one alone.
    """

    rows: int = 0
    hashes: int = 0

    def __add__(self, other: PositionSum) -> PositionSum:
        return PositionSum(self.rows + other.rows, self.hashes + other.hashes)

    def __sub__(self, other: PositionSum) -> PositionSum:
        return PositionSum(self.rows - other.rows, self.hashes - other.hashes)


def sum_of(table: Any) -> PositionSum:
    """Of all rows of a table that has the columns of `POSITION`."""
    return PositionSum(len(table), sum(_hashes(table)))


def repeated_in(table: Any) -> PositionSum:
    """Of the rows that are too many where each Position stays once."""
    times = Counter(_hashes(table))
    more = {hashed: count - 1 for hashed, count in times.items() if count > 1}
    return PositionSum(sum(more.values()), sum(hashed * count for hashed, count in more.items()))


def sum_in(files: Iterable[Any]) -> PositionSum:
    """Of all rows of Parquet files, a row group in memory at a time."""
    found = PositionSum()
    for file in files:
        for group in range(file.num_row_groups):
            found += sum_of(file.read_row_group(group, columns=POSITION, use_threads=False))
    return found


def _hashes(table: Any) -> Iterable[int]:
    texts = [table[name].cast(pa.string()) for name in POSITION]
    return map(hash, pc.binary_join_element_wise(*texts, "/").to_pylist())
