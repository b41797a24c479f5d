"""Pages and verdicts as rows of the lake: every state that was told, under keys of its day. Pure.

A page's states, and what people said of it, come out of the records alone (the same records give
the same pages), so a batch that is written again, or that a successor cuts otherwise, brings the
same rows once more: a state is known by its page and revision. The views keep one of each.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from events.instant import Instant, to_datetime
from events.money import EXPONENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from events.batch import Batch
    from events.page import Page
    from events.verdict import Verdict

PAGES = "pages/"
VERDICTS = "verdicts/"


def told(batch: Batch, suffix: str = ".parquet") -> Iterator[tuple[str, bytes]]:
    """Key and bytes of a file for every day on which a page of `batch` was opened, and of verdicts.

    All states of a page lie under the day of its opening.
    """
    if not batch.pages and not batch.verdicts:
        return
    name = f"{batch.first.shard_id}-{batch.first.slug}-{batch.last.slug}{suffix}"
    pages: dict[str, list[Page]] = defaultdict(list)
    for page in batch.pages:
        pages[_date(page.opened_at)].append(page)
    for date, some in pages.items():
        yield f"{PAGES}date={date}/{name}", _packed(_page_table(some, batch))
    verdicts: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in batch.verdicts:
        verdicts[_date(verdict.given_at)].append(verdict)
    for date, given in verdicts.items():
        yield f"{VERDICTS}date={date}/{name}", _packed(_verdict_table(given))


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
