"""What came of a schedule beside an uninterrupted run of the same records."""

import io
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq

from anomaly.detector import DetectorConfig
from consumer.child import build_pipeline
from consumer.duplicates import Duplicates
from consumer.pipeline import batches
from consumer.scorer import Scorer
from events.page import Page
from sinks.sns import is_sent
from tests.simulation.patches import Row
from tests.simulation.services import letter
from tests.simulation.shared import Document

if TYPE_CHECKING:
    from tests.simulation.schedule import Schedule


class Expected(msgspec.Struct):
    """What an uninterrupted run over one shard gives."""

    documents: dict[str, Document]
    pages: set[Page]
    letters: set[tuple[str, str, str, str]]


def expected(schedule: "Schedule") -> Expected:
    """The uninterrupted run over the same records, as they came, in one shard and one batch."""
    settings = schedule.settings.model_copy(update={"batch_records_max": 10**6})
    config = DetectorConfig(
        key_groups=settings.key_groups, pages_per_shop_week=settings.pages_per_shop_week
    )
    pipeline = build_pipeline(
        settings, Scorer(config), Duplicates(settings.duplicates_remembered_min)
    )
    (cut,) = batches(pipeline, schedule.stream.records)
    refused = schedule.shared.refused
    letters = {letter(one) for one in cut.batch.rejections}
    documents = {}
    for item in cut.batch.scored:
        name = item.transaction.transaction_id
        if name in refused:
            letters.add((item.position.shard_id, item.position.slug, "opensearch", "refused"))
        else:
            documents[name] = Document(item.transaction, item.score, item.position)
    return Expected(documents, set(cut.batch.pages), letters)


def compare(schedule: "Schedule") -> list[str]:
    """What differs from the uninterrupted run."""
    want, shared, broken = expected(schedule), schedule.shared, list[str]()
    documents: Any = shared.documents
    rows = Counter(published(schedule))
    wanted: Any = want.documents
    if not schedule.exact:
        documents = {name: (one.transaction, one.position) for name, one in documents.items()}
        wanted = {name: (one.transaction, one.position) for name, one in wanted.items()}
        rows = Counter({(*row[:4], None): count for row, count in rows.items()})
    broken += _differences("document", documents, wanted)
    broken += _differences(
        "row", rows, Counter(_row(one, schedule) for one in want.documents.values())
    )
    shared.counts["pages"] = len(want.pages)
    if schedule.exact:
        broken += _differences("page", _known(shared.pages), _known(want.pages))
    told = {_key(page) for page in shared.pages if is_sent(page)}
    broken += [f"page {key} was not sent" for key in told - set(shared.sent)]
    broken += [f"page {key} is in no index" for key in set(shared.sent) - told]
    broken += _differences("letter", dict.fromkeys(shared.letters), dict.fromkeys(want.letters))
    return broken


def _key(page: Page) -> tuple[str, int]:
    return page.page_id, page.revision


def _known(pages: set[Page]) -> dict[tuple[str, int], list[Page]]:
    known: dict[tuple[str, int], list[Page]] = {}
    for page in sorted(pages, key=lambda page: page.updated_at):
        known.setdefault(_key(page), []).append(page)
    return known


def _row(one: Document, schedule: "Schedule") -> Row:
    score = one.score.value if one.score is not None and schedule.exact else None
    transaction, position = one.transaction, one.position
    return (
        transaction.transaction_id,
        transaction.shop_id,
        position.shard_id,
        position.slug,
        score,
    )


def published(schedule: "Schedule") -> list[Row]:
    """Every row of every final file."""
    store = schedule.shared.store
    rows: list[Row] = []
    for key in store.keys("processed/"):
        if schedule.plan.parquet:
            rows += map(_of_parquet, pq.read_table(io.BytesIO(store.get(key))).to_pylist())
        else:
            rows += map(tuple, msgspec.msgpack.decode(store.get(key)))
    return rows


def _of_parquet(row: dict[str, Any]) -> Row:
    slug = f"{row['sequence_number']}-{row['sub_sequence_number']}"
    return row["transaction_id"], row["shop_id"], row["shard_id"], slug, row["score"]


def _differences(what: str, found: dict[Any, Any], wanted: dict[Any, Any]) -> list[str]:
    return [
        f"{what} {key}: {found.get(key)} instead of {wanted.get(key)}"
        for key in sorted(found.keys() | wanted.keys(), key=str)
        if key not in found or key not in wanted or found[key] != wanted[key]
    ][:20]
