"""The snapshots of one shard in an object store: written in order, found by position."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec

from anomaly.state import StateError
from consumer.hours import HoursState
from consumer.lease import Lease
from consumer.rotation import SLICES_MAX, Slices
from consumer.snapshot import (
    RIVER_VERSION,
    SHARD_END,
    Link,
    Snapshot,
    State,
    decode,
    encode,
    merged,
    unusable,
)
from consumer.snapshot_history import SnapshotHistory
from events.instant import Instant
from events.key_group import key_group
from sinks.fence import Fence, Held
from sinks.object_store import ObjectStore

READS_MAX = 8
"""Objects of one snapshot that are read at a time."""
GOLDEN_EVERY = 16
"""Golden scores are worked out for one snapshot in so many, and carried by those behind it."""

Golden = Callable[[State], dict[str, float]]
"""Scores of a fixed refund by shop, from encoded state alone; the same bits whenever asked."""


class Restored(msgspec.Struct, frozen=True):
    """What a shard begins with: all state, and the slices that its last snapshot held."""

    state: State
    slices: Slices | None = None


class Snapshots:
    """Writes and finds the snapshots of `shard_id`; objects are never overwritten.

    Their names carry position, epoch and a number, and the fence's row says which of them is the
    snapshot of a position: so what a process writes that lost the shard is never found. The row
    names two, that of the last checkpoint and that of the next.
    """

    def __init__(
        self,
        store: ObjectStore,
        fence: Fence,
        application: str,
        shard_id: str,
        key_groups: int,
        golden: Golden,
        history: SnapshotHistory | None = None,
    ) -> None:
        self._history = history
        self._store = store
        self._fence = fence
        self._application = application
        self._shard_id = shard_id
        self._key_groups = key_groups
        self._golden = golden
        self._sample = State()
        self._scores: dict[str, float] = {}
        self._held = Held()
        self._written = 0
        self._links: tuple[Link, ...] = ()
        self._spent: list[str] = []
        self._checkpointed: dict[str, str] = {}
        self._swept = False

    @property
    def application(self) -> str:
        """Whose snapshots they are."""
        return self._application

    @property
    def prefix(self) -> str:
        """What the names of this shard's objects begin with."""
        return f"snapshots/{self._application}/{self._shard_id}/"

    def take(self, lease: Lease) -> None:
        """Take the shard from whoever had it; before anything is read or written.

        Behind this, no snapshot of another process can be noted (the epoch), and no checkpoint of
        another be taken (the lease was seen to be ours).

        Raises:
            FencedOff: another worker holds the lease.
        """
        # Asked first, so that a process which comes too late does not disturb the rightful one.
        lease.require(self._shard_id)
        self._held = self._fence.advance(self._shard_id)
        lease.require(self._shard_id)

    def load(self, position: str) -> Restored:
        """The state equal to `position`.

        Raises:
            SnapshotError: there is none, or one of its objects cannot be used.
        """
        members = self.members(self._shard_id, self._held, position)
        last = members[-1]
        key = self._held.snapshots[position]
        self._links = (*last.past, Link(key, last.slices.count))
        self._checkpointed = {position: key}
        return Restored(merged(members), last.slices)

    def final(self, shard_id: str) -> State | None:
        """The state at the end of another shard; None for one that nobody ever took.

        Raises:
            SnapshotError: the shard has not ended, its row is gone, or its snapshot cannot be used.
        """
        held = self._fence.look(shard_id)
        if held == Held():
            if self._store.keys(f"snapshots/{self._application}/{shard_id}/"):
                raise unusable(
                    f"of {shard_id} at {SHARD_END}",
                    "the shard has no row in the ledger's table, though it has snapshots: the "
                    "table was emptied or made anew",
                )
            return None
        return merged(self.members(shard_id, held, SHARD_END))

    def members(self, shard_id: str, held: Held, position: str) -> list[Snapshot]:
        """The objects that make up the snapshot of `position`, oldest first."""
        key = held.snapshots.get(position)
        if key is None:
            raise unusable(
                f"of {shard_id} at {position}",
                "the shard's row in the ledger's table does not name it, though the checkpoint "
                f"says that it must; it names {', '.join(held.snapshots) or 'none'}",
            )
        last = self.read(key, shard_id, position)
        needed = _rounds((*last.past, Link(key, last.slices.count)), 1)[:-1]
        with ThreadPoolExecutor(READS_MAX, thread_name_prefix="restore") as threads:
            return [*threads.map(lambda link: self.read(link.key, shard_id), needed), last]

    def write(self, position: str, written: State, slices: Slices, model_version: str) -> int:
        """Make the snapshot of `position` durable and known; the bytes written.

        `written` is what changed since the last write, and of the slices everything.

        Raises:
            FencedOff: another process has taken the shard; nothing of this one counts any more.
        """
        held = self._held
        key = f"{self.prefix}{position}.{held.epoch}.{self._written}"
        if self._written % GOLDEN_EVERY == 0 or not self._scores:
            self._renew_golden(written)
        snapshot = Snapshot(
            application=self._application,
            shard_id=self._shard_id,
            position=position,
            key_groups=self._key_groups,
            model_version=model_version,
            river_version=RIVER_VERSION,
            slices=slices,
            past=self._links,
            written=written,
            sample=self._sample,
            golden=self._scores,
        )
        data = encode(snapshot)
        self._store.put(key, data)
        self._held = Held(held.epoch, {**self._checkpointed, position: key})
        self._fence.note(self._shard_id, self._held)
        self._written += 1
        links = (*self._links, Link(key, slices.count))
        self._links = _rounds(links, 2)
        self._spent += [link.key for link in links[: len(links) - len(self._links)]]
        return len(data)

    def checkpointed(self, position: str, arrived_at: Instant | None = None) -> None:
        """Note that KCL took the checkpoint of the last write, and delete what nothing needs.

        Two rounds are kept: every snapshot of the last one could be restored. The first time,
        everything is deleted that those before left over; by then this process is known to have
        held the shard, for the checkpoint was taken. It may have lost it since: what has a later
        epoch is its successors', and stays. `arrived_at` is when the last record did: where it is
        time, the snapshot goes into the history.
        """
        self._checkpointed = {position: self._held.snapshots[position]}
        if self._history and arrived_at is not None and position != SHARD_END:
            members = _rounds(self._links, 1)
            self._history.keep(position, [link.key for link in members], arrived_at)
        if not self._swept:
            kept = {link.key for link in self._links}
            found = [key for key in self._store.keys(self.prefix) if key not in kept]
            self._spent = [key for key in found if _epoch(key) <= self._held.epoch]
            self._swept = True
        for key in self._spent:
            self._store.delete(key)
        self._spent = []

    def read(self, key: str, shard_id: str, position: str | None = None) -> Snapshot:
        """The object under `key`, of `shard_id`, and of `position` where that is given.

        Raises:
            SnapshotError: it cannot be used.
        """
        try:
            data = self._store.get(key)
        except KeyError:
            raise unusable(key, "it is not there, though the checkpoint says it must be") from None
        found = decode(key, data)
        if (found.application, found.shard_id) != (self._application, shard_id):
            raise unusable(key, f"it is that of {found.application}, {found.shard_id}")
        if position not in {None, found.position}:
            raise unusable(key, f"it is that of {found.position} and not of {position}")
        if found.key_groups != self._key_groups:
            raise unusable(
                key,
                f"it was made with {found.key_groups} key groups and TILLWATCH_KEY_GROUPS is "
                f"{self._key_groups}; the number is fixed per application",
            )
        self._check_golden(key, found)
        return found

    def _renew_golden(self, written: State) -> None:
        """Scores of this very state, with the bytes that give them: a sample of a few shops."""
        self._scores = self._golden(written)
        asked = {key_group(shop_id, self._key_groups) for shop_id in self._scores}
        self._sample = State(
            shops={shop_id: written.shops[shop_id] for shop_id in self._scores},
            groups={number: written.groups[number] for number in asked & written.groups.keys()},
            hours=HoursState(watermark=written.hours.watermark),
        )

    def _check_golden(self, key: str, found: Snapshot) -> None:
        if not found.golden:
            return
        try:
            now = self._golden(found.sample)
        except StateError as error:
            raise unusable(key, str(error)) from error
        for shop, score in found.golden.items():
            if now.get(shop) != score:
                raise unusable(
                    key,
                    f"its golden scores differ: {shop} scored {score!r} with river "
                    f"{found.river_version} and {found.model_version}, and scores "
                    f"{now.get(shop)!r} with river {RIVER_VERSION} and this program, so that pages "
                    "would not be the same again",
                )


def _epoch(key: str) -> int:
    """Of the process that wrote the object, as `Snapshots.write` names it; 0 for another name."""
    _, _, named = key.rpartition("/")
    epoch = named.split(".")[-2:-1]
    return int(epoch[0]) if epoch and epoch[0].isdigit() else 0


def _rounds(links: tuple[Link, ...], rounds: int) -> tuple[Link, ...]:
    """The fewest of the last links that hold so many rounds of slices, or all."""
    slices = 0
    for index in range(len(links) - 1, -1, -1):
        slices += links[index].slices
        if slices >= rounds * SLICES_MAX:
            return links[index:]
    return links
