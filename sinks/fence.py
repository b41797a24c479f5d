"""The fence of a shard: a row that says whose snapshots count, and where they lie."""

from typing import Protocol

import msgspec

from sinks.sink import Stopped


class FencedOff(Stopped):
    """Another process has taken the shard since; what this one does must not count any more."""


class Held(msgspec.Struct, frozen=True):
    """What the fence of a shard says: its epoch, and the snapshot object of each position.

    A shard that nobody took yet has epoch 0 and no snapshots.
    """

    epoch: int = 0
    snapshots: dict[str, str] = {}


class Fence(Protocol):
    """One row per shard, changed in one place at a time (compare and set).

    Whoever takes a shard advances its epoch, which grows by one each time, and from then on writes
    under that number; what still runs under an older one is refused. This is the fencing token of
    Kleppmann, Designing Data-Intensive Applications (2017), chapter 8. KCL's lease fences
    checkpoints that advance; this fences what a checkpoint at the same position would let through.
    """

    def advance(self, shard_id: str) -> Held:
        """Take the shard: a new epoch, and what the ones before left."""
        ...

    def note(self, shard_id: str, held: Held) -> None:
        """Set what the shard's row says.

        Raises:
            FencedOff: the row's epoch is not `held.epoch` any more.
        """
        ...

    def look(self, shard_id: str) -> Held:
        """What the row says now; takes nothing."""
        ...
