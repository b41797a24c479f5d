"""What a replay reads from. Nothing in here can write to a service."""

import threading
import time
from typing import Any

from consumer.archive_records import ArchivedRecords
from consumer.candidate import detector_config
from consumer.child import build_pipeline
from consumer.duplicates import Duplicates
from consumer.golden import GoldenScores
from consumer.lineage import Ancestry, HashRange, KinesisLineage
from consumer.pipeline import Pipeline
from consumer.rebuild_start import Starts
from consumer.replay_reading import Reading
from consumer.replaying import Replaying
from consumer.scorer import Scorer
from consumer.services import aws_client
from consumer.settings import Settings
from consumer.shard_records import ShardRecords
from consumer.snapshot import State
from consumer.snapshots import Snapshots
from events.instant import DAY, Instant
from sinks.directory import DirectoryObjectStore
from sinks.dynamodb_fence import DynamoFence
from sinks.object_store import ObjectStore
from sinks.s3 import S3ObjectStore

_READS = ("Get", "List", "Describe", "Scan", "Query", "Head")
_UNKNOWN = "a parent that Kinesis has forgotten"


class WriteRefused(Exception):  # noqa: N818 -- says what happened
    """Something would have written to a service where nothing may."""


class ReadOnlyStore:
    """An ObjectStore that gives what lies in `store`, and takes nothing."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, key: str, body: bytes) -> None:  # noqa: ARG002 -- ObjectStore's signature
        """Refused."""
        raise WriteRefused(f"{key} would have been written")

    def get(self, key: str) -> bytes:
        """The object under `key`; KeyError where there is none."""
        return self._store.get(key)

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, sorted."""
        return self._store.keys(prefix)

    def delete(self, key: str) -> None:
        """Refused."""
        raise WriteRefused(f"{key} would have been deleted")


def reading_client(settings: Settings, service: str) -> Any:
    """A boto3 client whose every call that is none of reading is refused before it is sent."""
    client = aws_client(settings, service)
    client.meta.events.register("before-call", _refuse_writes)
    return client


def _refuse_writes(model: Any, **_: Any) -> None:
    if not model.name.startswith(_READS):
        raise WriteRefused(f"{model.name} would have been called")


class ReplayServices:
    """The services of a worker with these settings, as a replay may use them.

    Args:
        settings: the worker's.
        stop: ends every wait.
        archive: whether to read the archive, where there is a key for it.
        stream: whether to read the stream.
    """

    def __init__(
        self, settings: Settings, stop: threading.Event, *, archive: bool, stream: bool
    ) -> None:
        # Records that go nowhere are not kept.
        self._settings = settings.model_copy(update={"archive_key": None})
        store = ReadOnlyStore(S3ObjectStore(reading_client(settings, "s3"), settings.bucket, stop))
        folder = settings.snapshot_directory
        self._snapshot_store = ReadOnlyStore(DirectoryObjectStore(folder)) if folder else store
        self._fence = DynamoFence(
            reading_client(settings, "dynamodb"), settings.ledger_table, settings.application, stop
        )
        kinesis = reading_client(settings, "kinesis")
        self._lineage = KinesisLineage(kinesis, settings.stream, stop)
        self._listed: dict[str, Ancestry] | None = None
        keys = settings.archive_keys if archive else None
        kept = settings.retention_days * DAY
        self.archive = ArchivedRecords(store, settings.stream, keys, kept=kept) if keys else None
        self.stream = ShardRecords(kinesis, settings.stream, stop) if stream else None
        self._config = detector_config(settings)
        self.model_version = self._config.model_version()

    def of(self, shard_id: str) -> Ancestry:
        """A Lineage that does not wait for shards which Kinesis has forgotten."""
        if self._listed is None:
            self._listed = self._lineage.every()
        known = self._listed.get(shard_id)
        return known or Ancestry(HashRange(), {_UNKNOWN: None})

    def shards(self, begin: Instant, end: Instant) -> list[str]:
        """The shards that may have records which arrived then."""
        return sorted(self._shards(begin, min(end, now())))

    def _shards(self, begin: Instant, end: Instant) -> set[str]:
        found = self.archive.shards(begin, end) if self.archive else set()
        if self.stream is not None:
            self.of("")
            found |= set(self._listed or {})
        return found

    def replaying(self, shard_id: str, warm_up: Instant) -> Replaying:
        """The replay of one shard."""
        own = self.of(shard_id).own
        # Kinesis forgets a shard some time after it has ended; the archive does not.
        stream = self.stream if shard_id in (self._listed or {}) else None
        reading = Reading(shard_id, own, self.archive, stream, now(), warm_up)
        groups = self._settings.key_groups
        snapshots = Snapshots(
            self._snapshot_store,
            self._fence,
            self._settings.application,
            shard_id,
            groups,
            GoldenScores(groups),
        )
        starts = Starts(self._snapshot_store, snapshots, self, groups)
        return Replaying(shard_id, starts, reading, self._pipeline)

    def _pipeline(self, state: State) -> Pipeline:
        settings = self._settings
        duplicates = Duplicates(settings.duplicates_remembered_min)
        duplicates.restore(state.duplicates)
        scorer = Scorer(self._config, state.shops, state.groups)
        return build_pipeline(settings, scorer, duplicates, watermark=state.hours.watermark)


def now() -> Instant:
    """The time now, which says up to when the archive can have anything."""
    return time.time_ns() // 1_000
