"""What a shadow has in place of a live worker's services: its pages' folder, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from anomaly.detector import DetectorConfig
from consumer.golden import GoldenScores
from consumer.hours import HoursState
from consumer.lineage import HashRange, Lineage
from consumer.pipeline import Pipeline
from consumer.rebuild_start import Starts
from consumer.shadow_begin import Beginning, begin, watch
from consumer.snapshots import Snapshots
from events.page import Page
from events.position import Position
from sinks.dynamodb_fence import DynamoFence
from sinks.object_store import ObjectStore
from sinks.parquet import ClosedHour
from sinks.shadow_notes import folder_of
from sinks.shadow_pages import ShadowPages

if TYPE_CHECKING:
    from consumer.settings import Settings
    from consumer.shard_records import ShardRecords


class Nowhere:
    """Stands where a live worker has its hours and its topic; keeps nothing."""

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
        kinesis: Any,
        stop: threading.Event,
    ) -> None:
        self._application = settings.application
        self.pages = ShadowPages(store, folder_of(self._application, name))
        self._key_groups = settings.key_groups
        self._fence = DynamoFence(dynamodb, settings.ledger_table, self._application, stop)
        self._store = snapshot_store
        self._lineage = lineage
        self._kinesis = kinesis
        self._stream = settings.stream
        self._stop = stop

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
        return begin(shard_id, own, starts, self.pages.notes, config)

    def watch(
        self,
        shard_id: str,
        config: DetectorConfig,
        checkpoint: Position | None,
        known: Position | None,
        hours: HoursState,
        pipeline: Pipeline,
    ) -> None:
        """See shadow_begin.watch; the state is equal to `checkpoint`, else to `known`.

        Behind a checkpoint no record up to there is delivered again, which would show that the
        stream goes on from it: so the stream is asked whether it has the last.
        """

        def joined() -> bool:
            return pipeline.met_known if checkpoint is None else there

        there = checkpoint is not None and self._goes_on(shard_id, checkpoint)
        watch(self.pages, shard_id, config, checkpoint or known, hours.watermark, joined)

    def _goes_on(self, shard_id: str, checkpoint: Position) -> bool:
        """Whether the stream goes on from `checkpoint`, or the live worker has no more either."""
        if checkpoint.slug in self._fence.look(shard_id).snapshots:
            return True
        from consumer.shard_records import ShardRecords

        records = ShardRecords(self._kinesis, self._stream, self._stop)
        return still_has(records, checkpoint)


def still_has(records: ShardRecords, position: Position) -> bool:
    """Whether the stream still has the record of `position`."""
    from consumer.shard_records import Since

    since = Since(position.sequence_number)
    try:
        return any(True for _ in records.read(position.shard_id, HashRange(), since, position))
    except ClientError as error:
        if error.response["Error"]["Code"] not in _FORGOTTEN:
            raise
        return False


_FORGOTTEN = frozenset({"InvalidArgumentException", "ResourceNotFoundException"})
"""What Kinesis says of a record, or of a shard that has ended, that it does not know any more."""
