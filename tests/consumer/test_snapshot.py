"""Snapshots: equal to their position, refused when they are not whole, few of them kept."""

from collections.abc import Callable
from hashlib import blake2b, shake_128

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from anomaly.state import StateError
from consumer.hours import HoursState, OpenHour
from consumer.rotation import SLICES_MAX, Rotation, Slices, Whole
from consumer.snapshot import (
    FORMAT_VERSION,
    MAGIC,
    SHARD_END,
    Link,
    Snapshot,
    SnapshotError,
    State,
    decode,
    encode,
)
from consumer.snapshots import GOLDEN_EVERY, Golden, Snapshots
from events.instant import HOUR
from sinks.fence import FencedOff, Held
from sinks.memory import MemoryFence, MemoryObjectStore
from sinks.parquet import ClosedHour

SHARD = "shardId-0"
APPLICATION = "tillwatch"
GROUPS = 4
PREFIX = f"snapshots/{APPLICATION}/{SHARD}/"
WHOLE = Slices(0, SLICES_MAX)


class Mine:
    """A lease that this worker holds, until it is lost."""

    def __init__(self) -> None:
        self.lost_after = 1_000_000

    def require(self, shard_id: str) -> None:
        self.lost_after -= 1
        if self.lost_after < 0:
            raise FencedOff(shard_id)


class Place:
    """Where a shard's snapshots lie, for one worker after the other."""

    def __init__(self) -> None:
        self.store = MemoryObjectStore()
        self.fence = MemoryFence()
        self.lease = Mine()

    def untaken(
        self, *, shard: str = SHARD, groups: int = GROUPS, golden: Golden = lambda _: {}
    ) -> Snapshots:
        return Snapshots(self.store, self.fence, APPLICATION, shard, groups, golden)

    def worker(
        self, *, shard: str = SHARD, groups: int = GROUPS, golden: Golden = lambda _: {}
    ) -> Snapshots:
        made = self.untaken(shard=shard, groups=groups, golden=golden)
        made.take(self.lease)
        return made

    def key(self, position: str, shard: str = SHARD) -> str:
        return self.fence.look(shard).snapshots[position]


def state(number: int, *, size: int = 0) -> State:
    """What changed at `number`."""
    return State(
        shops={f"shop-{number % 3}": b"%d" % number + shake_128().digest(size)},
        groups={number % 2: b"group %d" % number},
        duplicates={0: [b"ids %d" % number]},
        hours=HoursState(
            watermark=number * HOUR,
            open={HOUR: OpenHour(opened_at=0, pieces=[("staging/a", 1)], first="1-0", last="2-0")},
            to_publish=[ClosedHour(0, SHARD, "1-0", "2-0", (("staging/a", 0),))],
            staged={"staging/a": 2},
        ),
    )


def written(deltas: int) -> tuple[Place, str]:
    """A snapshot that holds everything and `deltas` on it, and the last position."""
    place = Place()
    made = place.worker()
    for number in range(deltas + 1):
        slices = WHOLE if number == 0 else Slices(number, 1)
        made.write(f"{number}-0", state(number), slices, "model-1")
        made.checkpointed(f"{number}-0")
    return place, f"{deltas}-0"


def keys_of(place: Place) -> list[str]:
    """Every object of the shard, in the order it was written."""
    return sorted(place.store.keys(PREFIX), key=lambda key: int(key.rpartition(".")[2]))


def refusal(place: Place, position: str, **more: int) -> str:
    before = {key: place.store.get(key) for key in place.store.keys("")}
    with pytest.raises(SnapshotError) as refused:
        place.worker(**more).load(position)  # type: ignore[arg-type]  # groups alone
    assert {key: place.store.get(key) for key in place.store.keys("")} == before
    said = str(refused.value)
    assert "Nothing was changed" in said
    assert "restore that object from the bucket's versions" in said
    assert "tillwatch rebuild" in said
    assert "docs/operations.md" in said
    return said


# -- what is refused ------------------------------------------------------------------------------


def torn(data: bytes) -> bytes:
    """As many bytes, of which the second half never arrived."""
    half = len(data) // 2
    return data[:half] + bytes(len(data) - half)


def of_version(number: int) -> Callable[[bytes], bytes]:
    return lambda data: data[: len(MAGIC)] + number.to_bytes(2, "big") + data[len(MAGIC) + 2 :]


def resealed(body: bytes) -> bytes:
    """A body that is none of a snapshot's, with a checksum that is right."""
    digest = blake2b(body, digest_size=16).digest()
    return MAGIC + FORMAT_VERSION.to_bytes(2, "big") + digest + body


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda _: b"", "only the beginning"),
    "truncated in its header": (lambda data: data[:20], "only the beginning"),
    "truncated": (lambda data: data[:-1], "checksum"),
    "torn": (torn, "checksum"),
    "one bit": (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "checksum"),
    "wrong checksum": (lambda data: data[:6] + bytes(16) + data[22:], "checksum"),
    "wrong magic": (lambda data: b"PAR1" + data[4:], "not a snapshot"),
    "later version": (of_version(FORMAT_VERSION + 1), f"format version {FORMAT_VERSION + 1}"),
    "version 0": (of_version(0), "format version 0"),
    "not compressed": (lambda _: resealed(b"no zstd"), "does not hold what a snapshot holds"),
    "another content": (
        lambda _: resealed(zstandard.compress(msgspec.msgpack.encode({"shard_id": 3}))),
        "does not hold what a snapshot holds",
    ),
}


@pytest.mark.parametrize("member", [0, 1, 2], ids=["whole", "delta", "last"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_member_is_refused_by_its_name(how: str, member: int) -> None:
    place, last = written(2)
    key = keys_of(place)[member]
    spoil, why = SPOILT[how]
    place.store.put(key, spoil(place.store.get(key)))
    said = refusal(place, last)
    assert key in said
    assert why in said


@pytest.mark.parametrize("member", [0, 1, 2], ids=["whole", "delta", "last"])
def test_a_missing_member_is_refused_by_its_name(member: int) -> None:
    place, last = written(2)
    key = keys_of(place)[member]
    place.store.delete(key)
    said = refusal(place, last)
    assert key in said
    assert "not there" in said


def test_the_newest_is_not_taken_for_the_one_that_is_asked_for() -> None:
    place, last = written(2)
    said = refusal(place, "7-0")
    assert f"{SHARD} at 7-0" in said
    assert f"it names 1-0, {last}" in said


def test_another_number_of_key_groups_is_refused() -> None:
    place, last = written(1)
    said = refusal(place, last, groups=GROUPS + 1)
    assert f"made with {GROUPS} key groups" in said
    assert f"TILLWATCH_KEY_GROUPS is {GROUPS + 1}" in said


def test_a_snapshot_under_a_wrong_name_is_refused() -> None:
    place, last = written(1)
    first, second = keys_of(place)
    place.store.put(second, place.store.get(first))
    assert f"it is that of 0-0 and not of {last}" in refusal(place, last)
    other = place.untaken(shard="shardId-1")
    place.fence.advance("shardId-1")
    place.fence.note("shardId-1", Held(1, {"0-0": first}))
    with pytest.raises(SnapshotError, match=f"it is that of {APPLICATION}, {SHARD}"):
        other.members("shardId-1", place.fence.look("shardId-1"), "0-0")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_snapshot_or_refused(data: bytes) -> None:
    for candidate in (data, MAGIC + data, resealed(data)):
        with pytest.raises(SnapshotError, match="a/key"):
            decode("a/key", candidate)


@pytest.mark.parametrize("number", [0, GOLDEN_EVERY], ids=["whole", "every so often"])
def test_scores_that_differ_are_refused(number: int) -> None:
    place = Place()
    made = place.worker(golden=lambda written: dict.fromkeys(written.shops, 0.25))
    for at in range(number + 1):
        made.write(f"{at}-0", state(at), Slices(0, 1) if at else WHOLE, "model-1")
    position = f"{number}-0"
    place.worker(golden=lambda written: dict.fromkeys(written.shops, 0.25)).load(position)
    with pytest.raises(
        SnapshotError, match=r"golden scores differ: shop-\d scored 0.25"
    ) as refused:
        place.worker(golden=lambda written: dict.fromkeys(written.shops, 0.26)).load(position)
    assert "scores 0.26" in str(refused.value)

    def unreadable(_: State) -> dict[str, float]:
        raise StateError("of another format")

    with pytest.raises(SnapshotError, match="of another format"):
        place.worker(golden=unreadable).load(position)


# -- whose it is ----------------------------------------------------------------------------------


def test_who_lost_the_shard_can_note_no_snapshot_and_overwrites_none() -> None:
    place = Place()
    zombie = place.worker()
    zombie.write("1-0", state(1), WHOLE, "model-1")
    successor = place.worker()
    successor.write("1-0", state(2), WHOLE, "model-1")
    with pytest.raises(FencedOff, match="another process has taken"):
        zombie.write("2-0", state(3), WHOLE, "model-1")
    with pytest.raises(FencedOff):
        zombie.write("1-0", state(4), WHOLE, "model-1")
    assert place.worker().load("1-0").state == state(2)


@pytest.mark.parametrize(("asked", "epoch"), [(0, 1), (1, 2)], ids=["before", "in between"])
def test_a_shard_is_not_taken_without_its_lease(asked: int, epoch: int) -> None:
    place, last = written(1)
    late = place.untaken()
    place.lease.lost_after = asked
    with pytest.raises(FencedOff):
        late.take(place.lease)
    assert place.fence.look(SHARD).epoch == epoch
    assert last in place.fence.look(SHARD).snapshots, "what counts is still named"


def test_a_snapshot_that_was_noted_and_never_checkpointed_is_not_what_is_restored() -> None:
    place = Place()
    made = place.worker()
    made.write("1-0", state(1), WHOLE, "model-1")
    made.checkpointed("1-0")
    made.write("2-0", state(2), WHOLE, "model-1")
    assert place.worker().load("1-0").state == state(1)


def test_the_end_of_a_shard_is_found_by_its_children() -> None:
    place = Place()
    assert place.untaken(shard="shardId-1").final(SHARD) is None
    made = place.worker()
    with pytest.raises(SnapshotError, match="names none"):
        place.untaken(shard="shardId-1").final(SHARD)
    made.write(SHARD_END, state(1), WHOLE, "model-1")
    assert place.untaken(shard="shardId-1").final(SHARD) == state(1)


def test_an_emptied_table_is_not_taken_for_a_shard_that_nobody_took() -> None:
    place = Place()
    place.worker().write(SHARD_END, state(1), WHOLE, "model-1")
    place.fence = MemoryFence()
    with pytest.raises(SnapshotError, match="the table was emptied or made anew"):
        place.untaken(shard="shardId-1").final(SHARD)


# -- what is restored -----------------------------------------------------------------------------


def test_what_is_encoded_is_decoded() -> None:
    made = Snapshot(
        APPLICATION, SHARD, "7-0", GROUPS, "model-1", "0.1", WHOLE, (Link("a", 3),), state(3)
    )
    assert decode("a/key", encode(made)) == made
    assert encode(made) == encode(made)


@given(
    st.lists(
        st.tuples(st.sets(st.integers(0, 30), max_size=4), st.booleans(), st.booleans()),
        min_size=1,
        max_size=80,
    )
)
def test_every_snapshot_restores_the_whole(
    writes: list[tuple[set[int], bool, bool]],
) -> None:
    place = Place()
    made, rotation = place.worker(), Rotation()
    everything = Whole({}, {})
    shops: dict[str, bytes] = {}
    groups: dict[int, bytes] = {}
    for number, (changes, whole, restart) in enumerate(writes):
        if restart and number:
            made = place.worker()
            restored = made.load(f"{number - 1}-0")
            assert restored.state.shops == shops
            assert restored.state.groups == groups
            rotation = Rotation(restored.state.shops, restored.slices)
            everything = Whole(restored.state.shops, restored.state.groups)
        changed = {f"shop-{shop}": b"%d" % number for shop in changes}
        changed_groups = {shop % GROUPS: b"%d" % number for shop in changes}
        shops |= changed
        groups |= changed_groups
        everything.take(changed, changed_groups)
        slices = rotation.plan(changed, whole=whole)
        part = State(
            shops=changed | everything.shops_of(slices),
            groups=changed_groups | everything.groups_of(slices),
        )
        made.write(f"{number}-0", part, slices, "model-1")
        made.checkpointed(f"{number}-0")
    found = place.worker().load(f"{len(writes) - 1}-0")
    assert found.state.shops == shops
    assert found.state.groups == groups


# -- what is kept ---------------------------------------------------------------------------------


def keep_writing(place: Place, numbers: range, *, shops: int, changed: int) -> Snapshots:
    """Write as a shard of so many shops does, of which so many change each time."""
    made = place.worker()
    names = [f"shop-{number}" for number in range(shops)]
    if numbers.start:
        restored = made.load(f"{numbers.start - 1}-0")
        rotation = Rotation(restored.state.shops, restored.slices)
        everything = Whole(restored.state.shops, {})
    else:
        rotation, everything = Rotation(names), Whole(dict.fromkeys(names, b"first"), {})
    for number in numbers:
        busy = {names[(number * changed + one) % shops]: b"%d" % number for one in range(changed)}
        everything.take(busy, {})
        slices = rotation.plan(busy)
        part = State(shops=busy | everything.shops_of(slices))
        made.write(f"{number}-0", part, slices, "model-1")
        made.checkpointed(f"{number}-0")
    return made


@pytest.mark.parametrize(("shops", "changed"), [(500, 1), (500, 20), (500, 200), (3, 3)])
def test_what_is_kept_and_what_a_restore_reads_is_bounded(shops: int, changed: int) -> None:
    place = Place()
    keep_writing(place, range(150), shops=shops, changed=changed)
    kept = place.store.keys(PREFIX)
    assert len(kept) <= 2 * SLICES_MAX + 1
    members = place.untaken().members(SHARD, place.fence.look(SHARD), "149-0")
    assert len(members) <= SLICES_MAX
    entries = sum(len(member.written.shops) for member in members)
    assert entries <= 4 * shops + SLICES_MAX * changed
    # Every snapshot of the last round could be restored: its objects are all there.
    past = members[-1].past
    for link in past[len(past) - len(members) + 1 :]:
        position = link.key.removeprefix(PREFIX).partition(".")[0]
        place.untaken().members(SHARD, Held(1, {position: link.key}), position)


@pytest.mark.parametrize("lived", [1, 3, 40])
def test_restarts_leave_nothing_behind_and_lose_nothing(lived: int) -> None:
    place = Place()
    for life in range(6):
        place.store.put(f"{PREFIX}orphan.{life}.0", b"of a worker that died")
        keep_writing(place, range(life * lived, (life + 1) * lived), shops=200, changed=10)
        named = place.untaken().members(
            SHARD, place.fence.look(SHARD), f"{(life + 1) * lived - 1}-0"
        )[-1]
        links = {link.key for link in named.past}
        assert set(place.store.keys(PREFIX)) <= links | {place.key(named.position)}


def test_nothing_is_deleted_before_the_checkpoint_is_taken() -> None:
    place = Place()
    made = place.worker()
    place.store.put(f"{PREFIX}orphan", b"of a worker that died")
    for number in range(10):
        made.write(f"{number}-0", state(number), WHOLE, "model-1")
    assert len(place.store.keys(PREFIX)) == 11
    made.checkpointed("9-0")
    assert len(place.store.keys(PREFIX)) == 2
