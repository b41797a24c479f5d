"""Which slices snapshots repeat: few, all in turn, and never more than changed."""

from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from consumer.rotation import (
    SLICES_MAX,
    Rotation,
    Slices,
    Whole,
    slice_of_group,
    slice_of_shop,
)

SHOPS = [f"shop-{number}" for number in range(400)]


@given(st.integers(0, SLICES_MAX - 1), st.integers(1, SLICES_MAX))
def test_slices_are_a_run_that_goes_round(first: int, count: int) -> None:
    slices = Slices(first, count)
    found = [number for number in range(SLICES_MAX) if number in slices]
    assert sorted((first + step) % SLICES_MAX for step in range(count)) == found
    assert slices.whole == (count == SLICES_MAX)
    assert slices.whole or slices.next not in slices
    assert slices.next == (first + count) % SLICES_MAX


def test_slices_are_stable_and_hold_about_as_many_shops_each() -> None:
    # Names of slices stand in snapshots: another hash would find nothing.
    assert [slice_of_shop(shop) for shop in ("shop-1", "shop-2", "Ladenstraße")] == [16, 42, 61]
    counts = [0] * SLICES_MAX
    for number in range(64_000):
        counts[slice_of_shop(f"shop-{number}")] += 1
    assert min(counts) > 800
    assert max(counts) < 1_200
    assert [slice_of_group(group) for group in (0, 63, 64, 200)] == [0, 63, 0, 8]


def test_the_first_snapshot_of_all_holds_everything() -> None:
    rotation = Rotation()
    assert rotation.plan([]) == Slices(0, SLICES_MAX), "of no shops it is everything too"
    assert Rotation(SHOPS).plan(SHOPS[:1]) == Slices(0, SLICES_MAX)
    rotation = Rotation(SHOPS)
    rotation.plan([])
    assert rotation.plan([]) == Slices(0, 1)


def test_one_that_is_restored_goes_on_behind_the_last_slice() -> None:
    rotation = Rotation(SHOPS, Slices(60, 10))
    assert rotation.plan(SHOPS[:4]) == Slices(6, 1)
    assert rotation.plan(SHOPS[:8]) == Slices(7, 2)
    assert rotation.plan([]) == Slices(9, 1)


def test_half_of_everything_is_everything() -> None:
    assert Rotation(SHOPS, Slices(0, 1)).plan(SHOPS[:199]).count < SLICES_MAX
    assert Rotation(SHOPS, Slices(0, 1)).plan(SHOPS[:200]).whole
    assert Rotation(SHOPS, Slices(0, 1)).plan([], whole=True).whole
    # Shops that were never seen count as changed and as a part of the whole.
    assert Rotation(SHOPS[:10], Slices(0, 1)).plan(SHOPS[10:20]).whole


@given(st.lists(st.sets(st.sampled_from(SHOPS), max_size=60), min_size=1, max_size=60))
def test_as_large_a_part_is_repeated_as_changed_and_every_slice_comes_in_turn(
    changes: list[set[str]],
) -> None:
    rotation, after = Rotation(SHOPS, Slices(0, SLICES_MAX)), Slices(0, SLICES_MAX)
    for changed in changes:
        slices = rotation.plan(changed)
        assert slices.first == after.next
        assert slices.count == max(ceil(SLICES_MAX * len(changed) / len(SHOPS)), 1)
        after = slices


def test_the_whole_gives_every_shop_and_group_once_over_a_round() -> None:
    whole = Whole(dict.fromkeys(SHOPS, b"old"), dict.fromkeys(range(100), b"old"))
    whole.take({SHOPS[3]: b"new", "shop-x": b"new"}, {7: b"new"})
    shops: dict[str, bytes] = {}
    groups: dict[int, bytes] = {}
    rounds = [Slices(60, 10), Slices(6, 27), Slices(33, 27)]
    for slices in rounds:
        found, found_groups = whole.shops_of(slices), whole.groups_of(slices)
        assert not found.keys() & shops.keys()
        assert not found_groups.keys() & groups.keys()
        assert all(slice_of_shop(shop) in slices for shop in found)
        shops |= found
        groups |= found_groups
    assert shops == dict.fromkeys(SHOPS, b"old") | {SHOPS[3]: b"new", "shop-x": b"new"}
    assert groups == dict.fromkeys(range(100), b"old") | {7: b"new"}
    assert whole.shops_of(Slices(5, SLICES_MAX)) == shops
