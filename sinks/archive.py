"""The raw archive: every record as it came, whatever became of it, compressed and sealed."""

from collections.abc import Sequence
from functools import partial

from events.batch import Batch
from sinks.archive_object import Contents, by_hour, encode
from sinks.archive_seal import Keys
from sinks.object_store import ObjectStore
from sinks.prepared import Prepared
from sinks.sink import Written


class ArchiveSink:
    """Puts the records of every batch into `store`, an object for each hour that they arrived in.

    It takes `Batch.raw`, so rejected and repeated records too, and refuses none. Written again a
    batch gives the same bytes under the same keys. After a restart batches may be cut elsewhere,
    and objects then hold some records twice: a Position says which, and readers count it once. So
    it does no harm either when a worker that lost its shard still writes: it is the same truth.
    """

    name = "archive"

    def __init__(self, store: ObjectStore, stream: str, keys: Keys) -> None:
        self._store = store
        self._stream = stream
        self._keys = keys

    def write(self, batch: Batch) -> Written:
        """Archive the records of `batch`; see Sink."""
        return self.prepare(batch).write()

    def prepare(self, batch: Batch) -> Prepared:
        """The records of `batch` as objects; see Builder."""
        objects, after = [], batch.after
        for hour, records in by_hour(batch.raw):
            contents = Contents(self._stream, batch.last.shard_id, after, tuple(records))
            after = records[-1].position
            objects.append((contents.key(hour), encode(contents, self._keys)))
        return Prepared(partial(self._put, objects))

    def close(self) -> None:
        """Nothing to let go of: the store belongs to who made it."""

    def _put(self, objects: Sequence[tuple[str, bytes]]) -> Written:
        for key, body in objects:
            self._store.put(key, body)
        return Written()
