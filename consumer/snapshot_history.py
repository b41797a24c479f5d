"""Snapshots of the past: one whole state every few hours, for replays of what lies days back.

What a restart needs is gone after two rounds (consumer/snapshots.py). So once in every period the
objects that make up the snapshot of a checkpoint are copied, whole, to a place where nothing but
age deletes them: `history/<application>/<shard>/date=…/hour=…/<position>/<number>-of-<count>`, by
the arrival of the checkpoint's last record. A copy is of bytes that never change; so it does no
harm whoever makes it, and however often.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import msgspec
from botocore.exceptions import ClientError

from events.instant import HOUR, Instant, floor_hour, from_datetime, to_datetime
from events.position import Position
from sinks.object_store import ObjectStore

_log = logging.getLogger(__name__)

COPIES_MAX = 8
"""Objects that are copied at a time."""


class Generation(msgspec.Struct, frozen=True):
    """The objects of one whole snapshot, oldest first; a crash may have left some out."""

    position: Position
    hour: Instant
    keys: tuple[str, ...]
    whole: bool


class SnapshotHistory:
    """The past snapshots of one shard.

    Args:
        store: where they lie.
        application: whose.
        shard_id: which shard.
        period: time between two of them; 0 keeps none.
        kept: how long each is kept.
    """

    def __init__(
        self,
        store: ObjectStore,
        application: str,
        shard_id: str,
        *,
        period: Instant = 0,
        kept: Instant = 0,
    ) -> None:
        self._store = store
        self._shard_id = shard_id
        self._prefix = f"history/{application}/{shard_id}/"
        self._period = period
        self._kept = kept
        self._last: int | None = None

    def generations(self) -> list[Generation]:
        """All that there are, the newest first."""
        folders: dict[str, list[str]] = {}
        for key in self._store.keys(self._prefix):
            folders.setdefault(key.rpartition("/")[0], []).append(key)
        found = (self._generation(folder, keys) for folder, keys in folders.items())
        return sorted(
            (one for one in found if one is not None),
            key=lambda one: one.position.order,
            reverse=True,
        )

    def keep(self, position: str, keys: Sequence[str], arrived_at: Instant) -> bool:
        """Copy `keys`, which make up the snapshot of `position`, where one is due; whether it was.

        Deletes what is older than it has to be kept.
        """
        if not self._period:
            return False
        due = arrived_at // self._period
        if self._last is None:
            whole = (one.hour // self._period for one in self.generations() if one.whole)
            self._last = max(whole, default=-1)
        if due <= self._last:
            return False
        start = to_datetime(floor_hour(arrived_at))
        folder = f"{self._prefix}date={start.date().isoformat()}/hour={start:%H}/{position}/"
        names = [f"{folder}{n:02}-of-{len(keys):02}" for n in range(1, len(keys) + 1)]
        try:
            with ThreadPoolExecutor(COPIES_MAX, thread_name_prefix="history") as threads:
                list(threads.map(self._copy, keys, names))
        except KeyError:
            return False  # a successor has deleted one: it keeps its own
        except ClientError as error:
            # Replays go without it; the shard goes on, and tries again in the next period.
            _log.error("no snapshot is kept for replays at %s: %s", position, error)
            self._last = due
            return False
        self._last = due
        for old in self.generations():
            if old.hour + HOUR + self._kept < arrived_at:
                for key in old.keys:
                    self._store.delete(key)
        return True

    def _copy(self, key: str, name: str) -> None:
        self._store.put(name, self._store.get(key))

    def _generation(self, folder: str, keys: Sequence[str]) -> Generation | None:
        date, _, rest = folder.removeprefix(f"{self._prefix}date=").partition("/hour=")
        hour, _, slug = rest.partition("/")
        sequence, _, sub = slug.partition("-")
        if not all(number.isdigit() for number in (hour, sequence, sub)):
            return None
        try:
            day = from_datetime(datetime.fromisoformat(date).replace(tzinfo=UTC))
        except ValueError:
            return None
        expected = {f"{n:02}-of-{len(keys):02}" for n in range(1, len(keys) + 1)}
        whole = {key.rpartition("/")[2] for key in keys} == expected
        position = Position(self._shard_id, sequence, int(sub))
        return Generation(position, day + int(hour) * HOUR, tuple(sorted(keys)), whole)
