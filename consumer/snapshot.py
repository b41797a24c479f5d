"""Snapshots: the state of a shard at one Position, as bytes.

A snapshot holds what changed since the one before and some slices of the whole
(consumer/rotation.py), and names the objects before it, which together hold the rest; reading one
and those gives the state *equal* to the position, never "the latest"
(docs/decisions/0003-snapshot-equals-checkpoint.md).

On disk: the magic `TWSN`, a two-byte format version, a 16-byte BLAKE2b digest of the rest, and
zstd-compressed MessagePack. No pickle: a reader needs only the types below.
"""

from collections.abc import Sequence
from hashlib import blake2b
from importlib.metadata import version

import msgspec
import zstandard

from consumer.hours import HoursState
from consumer.reject_share import Stretch
from consumer.rotation import Slices, slice_of_group
from events.page import Page

FORMAT_VERSION = 2
MAGIC = b"TWSN"
SHARD_END = "SHARD_END"
RIVER_VERSION = version("river")
_DIGEST_BYTES = 16
_HEADER_BYTES = len(MAGIC) + 2 + _DIGEST_BYTES


class SnapshotError(Exception):
    """A snapshot cannot be used; the message says which, why, and the way out."""


class State(msgspec.Struct):
    """All of a shard's state, or a part: encoded per shop and key group, so that it can be split.

    `duplicates` are by key group what was remembered, in order; `pages` are those that people are
    still to be told of, in order.
    """

    shops: dict[str, bytes] = {}
    groups: dict[int, bytes] = {}
    duplicates: dict[int, list[bytes]] = {}
    hours: HoursState = msgspec.field(default_factory=HoursState)
    pages: list[Page] = []
    rejects: tuple[Stretch, ...] = ()


class Link(msgspec.Struct, frozen=True, array_like=True):
    """One object of a shard's past, and how many slices it holds."""

    key: str
    slices: int


class Snapshot(msgspec.Struct):
    """One object.

    `past` are the objects before it, oldest first, for two rounds of slices: enough of them to
    make up the whole, and a generation more. Of `written.duplicates`, the groups that lie in
    `slices` are all that was remembered, the others what was added. `golden` are scores of a fixed
    refund by shop, as `sample` alone gives them: a few shops' state of this snapshot or one shortly
    before.
    """

    application: str
    shard_id: str
    position: str
    key_groups: int
    model_version: str
    river_version: str
    slices: Slices
    past: tuple[Link, ...]
    written: State
    sample: State = msgspec.field(default_factory=State)
    golden: dict[str, float] = {}


_decoder = msgspec.msgpack.Decoder(Snapshot)


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
        raise unusable(key, "it is not a snapshot, or only the beginning of one")
    found = int.from_bytes(data[len(MAGIC) : len(MAGIC) + 2], "big")
    if found != FORMAT_VERSION:
        raise unusable(
            key, f"it has format version {found}, and this program reads {FORMAT_VERSION}"
        )
    body = data[_HEADER_BYTES:]
    if (
        blake2b(body, digest_size=_DIGEST_BYTES).digest()
        != data[_HEADER_BYTES - _DIGEST_BYTES : _HEADER_BYTES]
    ):
        raise unusable(key, "its checksum does not match: it is torn or was changed")
    try:
        return _decoder.decode(zstandard.ZstdDecompressor().decompress(body))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise unusable(key, f"it does not hold what a snapshot holds: {error}") from error


def merged(members: Sequence[Snapshot]) -> State:
    """The state that `members`, oldest first, make up at the last one's position."""
    state = State()
    for member in members:
        written = member.written
        state.shops.update(written.shops)
        state.groups.update(written.groups)
        for group, encoded in written.duplicates.items():
            if slice_of_group(group) in member.slices:
                state.duplicates[group] = list(encoded)
            else:
                state.duplicates.setdefault(group, []).extend(encoded)
        state.hours, state.pages = written.hours, written.pages
        state.rejects = written.rejects
    return state


def unusable(key: str, why: str) -> SnapshotError:
    """The error that says which snapshot, why, and what to do."""
    return SnapshotError(
        f"the snapshot {key} cannot be used: {why}. Nothing was changed. The way out: restore that "
        "object from the bucket's versions, or make the state anew from the stream with "
        "`tillwatch rebuild` (docs/operations.md, 'A snapshot is refused')"
    )
