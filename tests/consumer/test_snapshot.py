"""Snapshots: equal to their position, refused when they are not whole, few of them kept."""

from collections.abc import Callable
from hashlib import blake2b, shake_128

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from consumer.hours import HoursState, OpenHour
from consumer.snapshot import (
    DELTAS_MAX,
    FORMAT_VERSION,
    MAGIC,
    Snapshot,
    SnapshotError,
    Snapshots,
    State,
    decode,
    encode,
)
from events.instant import HOUR
from sinks.memory import MemoryObjectStore
from sinks.parquet import ClosedHour

SHARD = "shardId-0"
GROUPS = 4
KEY = f"snapshots/{SHARD}/"


def snapshots(store: MemoryObjectStore, *, shard: str = SHARD, groups: int = GROUPS) -> Snapshots:
    return Snapshots(store, shard, groups)


def state(number: int, *, size: int = 0) -> State:
    """What changed at `number`, or all of it."""
    return State(
        shops={f"shop-{number % 3}": b"%d" % number + shake_128().digest(size)},
        groups={number % 2: b"group %d" % number},
        duplicates=[{0: b"ids %d" % number}],
        hours=HoursState(
            watermark=number * HOUR,
            open={HOUR: OpenHour(opened_at=0, pieces=[("staging/a", 1)], first="1-0", last="2-0")},
            to_publish=[ClosedHour(0, SHARD, "1-0", "2-0", (("staging/a", 0),))],
            staged={"staging/a": 2},
        ),
    )


def written(deltas: int) -> tuple[MemoryObjectStore, str]:
    """A store with a base and `deltas` on it, and the last position."""
    store = MemoryObjectStore()
    made = snapshots(store)
    for number in range(deltas + 1):
        made.write(f"{number}-0", state(number), "model-1", base=number == 0)
    return store, f"{deltas}-0"


def refusal(store: MemoryObjectStore, position: str, **more: int) -> str:
    before = {key: store.get(key) for key in store.keys("")}
    with pytest.raises(SnapshotError) as refused:
        snapshots(store, **more).load(position)  # type: ignore[arg-type]  # groups alone
    assert {key: store.get(key) for key in store.keys("")} == before, "something was changed"
    said = str(refused.value)
    assert "Nothing was changed" in said
    assert "restore that object from the bucket's versions" in said
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


@pytest.mark.parametrize("member", [0, 1, 2], ids=["base", "delta", "last"])
@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_member_of_the_chain_is_refused_by_its_name(how: str, member: int) -> None:
    store, last = written(2)
    key = f"{KEY}{member}-0"
    spoil, why = SPOILT[how]
    store.put(key, spoil(store.get(key)))
    said = refusal(store, last)
    assert key in said
    assert why in said


@pytest.mark.parametrize("member", [0, 1, 2], ids=["base", "delta", "last"])
def test_a_missing_member_of_the_chain_is_refused_by_its_name(member: int) -> None:
    store, last = written(2)
    store.delete(f"{KEY}{member}-0")
    said = refusal(store, last)
    assert f"{KEY}{member}-0" in said
    assert "not there" in said


def test_the_newest_is_not_taken_for_the_one_that_is_asked_for() -> None:
    store, _ = written(2)
    assert f"{KEY}7-0" in refusal(store, "7-0")


def test_another_number_of_key_groups_is_refused() -> None:
    store, last = written(1)
    said = refusal(store, last, groups=GROUPS + 1)
    assert f"{KEY}{last}" in said
    assert f"made with {GROUPS} key groups" in said
    assert f"TILLWATCH_KEY_GROUPS is {GROUPS + 1}" in said


def test_a_snapshot_under_a_wrong_name_is_refused() -> None:
    store, last = written(1)
    store.put(f"{KEY}{last}", store.get(f"{KEY}0-0"))
    assert "at 0-0, under a wrong name" in refusal(store, last)
    other = snapshots(store, shard="shardId-1")
    store.put(other.key("0-0"), store.get(f"{KEY}0-0"))
    with pytest.raises(SnapshotError, match="shardId-0 at 0-0"):
        other.load("0-0")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_snapshot_or_refused(data: bytes) -> None:
    for candidate in (data, MAGIC + data, resealed(data)):
        with pytest.raises(SnapshotError, match="a/key"):
            decode("a/key", candidate)


# -- what is restored -----------------------------------------------------------------------------


def test_what_is_encoded_is_decoded() -> None:
    made = Snapshot(SHARD, "7-0", GROUPS, "model-1", "0.1", ("a", "b"), state(3), ("c",))
    assert decode("a/key", encode(made)) == made
    assert encode(made) == encode(made)


def test_a_base_and_its_deltas_restore_the_whole_at_every_position() -> None:
    store, _ = written(5)
    for position in range(6):
        found = snapshots(store).load(f"{position}-0")
        expected = State()
        for number in range(position + 1):
            expected.shops |= state(number).shops
            expected.groups |= state(number).groups
            expected.duplicates += state(number).duplicates
        expected.hours = state(position).hours
        assert found == expected


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.binary(max_size=5)), min_size=1))
def test_changes_merged_in_order_are_the_full_state(
    writes: list[tuple[bool, int, bytes]],
) -> None:
    store = MemoryObjectStore()
    made = snapshots(store)
    shops: dict[str, bytes] = {}
    for number, (base, shop, data) in enumerate(writes):
        base = base or made.base_due  # noqa: PLW2901 -- as the shard does it
        shops[f"shop-{shop}"] = data
        changed = dict(shops) if base else {f"shop-{shop}": data}
        made.write(f"{number}-0", State(shops=changed), "model-1", base=base)
        made.collect()
        assert snapshots(store).load(f"{number}-0").shops == shops


# -- what is kept ---------------------------------------------------------------------------------


def keep_writing(made: Snapshots, numbers: range, *, size: int = 0) -> None:
    """Write as the shard does: a base where one is due, then the checkpoint, then collect."""
    for number in numbers:
        made.write(f"{number}-0", state(number, size=size), "model-1", base=made.base_due)
        made.collect()


def generations(store: MemoryObjectStore) -> list[list[str]]:
    """The snapshots that are there, as bases with their deltas, oldest first."""
    found: list[list[str]] = []
    for key in sorted(store.keys(KEY), key=lambda key: int(key.removeprefix(KEY).split("-")[0])):
        if not decode(key, store.get(key)).chain:
            found.append([])
        found[-1].append(key)
    return found


def test_a_restore_reads_a_bounded_number_of_objects() -> None:
    store = MemoryObjectStore()
    made = snapshots(store)
    for number in range(100):
        # Deltas that weigh next to nothing, on bases that weigh much: the number is the bound.
        base = made.base_due
        made.write(f"{number}-0", state(number, size=10_000 * base), "model-1", base=base)
        chain = decode("", store.get(f"{KEY}{number}-0")).chain
        assert len(chain) <= DELTAS_MAX
    assert max(map(len, generations(store))) == DELTAS_MAX + 1


def test_deltas_that_outweigh_their_base_twice_are_renewed_by_one() -> None:
    store = MemoryObjectStore()
    made = snapshots(store)
    sizes = [made.write("0-0", state(0), "model-1", base=made.base_due)]
    while not made.base_due:
        sizes.append(made.write(f"{len(sizes)}-0", state(0), "model-1", base=False))
    assert sum(sizes[1:-1]) < 2 * sizes[0] <= sum(sizes[1:])
    assert len(sizes) < DELTAS_MAX


def test_two_generations_are_kept_and_older_ones_collected() -> None:
    store = MemoryObjectStore()
    made = snapshots(store)
    keep_writing(made, range(20))
    assert len(generations(store)) == 2
    keep_writing(made, range(20, 200))
    left = generations(store)
    assert len(left) == 2
    assert left[-1][-1] == f"{KEY}199-0"
    assert len(store.keys(KEY)) <= 2 * (DELTAS_MAX + 1)
    # Both can be restored, whole.
    for generation in left:
        snapshots(store).load(generation[-1].removeprefix(KEY))


@pytest.mark.parametrize("lived", [1, 2, 5, 17, 40])
def test_restarts_neither_lose_the_generation_before_nor_leave_older_ones(lived: int) -> None:
    store = MemoryObjectStore()
    at = 0
    for _ in range(6):
        made = snapshots(store)
        if at:
            made.load(f"{at - 1}-0")
            assert made.base_due
        keep_writing(made, range(at, at + lived))
        at += lived
        assert len(generations(store)) <= 2
        assert len(store.keys(KEY)) <= 2 * (DELTAS_MAX + 1)
    assert len(generations(store)) == 2


def test_a_base_at_the_position_of_the_delta_before_is_not_collected_with_it() -> None:
    store = MemoryObjectStore()
    made = snapshots(store)
    made.write("0-0", state(0), "model-1", base=True)
    made.write("1-0", state(1), "model-1", base=False)
    made.write("1-0", state(2), "model-1", base=True)  # hours were closed, no record came
    made.collect()
    made.write("2-0", state(3), "model-1", base=True)
    assert made.collect() == 1
    assert store.keys(KEY) == [f"{KEY}1-0", f"{KEY}2-0"]
    assert snapshots(store).load("1-0") == state(2)


def test_nothing_is_deleted_before_it_is_asked_for() -> None:
    store = MemoryObjectStore()
    made = snapshots(store)
    for number in range(10):
        made.write(f"{number}-0", state(number), "model-1", base=True)
    assert len(store.keys(KEY)) == 10
    assert made.collect() == 8
    assert made.collect() == 0
    assert len(store.keys(KEY)) == 2
