"""Which items nothing can be made of: found, all of them, and at the price of a few runs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sinks.culprits import culprits


class Building:
    """Fails where one of `bad` is among what it is given; counts its runs."""

    def __init__(self, bad: set[int]) -> None:
        self.bad = bad
        self.runs = 0

    def __call__(self, items: Sequence[int]) -> None:
        self.runs += 1
        for item in items:
            if item in self.bad:
                raise RuntimeError(item)


@given(count=st.integers(0, 300), bad=st.sets(st.integers(0, 299)))
def test_they_are_all_found_in_order_with_what_they_raised(count: int, bad: set[int]) -> None:
    found = culprits(range(count), Building(bad))
    assert [item for item, _ in found] == sorted(item for item in bad if item < count)
    for item, error in found:
        assert error.args == (item,)


def test_one_among_many_costs_the_logarithm() -> None:
    build = Building({777})
    assert len(culprits(range(4_096), build)) == 1
    assert build.runs <= 2 * 12 + 1


def test_what_is_sound_is_looked_at_once() -> None:
    build = Building(set())
    assert culprits(range(100), build) == []
    assert build.runs == 1


def test_what_fails_only_together_has_no_culprit() -> None:
    def too_many(items: Sequence[int]) -> None:
        if len(items) > 10:
            raise OverflowError

    assert culprits(range(100), too_many) == []


def test_a_machine_without_memory_is_no_item_s_fault() -> None:
    def starved(_: Sequence[int]) -> None:
        raise MemoryError

    with pytest.raises(MemoryError):
        culprits(range(4), starved)
