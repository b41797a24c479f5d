"""What children take over from their parents: nothing is forgotten, nothing learnt twice."""

from itertools import pairwise

import msgspec
import pytest

from consumer.duplicates import Duplicates, Sighting
from consumer.handover import group_range, inherit, take_over
from consumer.hours import HoursState
from consumer.lineage import HASH_KEY_LAST, Ancestry, HashRange
from consumer.rotation import SLICES_MAX, Slices
from consumer.snapshot import SHARD_END, SnapshotError, State
from consumer.snapshots import Snapshots
from events.key_group import hash_key, key_group
from events.page import Entity, Page
from sinks.memory import MemoryFence, MemoryObjectStore
from sinks.parquet import ClosedHour

GROUPS = 4
SHOPS = [f"shop-{number}" for number in range(60)]
ALL = HashRange()
EDGE = 2**128 // GROUPS
"""The first hash key of the second group."""


def page(name: str) -> Page:
    return Page(
        page_id=name,
        status="open",
        revision=0,
        shop_id="shop-0",
        opened_at=0,
        updated_at=0,
        reason="volume",
        entity=Entity("shop", "shop-0"),
        severity=1,
        after_transaction_id="t",
        evidence=("t",),
        refunds=1,
        observed=1.0,
        expected=0.0,
        refunded_total=1,
        currency="GBP",
        score=1.0,
        model_version="m",
        summary="a page",
    )


def final(name: str, held: HashRange = ALL, **more: object) -> State:
    """What a shard of that range ends with; its bytes say whose they are."""
    made = State(
        shops={shop: f"{name}/{shop}".encode() for shop in SHOPS if hash_key(shop) in held},
        groups={
            group: f"{name}/{group}".encode()
            for group in range(GROUPS)
            if group_range(group, GROUPS).overlap(held)
        },
    )
    return msgspec.structs.replace(made, **more)


def remembered(*ids: str) -> list[bytes]:
    return [msgspec.msgpack.encode([dict.fromkeys(ids, 1)])]


def ids(encoded: list[bytes]) -> list[str]:
    return [name for one in encoded for found in msgspec.msgpack.decode(one) for name in found]


def split(at: int, parent: State) -> tuple[State, State]:
    """Both children of one shard that held everything."""
    lower, upper = HashRange(0, at - 1), HashRange(at, HASH_KEY_LAST)
    found = [inherit(Ancestry(own, {"p": ALL}), {"p": parent}, GROUPS) for own in (lower, upper)]
    return found[0], found[1]


# -- one parent -----------------------------------------------------------------------------------


def test_a_split_at_a_groups_edge_gives_every_shop_and_group_to_one_child() -> None:
    parent = final("p")
    lower, upper = split(EDGE, parent)
    assert lower.shops | upper.shops == parent.shops
    assert not lower.shops.keys() & upper.shops.keys()
    assert {key_group(shop, GROUPS) for shop in lower.shops} == {0}
    assert (set(lower.groups), set(upper.groups)) == ({0}, {1, 2, 3})


def test_a_split_inside_a_group_gives_both_a_copy_of_it_and_each_shop_to_one() -> None:
    parent = final("p", duplicates={0: remembered("a", "b"), 3: remembered("c")})
    lower, upper = split(EDGE // 2, parent)
    assert lower.shops | upper.shops == parent.shops
    assert not lower.shops.keys() & upper.shops.keys()
    assert (set(lower.groups), set(upper.groups)) == ({0}, {0, 1, 2, 3})
    assert lower.groups[0] == upper.groups[0] == b"p/0"
    assert lower.duplicates == {0: parent.duplicates[0]}
    assert upper.duplicates == parent.duplicates


def test_a_shop_outside_its_shards_range_goes_to_every_child() -> None:
    held = HashRange(0, EDGE - 1)
    stray = next(shop for shop in SHOPS if hash_key(shop) not in held)
    parent = final("p", held)
    parent.shops[stray] = b"put by another key"
    for own in (HashRange(0, EDGE // 2 - 1), HashRange(EDGE // 2, EDGE - 1)):
        found = inherit(Ancestry(own, {"p": held}), {"p": parent}, GROUPS)
        assert found.shops[stray] == b"put by another key"


def test_of_a_parent_whose_range_is_forgotten_the_childs_range_is_taken() -> None:
    own = HashRange(0, EDGE - 1)
    found = inherit(Ancestry(own, {"p": None}), {"p": final("p")}, GROUPS)
    assert found.shops == final("p", own).shops
    assert set(found.groups) == {0}


# -- two parents ----------------------------------------------------------------------------------


def test_a_merge_joins_the_shops_and_groups_of_both() -> None:
    lower, upper = HashRange(0, EDGE - 1), HashRange(EDGE, HASH_KEY_LAST)
    a, b = final("a", lower), final("b", upper)
    found = inherit(Ancestry(ALL, {"a": lower, "b": upper}), {"a": a, "b": b}, GROUPS)
    assert found.shops == a.shops | b.shops
    assert found.groups == a.groups | b.groups
    assert set(found.shops) == set(SHOPS)


@pytest.mark.parametrize(("cut", "wins"), [(EDGE // 4, "b"), (EDGE // 4 * 3, "a")])
def test_of_two_halves_of_a_group_the_larger_ones_model_is_kept(cut: int, wins: str) -> None:
    lower, upper = HashRange(0, cut - 1), HashRange(cut, HASH_KEY_LAST)
    a = final("a", lower, duplicates={0: remembered("a1", "a2", "a3")})
    b = final("b", upper, duplicates={0: remembered("b1"), 1: remembered("b2")})
    found = inherit(Ancestry(ALL, {"a": lower, "b": upper}), {"a": a, "b": b}, GROUPS)
    assert found.groups[0] == f"{wins}/0".encode()
    assert {group: found.groups[group] for group in (1, 2, 3)} == {
        group: f"b/{group}".encode() for group in (1, 2, 3)
    }
    assert ids(found.duplicates[0]) == ["a1", "b1", "a2", "a3"]
    assert ids(found.duplicates[1]) == ["b2"]
    assert set(found.shops) == set(SHOPS)


def test_two_equal_halves_give_the_same_whoever_is_named_first() -> None:
    cut = EDGE // 2
    lower, upper = HashRange(0, cut - 1), HashRange(cut, HASH_KEY_LAST)
    finals = {"a": final("a", lower), "b": final("b", upper)}
    ranges: dict[str, HashRange | None] = {"a": lower, "b": upper}
    one = inherit(Ancestry(ALL, ranges), finals, GROUPS)
    turned = dict(reversed(finals.items()))
    assert inherit(Ancestry(ALL, dict(reversed(ranges.items()))), turned, GROUPS) == one


def test_both_memories_are_remembered() -> None:
    memories = []
    for name in "ab":
        seen = Duplicates(100)
        for number in range(150):
            seen.see(0, f"{name}{number}", b"data")
        memories.append(seen.take_changes(lambda _: True))
    lower, upper = HashRange(0, EDGE // 2 - 1), HashRange(EDGE // 2, EDGE - 1)
    finals = {
        name: State(duplicates={0: [memory[0]]})
        for name, memory in zip("ab", memories, strict=True)
    }
    joined = inherit(Ancestry(HashRange(0, EDGE - 1), {"a": lower, "b": upper}), finals, GROUPS)
    again = Duplicates(100)
    again.restore(joined.duplicates)
    for name in "ab":
        for number in range(101, 150):
            assert again.see(0, f"{name}{number}", b"data") is Sighting.REPEATED


# -- duties ---------------------------------------------------------------------------------------


def test_every_child_finishes_what_its_parents_had_to_publish_and_to_tell() -> None:
    hours = [
        ClosedHour(hour, name, "1-0", "2-0", ((f"staging/{name}", 0),))
        for name, hour in (("a", 0), ("b", 1))
    ]
    states = {
        one.shard_id: State(
            hours=HoursState(
                watermark=mark, to_publish=[one], staged={f"staging/{one.shard_id}": 1}
            ),
            pages=[page(one.shard_id)],
        )
        for one, mark in zip(hours, (7, 3), strict=True)
    }
    found = inherit(Ancestry(ALL, {"a": ALL, "b": ALL}), states, GROUPS)
    assert found.hours.to_publish == hours
    assert found.hours.staged == {"staging/a": 1, "staging/b": 1}
    assert found.hours.open == {}
    assert found.pages == [page("a"), page("b")]
    assert found.hours.watermark == 7


@pytest.mark.parametrize(
    ("marks", "furthest"), [((None, None), None), ((None, 3), 3), ((3, None), 3), ((3, 7), 7)]
)
def test_event_time_goes_on_from_the_parent_that_had_come_farthest(
    marks: tuple[int | None, int | None], furthest: int | None
) -> None:
    states = {
        name: State(hours=HoursState(watermark=mark))
        for name, mark in zip("ab", marks, strict=True)
    }
    found = inherit(Ancestry(ALL, {"a": ALL, "b": ALL}), states, GROUPS)
    assert found.hours.watermark == furthest


@pytest.mark.parametrize("groups", [1, 3, 4, 7, 256])
def test_groups_cover_the_hash_keys_without_gaps(groups: int) -> None:
    ranges = [group_range(group, groups) for group in range(groups)]
    assert (ranges[0].first, ranges[-1].last) == (0, HASH_KEY_LAST)
    assert all(after.first == before.last + 1 for before, after in pairwise(ranges))
    for shop in SHOPS:
        assert hash_key(shop) in ranges[key_group(shop, groups)]


# -- from their snapshots -------------------------------------------------------------------------


class Held:
    def require(self, shard_id: str) -> None:
        """Everything is ours."""


class Family:
    """Shards' snapshots, and who comes from whom."""

    def __init__(self) -> None:
        self.store, self.fence = MemoryObjectStore(), MemoryFence()
        self.parents: dict[str, HashRange | None] = {}

    def of(self, shard_id: str) -> Ancestry:
        assert shard_id == "child"
        return Ancestry(ALL, self.parents)

    def snapshots(self, shard_id: str) -> Snapshots:
        return Snapshots(self.store, self.fence, "app", shard_id, GROUPS, lambda _: {})

    def ended(self, shard_id: str, state: State, at: str = SHARD_END) -> None:
        made = self.snapshots(shard_id)
        made.take(Held())
        made.write(at, state, Slices(0, SLICES_MAX), "m")
        self.parents[shard_id] = ALL


def test_a_shard_that_the_stream_began_with_begins_with_nothing() -> None:
    family = Family()
    assert take_over(family.snapshots("child"), family, "child", GROUPS) == (State(), ())


def test_a_child_takes_over_from_parents_by_name() -> None:
    family = Family()
    for name in ("b", "a"):
        family.ended(name, State(shops={f"of-{name}": b""}, pages=[page(name)]))
    state, parents = take_over(family.snapshots("child"), family, "child", GROUPS)
    assert parents == ("a", "b")
    assert set(state.shops) == {"of-a", "of-b"}
    assert [one.page_id for one in state.pages] == ["a", "b"]


def test_a_parent_that_was_never_taken_leaves_nothing() -> None:
    family = Family()
    family.ended("a", State(shops={"of-a": b""}))
    family.parents["before-our-time"] = ALL
    state, parents = take_over(family.snapshots("child"), family, "child", GROUPS)
    assert parents == ("a",)
    assert set(state.shops) == {"of-a"}


def test_a_parent_that_has_not_ended_is_not_passed_over() -> None:
    family = Family()
    family.ended("a", State(), at="7-0")
    with pytest.raises(SnapshotError, match="it names 7-0"):
        take_over(family.snapshots("child"), family, "child", GROUPS)
