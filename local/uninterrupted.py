"""What must come out: the same records through the pipeline in this process, without a break."""

from collections.abc import Iterable, Mapping
from hashlib import blake2b
from typing import Any

import msgspec

from consumer.candidate import detector_config
from consumer.child import build_pipeline
from consumer.duplicates import Duplicates
from consumer.pipeline import batches
from consumer.scorer import Scorer
from consumer.settings import Settings
from events.position import Position
from events.record import Record
from local.feed import Keyed
from sinks.document import page as page_entry
from sinks.document import transaction as transaction_entry
from sinks.sns import is_sent

_DEPENDS_ON_THE_RUN = ("position", "arrived_at")
"""Fields of a document that say where and when a record lay on the stream, not what it is."""
_FINGERPRINT_BYTES = 16

Sending = tuple[str, int]
"""A page id and the revision that was sent."""


class Uninterrupted(msgspec.Struct, frozen=True):
    """What one run without any fault makes of the records.

    `documents` are fingerprints by transaction id, score and reasons included; `scores` those of
    refunds; `pages` are documents by page id as they stand last; `sendings` what the topic gets.
    """

    records: int
    documents: dict[str, bytes]
    scores: dict[str, float]
    pages: dict[str, dict[str, Any]]
    sendings: set[Sending]
    rejections: int


def uninterrupted(environment: Mapping[str, str], records: Iterable[Keyed]) -> Uninterrupted:
    """Run `records`, in the order of the stream, with the settings of a worker's `environment`.

    One process stands for all shards: what a shard keeps, it keeps by shop and key group.
    """
    settings = _settings(environment)
    pipeline = build_pipeline(
        settings,
        Scorer(detector_config(settings)),
        Duplicates(settings.duplicates_remembered_min),
    )
    taken = 0
    rejections = 0
    documents: dict[str, bytes] = {}
    scores: dict[str, float] = {}
    pages: dict[str, dict[str, Any]] = {}
    sendings: set[Sending] = set()
    stream = (
        Record(Position("shardId-0", str(number)), data, shop)
        for number, (shop, data) in enumerate(records, 1)
    )
    for cut in batches(pipeline, stream):
        taken += cut.batch.records
        rejections += len(cut.batch.rejections)
        for scored in cut.batch.scored:
            id_ = scored.transaction.transaction_id
            documents[id_] = fingerprint(_as_indexed(transaction_entry(scored).document))
            if scored.score is not None:
                scores[id_] = scored.score.value
        for page in cut.batch.pages:
            pages[page.page_id] = _as_indexed(page_entry(page).document)
            if is_sent(page):
                sendings.add((page.page_id, page.revision))
    return Uninterrupted(taken, documents, scores, pages, sendings, rejections)


def fingerprint(document: dict[str, Any]) -> bytes:
    """Equal for documents of one transaction that differ in where it lay on the stream alone."""
    same = {name: value for name, value in document.items() if name not in _DEPENDS_ON_THE_RUN}
    text = msgspec.json.encode(same, order="deterministic")
    return blake2b(text, digest_size=_FINGERPRINT_BYTES).digest()


def _as_indexed(document: Any) -> dict[str, Any]:
    """`document` as it is read back from OpenSearch."""
    read: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(document))
    return read


def _settings(environment: Mapping[str, str]) -> Settings:
    given = {
        name: environment[f"TILLWATCH_{name.upper()}"]
        for name in Settings.model_fields
        if f"TILLWATCH_{name.upper()}" in environment
    }
    return Settings.model_validate(given)
