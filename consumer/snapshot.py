"""Snapshots: all state of a shard at one Position, durable under a name that carries it.

A snapshot is a base (everything) or a delta (what changed since the one before), and names the
objects that it builds on, oldest first; reading one and its chain gives the state *equal* to the
position, never "the latest" (docs/decisions/0003-snapshot-equals-checkpoint.md).

On disk: the magic `TWSN`, a two-byte format version, a 16-byte BLAKE2b digest of the rest, and
zstd-compressed MessagePack. No pickle: a reader needs only the types below.
"""

from hashlib import blake2b
from importlib.metadata import version

import msgspec
import zstandard

from consumer.hours import HoursState
from sinks.object_store import ObjectStore

FORMAT_VERSION = 1
MAGIC = b"TWSN"
DELTAS_MAX = 16
"""A base is renewed after so many deltas, or when they outweigh it twice."""
SHARD_END = "SHARD_END"
_DIGEST_BYTES = 16
_HEADER_BYTES = len(MAGIC) + 2 + _DIGEST_BYTES


class SnapshotError(Exception):
    """A snapshot cannot be used; the message says which, why, and the way out."""


class State(msgspec.Struct):
    """What a snapshot holds: encoded per shop and key group, so that a shard can be split."""

    shops: dict[str, bytes] = {}
    groups: dict[int, bytes] = {}
    duplicates: list[dict[int, bytes]] = []
    """What was remembered, in order; one entry per base or delta."""
    hours: HoursState = msgspec.field(default_factory=HoursState)


class Snapshot(msgspec.Struct):
    """One object. `chain` are the keys it builds on, its base first; empty for a base.

    A base names in `older` the objects of the generation before it, for whoever collects them.
    """

    shard_id: str
    position: str
    key_groups: int
    model_version: str
    river_version: str
    chain: tuple[str, ...]
    state: State
    older: tuple[str, ...] = ()


_decoder = msgspec.msgpack.Decoder(Snapshot)
RIVER_VERSION = version("river")


def encode(snapshot: Snapshot) -> bytes:
    """The bytes of `snapshot`."""
    body = zstandard.ZstdCompressor(level=1).compress(msgspec.msgpack.encode(snapshot))
    digest = blake2b(body, digest_size=_DIGEST_BYTES).digest()
    return MAGIC + FORMAT_VERSION.to_bytes(2, "big") + digest + body


def decode(key: str, data: bytes) -> Snapshot:
    """The snapshot that `data`, read from `key`, holds.

    Raises:
        SnapshotError: torn, truncated, not a snapshot, or of a version this program cannot read.
    """
    if len(data) < _HEADER_BYTES or data[: len(MAGIC)] != MAGIC:
        raise _unusable(key, "it is not a snapshot, or only the beginning of one")
    found = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 2], "big")
    if found != FORMAT_VERSION:
        raise _unusable(
            key, f"it has format version {found}, and this program reads {FORMAT_VERSION}"
        )
    body = data[_HEADER_BYTES:]
    if (
        blake2b(body, digest_size=_DIGEST_BYTES).digest()
        != data[_HEADER_BYTES - 16 : _HEADER_BYTES]
    ):
        raise _unusable(key, "its checksum does not match: it is torn or was changed")
    try:
        return _decoder.decode(zstandard.ZstdDecompressor().decompress(body))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise _unusable(key, f"it does not hold what a snapshot holds: {error}") from error


def _unusable(key: str, why: str) -> SnapshotError:
    return SnapshotError(
        f"the snapshot {key} cannot be used: {why}. Nothing was changed. The way out: restore that "
        "object from the bucket's versions, or start a new application name from the beginning of "
        "the stream (docs/operations.md, 'A snapshot is refused')"
    )


class Snapshots:
    """The snapshots of one shard in an object store: write in order, load by position."""

    def __init__(self, store: ObjectStore, shard_id: str, key_groups: int) -> None:
        self._store = store
        self._shard_id = shard_id
        self._key_groups = key_groups
        self._prefix = f"snapshots/{shard_id}/"
        self._chain: tuple[str, ...] = ()
        self._base_bytes = 0
        self._delta_bytes = 0
        self._generations: list[tuple[str, ...]] = []

    def key(self, position: str) -> str:
        """The name that carries `position` (a Position's slug, or SHARD_END)."""
        return self._prefix + position

    @property
    def base_due(self) -> bool:
        """Whether the next snapshot should be a base, to keep what a restore reads bounded."""
        return (
            not self._chain
            or len(self._chain) > DELTAS_MAX
            or self._delta_bytes >= 2 * self._base_bytes
        )

    def write(self, position: str, state: State, model_version: str, *, base: bool) -> int:
        """Make the snapshot of `position` durable; the bytes written.

        `state` is everything for a base, and for a delta what changed since the last write.
        """
        key = self.key(position)
        generations = self._generations
        if base and self._chain:
            generations = [*generations, self._chain]
        snapshot = Snapshot(
            shard_id=self._shard_id,
            position=position,
            key_groups=self._key_groups,
            model_version=model_version,
            river_version=RIVER_VERSION,
            chain=() if base else self._chain,
            state=state,
            older=generations[-1] if base and generations else (),
        )
        data = encode(snapshot)
        self._store.put(key, data)
        self._generations = generations
        if base:
            self._chain, self._base_bytes, self._delta_bytes = (key,), len(data), 0
        else:
            self._chain += (key,)
            self._delta_bytes += len(data)
        return len(data)

    def collect(self) -> int:
        """Delete what is older than two generations; call after the checkpoint. How many."""
        spent = {key for generation in self._generations[:-1] for key in generation}
        self._generations = self._generations[-1:]
        # A base that only closes hours stands at the position, and so under the key, before it.
        spent -= {*self._chain, *(key for kept in self._generations for key in kept)}
        for key in sorted(spent):
            self._store.delete(key)
        return len(spent)

    def load(self, position: str) -> State:
        """The state equal to `position`.

        Raises:
            SnapshotError: there is none, or one of its chain cannot be used.
        """
        snapshot = self._read(self.key(position))
        if snapshot.key_groups != self._key_groups:
            raise _unusable(
                self.key(position),
                f"it was made with {snapshot.key_groups} key groups and TILLWATCH_KEY_GROUPS is "
                f"{self._key_groups}; the number is fixed per application",
            )
        members = [*map(self._read, snapshot.chain), snapshot]
        state = State()
        for member in members:
            _merge(state, member.state)
        # The next write renews the base: what was restored is one generation of its own.
        restored = (*snapshot.chain, self.key(position))
        self._generations = [kept for kept in (members[0].older, restored) if kept]
        return state

    def _read(self, key: str) -> Snapshot:
        try:
            data = self._store.get(key)
        except KeyError:
            raise _unusable(key, "it is not there, though the checkpoint says it must be") from None
        snapshot = decode(key, data)
        if (snapshot.shard_id, self.key(snapshot.position)) != (self._shard_id, key):
            raise _unusable(
                key, f"it is that of {snapshot.shard_id} at {snapshot.position}, under a wrong name"
            )
        return snapshot


def _merge(state: State, later: State) -> None:
    state.shops.update(later.shops)
    state.groups.update(later.groups)
    state.duplicates.extend(later.duplicates)
    state.hours = later.hours
