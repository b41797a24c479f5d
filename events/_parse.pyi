from collections.abc import Callable, Sequence
from typing import TypeVar

from events.instant import Instant
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.transaction import Transaction

_Answer = TypeVar("_Answer")

# What `parse` says of each of `records`, in their order; of unusual ones it is asked itself. `ids`,
# `texts` and `people` are the parser's shared texts; `bounds` are the earliest instant of a
# transaction, the end of all their times, and how far after its arrival a record may lie. What
# `parse` raises travels, and so does a lack of memory.
def parse_all(
    records: Sequence[Record],
    parse: Callable[[Record], _Answer],
    ids: dict[str | None, str | None],
    texts: dict[str | None, str | None],
    people: dict[str | None, str | None],
    pseudonymizer: Pseudonymizer,
    bounds: tuple[Instant, Instant, Instant],
) -> list[Transaction | _Answer]: ...
