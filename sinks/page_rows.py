"""Pages and verdicts as rows of the lake: every state that was told, under keys of its day. Pure.

A page's states, and what people said of it, come out of the records alone (the same records give
the same pages), so a batch that is written again, or that a successor cuts otherwise, brings the
same rows once more: a state is known by its page and revision. The views keep one of each.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

from events.instant import Instant, to_datetime
from events.money import EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from events.batch import Batch

from events.page import Page
from events.verdict import Verdict

Told = TypeVar("Told", Page, Verdict)

_log = logging.getLogger(__name__)

PAGES = "pages/"
VERDICTS = "verdicts/"


def told(batch: Batch, suffix: str = ".parquet") -> Iterator[tuple[str, bytes]]:
    """Key and bytes of a file for every day on which a page of `batch` was opened, and of verdicts.

    All states of a page lie under the day of its opening. What no row can be made of is left out,
    and logged: the page itself goes to people and into the index, and its shard goes on.
    """
    yield from page_files(batch, suffix)
    name = _name(batch, suffix)
    yield from _files(VERDICTS, name, batch.verdicts, lambda one: one.given_at, _verdict_table)


def page_files(batch: Batch, suffix: str = ".parquet") -> Iterator[tuple[str, bytes]]:
    """The part of `told` that is the pages'."""

    def table(some: Sequence[Page]) -> Any:
        return _page_table(some, batch)

    yield from _files(PAGES, _name(batch, suffix), batch.pages, lambda page: page.opened_at, table)


def _name(batch: Batch, suffix: str) -> str:
    return f"{batch.first.shard_id}-{batch.first.slug}-{batch.last.slug}{suffix}"


def _files(
    folder: str,
    name: str,
    items: Sequence[Told],
    at: Callable[[Told], Instant],
    table: Callable[[Sequence[Told]], Any],
) -> Iterator[tuple[str, bytes]]:
    by_day: dict[str, list[Told]] = defaultdict(list)
    for item in items:
        try:
            table([item])
            by_day[_date(at(item))].append(item)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is about this one alone
            _log.error(
                "%s of %s has no row in the lake: %s",
                type(item).__name__,
                item.page_id,
                type(error).__name__,
            )
    for date, some in by_day.items():
        yield f"{folder}date={date}/{name}", _packed(table(some))


def _page_table(pages: Sequence[Page], batch: Batch) -> Any:
    import pyarrow as pa

    from sinks.schema import PAGE_SCHEMA

    columns: dict[str, list[Any]] = {
        name: [getattr(page, name) for page in pages]
        for name in PAGE_SCHEMA.names
        if hasattr(pages[0], name)
    }
    columns |= {
        "entity_kind": [page.entity.kind for page in pages],
        "entity_id": [page.entity.id for page in pages],
        "evidence": [list(page.evidence) for page in pages],
        "refunded_total": [_amount(page.refunded_total, page.currency) for page in pages],
        "shard_id": [batch.last.shard_id] * len(pages),
        "sequence_number": [batch.last.sequence_number] * len(pages),
        "sub_sequence_number": [batch.last.sub_sequence_number] * len(pages),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in PAGE_SCHEMA]
    return pa.Table.from_arrays(arrays, schema=PAGE_SCHEMA)


def _verdict_table(verdicts: Sequence[Verdict]) -> Any:
    import pyarrow as pa

    from sinks.schema import VERDICT_SCHEMA

    return pa.Table.from_arrays(
        [
            pa.array([getattr(verdict, field.name) for verdict in verdicts], field.type)
            for field in VERDICT_SCHEMA
        ],
        schema=VERDICT_SCHEMA,
    )


def _packed(table: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", store_schema=False)
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _amount(minor_units: int, currency: str) -> Any:
    return Decimal(minor_units).scaleb(-EXPONENTS[currency])


def _date(instant: Instant) -> str:
    return to_datetime(instant).date().isoformat()
