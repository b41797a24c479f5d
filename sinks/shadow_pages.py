"""The pages of a shadow: rows of the bucket, under a folder of its own, and nobody is told."""

from collections.abc import Sequence
from functools import partial

import msgspec

from events.batch import Batch
from events.instant import Instant
from sinks.object_store import ObjectStore
from sinks.page_rows import page_files
from sinks.prepared import Prepared
from sinks.sink import Written

SHADOWS = "shadow/"


def folder_of(name: str) -> str:
    """Where everything lies that the shadow `name` tells; a lake of its own."""
    return f"{SHADOWS}{name}/"


class Begun(msgspec.Struct, frozen=True):
    """Where a shadow began with a shard.

    `position` is the slug of what its state is equal to, None where it began with nothing; `at` is
    the event time from which on it has seen all, None as long as it has seen no transaction.
    """

    position: str | None = None
    at: Instant | None = None


class Beginnings:
    """The notes of where a shadow began, by shard, and with which configuration.

    Where it began is settled before its first checkpoint, and stays.
    """

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._folder = f"{folder_of(name)}begun/"
        self._configs = f"{folder_of(name)}detector/"

    def find(self, shard_id: str) -> Begun | None:
        """What is noted of `shard_id`."""
        try:
            return msgspec.json.decode(self._store.get(self._key(shard_id)), type=Begun)
        except KeyError:
            return None

    def every(self) -> list[Begun]:
        """All notes; shards that came out of a split or merge have none."""
        keys = self._store.keys(self._folder)
        return [msgspec.json.decode(self._store.get(key), type=Begun) for key in keys]

    def note(self, shard_id: str, begun: Begun) -> None:
        """Make the note durable."""
        self._store.put(self._key(shard_id), msgspec.json.encode(begun))

    def note_config(self, version: str, config: bytes) -> None:
        """Make it durable what a model version stands for; `config` is JSON."""
        self._store.put(f"{self._configs}{version}.json", config)

    def configs(self) -> dict[str, str]:
        """The configurations that the shadow ever ran with, as JSON, by model version."""
        return {
            key.removeprefix(self._configs).removesuffix(".json"): self._store.get(key).decode()
            for key in self._store.keys(self._configs)
        }

    def _key(self, shard_id: str) -> str:
        return f"{self._folder}{shard_id}.json"


class ShadowPages:
    """Puts the pages of every batch below `folder_of(name)` in `store`, as the lake has them.

    It takes nothing else and refuses nothing. The same records give the same states of pages, which
    are known by page and revision: written again, or cut otherwise, they count once.
    """

    name = "shadow"

    def __init__(self, store: ObjectStore, name: str) -> None:
        self._store = store
        self._folder = folder_of(name)
        self.beginnings = Beginnings(store, name)
        self.begins_with_nothing = False
        """Whether the next transaction that is written is the first that the shadow ever saw."""

    def write(self, batch: Batch) -> Written:
        """Make the pages of `batch` durable; see Sink."""
        return self.prepare(batch).write()

    def prepare(self, batch: Batch) -> Prepared:
        """The pages of `batch` as files; see Builder."""
        seen = next((item.transaction.occurred_at for item in batch.scored), None)
        return Prepared(partial(self._put, batch.last.shard_id, list(page_files(batch)), seen))

    def close(self) -> None:
        """Nothing to let go of: the store belongs to who made it."""

    def _put(
        self, shard_id: str, files: Sequence[tuple[str, bytes]], seen: Instant | None
    ) -> Written:
        if self.begins_with_nothing and seen is not None:
            self.beginnings.note(shard_id, Begun(at=seen))
            self.begins_with_nothing = False
        for key, body in files:
            self._store.put(self._folder + key, body)
        return Written()
