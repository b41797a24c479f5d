"""Objects, batches and fences kept in memory: for tests, and for runs without services."""

import threading
from hashlib import sha256
from typing import TYPE_CHECKING

from events.batch import Batch
from events.rejection import Rejection
from sinks.fence import FencedOff, Held
from sinks.sink import Stopped, Written

if TYPE_CHECKING:
    from events.page import Page
    from events.position import Position
    from events.transaction import Transaction


class MemoryObjectStore:
    """An ObjectStore in a dict; as large as what is put into it."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, key: str, body: bytes) -> None:
        """Write `body` under `key`, over whatever stood there."""
        with self._lock:
            self._objects[key] = bytes(body)

    def get(self, key: str) -> bytes:
        """The object under `key`.

        Raises:
            KeyError: there is none.
        """
        with self._lock:
            return self._objects[key]

    def keys(self, prefix: str) -> list[str]:
        """All keys that start with `prefix`, sorted."""
        with self._lock:
            return sorted(key for key in self._objects if key.startswith(prefix))

    def delete(self, key: str) -> None:
        """Remove `key`; no error where there is none."""
        with self._lock:
            self._objects.pop(key, None)

    def tagged(self, key: str) -> tuple[bytes, str] | None:
        """The object under `key` and the tag of this content; None where there is none."""
        with self._lock:
            body = self._objects.get(key)
        return None if body is None else (body, sha256(body).hexdigest())

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        """Write `body` if the object still has `tag`; see ConditionalStore."""
        with self._lock:
            held = self._objects.get(key)
            if held == body:
                return True
            if (None if held is None else sha256(held).hexdigest()) != tag:
                return False
            self._objects[key] = bytes(body)
            return True


class MemorySink:
    """A Sink that keeps what was written, each thing once, as large as what is written to it.

    Transactions are keyed by their id, pages by id and revision, rejections by position.
    `refused` names transaction ids that it gives back as rejections; while `available` is not set,
    a write waits, as a real service that is down makes it wait.
    """

    name = "memory"

    def __init__(self, stop: threading.Event, *, refused: frozenset[str] = frozenset()) -> None:
        self.transactions: dict[str, Transaction] = {}
        self.pages: dict[tuple[str, int], Page] = {}
        self.rejections: dict[Position, Rejection] = {}
        self.available = threading.Event()
        self.available.set()
        self._stop = stop
        self._refused = refused

    def write(self, batch: Batch) -> Written:
        """Keep everything of `batch`."""
        while not self.available.wait(0.01):
            if self._stop.is_set():
                raise Stopped("stopped while waiting for memory")
        refused = []
        for item in batch.scored:
            transaction = item.transaction
            if transaction.transaction_id in self._refused:
                refused.append(
                    Rejection(
                        position=item.position,
                        data=item.data,
                        stage=self.name,
                        reason="refused",
                        field=None,
                        detail="this sink was told to refuse it",
                        arrived_at=item.arrived_at,
                        shop_id=transaction.shop_id,
                    )
                )
            else:
                self.transactions[transaction.transaction_id] = transaction
        self.pages.update(((page.page_id, page.revision), page) for page in batch.pages)
        self.rejections.update((entry.position, entry) for entry in batch.rejections)
        return Written(rejections=tuple(refused))

    def close(self) -> None:
        """Nothing to let go of."""


class MemoryFence:
    """A Fence in a dict."""

    def __init__(self) -> None:
        self._rows: dict[str, Held] = {}
        self._lock = threading.Lock()

    def advance(self, shard_id: str) -> Held:
        """Take the shard: a new epoch, and what the ones before left."""
        with self._lock:
            before = self._rows.get(shard_id, Held())
            self._rows[shard_id] = taken = Held(before.epoch + 1, before.snapshots)
            return taken

    def note(self, shard_id: str, held: Held) -> None:
        """Set what the shard's row says; FencedOff where another has taken the shard."""
        with self._lock:
            if self._rows.get(shard_id, Held()).epoch != held.epoch:
                raise FencedOff(f"another process has taken {shard_id}")
            self._rows[shard_id] = held

    def look(self, shard_id: str) -> Held:
        """What the row says now."""
        with self._lock:
            return self._rows.get(shard_id, Held())
