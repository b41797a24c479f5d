"""What a retrying producer sends again counts once, within the stated bound."""

from hypothesis import example, given
from hypothesis import strategies as st

from consumer.duplicates import Duplicates, Sighting

SIGHTINGS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("abcdefghij"), st.sampled_from([b"x", b"y"])),
    max_size=60,
)


def test_the_same_bytes_are_a_repeat_and_other_bytes_a_reuse() -> None:
    memory = Duplicates(10)
    assert memory.see(0, "t-1", b"one") is Sighting.NEW
    assert memory.see(0, "t-1", b"one") is Sighting.REPEATED
    assert memory.see(0, "t-1", b"two") is Sighting.REUSED
    assert memory.see(1, "t-1", b"one") is Sighting.NEW


def test_it_remembers_at_least_the_bound_and_at_most_twice() -> None:
    memory = Duplicates(100)
    for number in range(1_000):
        assert memory.see(0, f"t-{number}", b"") is Sighting.NEW
        oldest_promised = max(0, number - 99)
        assert memory.see(0, f"t-{oldest_promised}", b"") is Sighting.REPEATED
        generations = memory._groups[0]
        assert len(generations.current) + len(generations.previous) <= 200


def everything(group: int) -> bool:
    """Asks for the whole of every key group."""
    del group
    return True


def in_order(taken: list[dict[int, bytes]]) -> dict[int, list[bytes]]:
    """What was taken, by key group."""
    groups = {group for one in taken for group in one}
    return {group: [one[group] for one in taken if group in one] for group in groups}


# Forgotten and seen again between two takes: the order of both sightings counts.
@example([(0, letter, b"x") for letter in "abcdaa"], 5, 2)
@given(SIGHTINGS, st.integers(0, 60), st.integers(1, 8))
def test_restored_anywhere_it_sees_what_it_would_have_seen(
    sightings: list[tuple[int, str, bytes]], cut: int, bound: int
) -> None:
    whole = Duplicates(bound)
    expected = [whole.see(*sighting) for sighting in sightings]

    first = Duplicates(bound)
    for sighting in sightings[:cut]:
        first.see(*sighting)
    by_base, by_deltas = Duplicates(bound), Duplicates(bound)
    by_deltas.restore(in_order([first.take_changes()]))
    by_base.restore(in_order([first.take_changes(everything)]))
    for restored in (by_base, by_deltas):
        seen = [restored.see(*sighting) for sighting in sightings[cut:]]
        assert seen == expected[cut:]


def test_a_base_and_deltas_make_the_whole() -> None:
    memory = Duplicates(5)
    taken = []
    for number in range(23):
        memory.see(0, f"t-{number}", b"")
        if number % 4 == 0:
            taken.append(memory.take_changes())
    taken.append(memory.take_changes())
    restored = Duplicates(5)
    restored.restore(in_order(taken))
    assert restored.take_changes(everything) == memory.take_changes(everything)
    assert memory.take_changes() == {}
