"""What a shadow has in place of a live worker's services: its pages' folder, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from anomaly.detector import DetectorConfig
from consumer.golden import GoldenScores
from consumer.lineage import Lineage
from consumer.rebuild_start import Starts
from consumer.shadow_begin import Beginning, begin
from consumer.snapshots import Snapshots
from events.page import Page
from events.rejection import Rejection
from sinks.dynamodb_fence import DynamoFence
from sinks.object_store import ObjectStore
from sinks.parquet import ClosedHour
from sinks.shadow_pages import ShadowPages

if TYPE_CHECKING:
    from consumer.settings import Settings


class Nowhere:
    """Stands where a live worker has its dead letters, its hours and its topic; keeps nothing."""

    def write_rejections(self, rejections: Sequence[Rejection]) -> None:
        """The live worker's dead letters have them."""

    def publish_many(self, closed: Sequence[ClosedHour]) -> list[str]:
        """A shadow stages no rows, so there is no hour to publish."""
        return [hour.key for hour in closed]

    def discard(self, keys: Sequence[str]) -> None:
        """Nothing is staged."""

    def staged(self, shard_id: str) -> list[str]:  # noqa: ARG002 -- Lake's signature
        """Nothing is staged."""
        return []

    def send(self, page: Page) -> bool:  # noqa: ARG002 -- Pager's signature
        """Nobody is told; the page counts as done with."""
        return True


class ShadowServices:
    """The pages of a shadow, and the live worker's past that it begins on, which it only reads."""

    def __init__(
        self,
        settings: Settings,
        name: str,
        dynamodb: Any,
        store: ObjectStore,
        snapshot_store: ObjectStore,
        lineage: Lineage,
        stop: threading.Event,
    ) -> None:
        self.pages = ShadowPages(store, name)
        self._key_groups = settings.key_groups
        self._application = settings.application
        self._fence = DynamoFence(dynamodb, settings.ledger_table, self._application, stop)
        self._store = snapshot_store
        self._lineage = lineage

    def begin(self, shard_id: str, own: Snapshots, config: DetectorConfig) -> Beginning:
        """Where the shadow begins with a shard that it has neither a checkpoint nor parents of."""
        live = Snapshots(
            self._store,
            self._fence,
            self._application,
            shard_id,
            self._key_groups,
            GoldenScores(self._key_groups),
        )
        starts = Starts(self._store, live, self._lineage, self._key_groups)
        return begin(shard_id, own, starts, self.pages.beginnings, config)

    def watch(self, shard_id: str, config: DetectorConfig) -> None:
        """Note `config`, and the first transaction of a shard that none came of so far."""
        encoded = msgspec.json.encode(config)
        self.pages.beginnings.note_config(config.model_version(), encoded)
        noted = self.pages.beginnings.find(shard_id)
        self.pages.begins_with_nothing = noted is not None and noted.at is None
