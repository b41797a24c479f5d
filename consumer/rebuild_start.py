"""What a rebuild begins from: the newest snapshot that is still good, or what parents left."""

from collections.abc import Iterator, Sequence

import msgspec

from consumer.handover import take_over
from consumer.lineage import Lineage
from consumer.rotation import SLICES_MAX
from consumer.snapshot import SHARD_END, Snapshot, SnapshotError, State, decode, merged
from consumer.snapshot_history import SnapshotHistory
from consumer.snapshots import Snapshots
from events.position import Position
from sinks.fence import Held
from sinks.object_store import ObjectStore


class Start(msgspec.Struct, frozen=True):
    """State to go on from, and the Position that it is equal to; None is the shard's beginning."""

    state: State
    position: Position | None
    words: str
    """Where it comes from, for a person."""
    whole: bool = True
    """Whether nothing that came before is known to be missing in it."""


class Candidate(msgspec.Struct, frozen=True):
    """One object that may be read: its key, and what the name says."""

    key: str
    position: Position
    number: int


class Starts:
    """Finds what there is to begin from, for one shard; reads alone."""

    def __init__(
        self, store: ObjectStore, snapshots: Snapshots, lineage: Lineage, key_groups: int
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._lineage = lineage
        self._key_groups = key_groups

    def left(self, shard_id: str, held: Held, position: str) -> Snapshot | None:
        """The object of `position` itself, where that can be read, whatever is wrong besides.

        Its hours, pages and rejects are whole in it: they need no other object.
        """
        key = held.snapshots.get(position)
        try:
            found = decode(key, self._store.get(key)) if key else None
        except (KeyError, SnapshotError):
            return None
        good = found is not None and (found.shard_id, found.position) == (shard_id, position)
        return found if good else None

    def snapshots(self, shard_id: str, until: Position | None) -> Iterator[Start]:
        """What can be gone on from, newest first: every snapshot up to `until` that is whole.

        Its scores must have been looked at, so that a program which computes otherwise goes on
        from none of them.
        """
        readable: dict[str, Snapshot] = {}
        for key in self._store.keys(self._snapshots.prefix):
            try:
                readable[key] = decode(key, self._store.get(key))
            except (KeyError, SnapshotError):
                continue
            # The bytes of all at once would be several times the state.
            readable[key].written = State()
        for candidate in _newest_first(shard_id, readable, until):
            if not all(key in readable for key in _needed(candidate.key, readable)):
                continue
            named = Held(1, {candidate.position.slug: candidate.key})
            try:
                members = self._snapshots.members(shard_id, named, candidate.position.slug)
            except SnapshotError:
                continue
            if any(member.golden for member in members):
                at = candidate.position
                yield Start(merged(members), at, f"the snapshot of {at.slug}, which is good")
        yield from self.history(shard_id, until)

    def history(self, shard_id: str, until: Position | None) -> Iterator[Start]:
        """The part of `snapshots` that is kept for replays, newest first."""
        history = SnapshotHistory(self._store, self._snapshots.application, shard_id)
        for one in history.generations():
            if not one.whole or (until is not None and one.position.order > until.order):
                continue
            try:
                members = [self._snapshots.read(key, shard_id) for key in one.keys]
            except SnapshotError:
                continue
            at = one.position
            if members[-1].position == at.slug and any(member.golden for member in members):
                yield Start(merged(members), at, f"the snapshot of {at.slug} out of the history")

    def parents(self, shard_id: str) -> Start:
        """What a shard begins with that nobody took yet: what its parents left."""
        try:
            state, names = take_over(self._snapshots, self._lineage, shard_id, self._key_groups)
        except SnapshotError as error:
            return Start(
                State(), None, f"nothing, for its parents left nothing: {error}", whole=False
            )
        expected = sorted(self._lineage.of(shard_id).parents)
        words = f"what {' and '.join(names)} left" if names else "nothing"
        return Start(state, None, words, whole=list(names) == expected)


def _newest_first(
    shard_id: str, readable: dict[str, Snapshot], until: Position | None
) -> list[Candidate]:
    found = []
    for key, snapshot in readable.items():
        number = key.rpartition(".")[2]
        if snapshot.shard_id != shard_id or snapshot.position == SHARD_END:
            continue
        sequence, _, sub = snapshot.position.partition("-")
        position = Position(shard_id, sequence, int(sub))
        if until is None or position.order <= until.order:
            found.append(Candidate(key, position, int(number) if number.isdigit() else 0))
    return sorted(found, key=lambda one: (one.position.order, one.number), reverse=True)


def _needed(key: str, readable: dict[str, Snapshot]) -> Sequence[str]:
    """The objects that make up the snapshot under `key`, newest first."""
    last = readable[key]
    keys, slices = [key], last.slices.count
    for link in reversed(last.past):
        if slices >= SLICES_MAX:
            break
        keys.append(link.key)
        slices += link.slices
    return keys
