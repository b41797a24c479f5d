from collections.abc import Sequence
from typing import TypeAlias

from events.batch import Scored
from events.score import Score

# What pyarrow.Array.from_buffers takes: a bitmap of the rows that have a value, or None where all
# have one; the values, or where each row's text ends; the texts. They may be longer than filled.
_Buffers: TypeAlias = tuple[bytes | None, bytes] | tuple[bytes | None, bytes, bytes]

# The columns of `scored` in stream order, or None where Python is to do them. `factors` turn minor
# units of each currency into the amounts' last decimal. Gives the columns by name; how many lines
# there are, where each row's end and the lines' columns; the shops by number and each row's number
# as 32 bits; None and the scores as they came, and which of these each row's is, as 32 bits.
def columns(
    scored: Sequence[Scored], factors: dict[str, int], /
) -> (
    tuple[
        dict[str, _Buffers],
        tuple[int, bytes, tuple[_Buffers, ...]],
        tuple[dict[str, int], bytes],
        tuple[list[Score | None], bytes],
    ]
    | None
): ...
