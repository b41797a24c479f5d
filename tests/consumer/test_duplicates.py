"""What a retrying producer sends again counts once, within the stated bound."""

from zlib import crc32

import msgspec
import pytest
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
    by_deltas.restore({group: [ids] for group, ids in first.take_changes().items()})
    everything = first.take_changes(lambda _: True)
    by_base.restore({group: [ids] for group, ids in everything.items()})
    for restored in (by_base, by_deltas):
        seen = [restored.see(*sighting) for sighting in sightings[cut:]]
        assert seen == expected[cut:]


def test_a_whole_group_and_deltas_make_the_whole() -> None:
    memory = Duplicates(5)
    taken: dict[int, list[bytes]] = {}
    for number in range(23):
        for group in (0, 1):
            memory.see(group, f"t-{number}", b"")
        if number % 4 == 0:
            whole = {number // 4 % 3}  # group 0 or 1 now and then, as slices come round
            for group, ids in memory.take_changes(whole.__contains__).items():
                taken[group] = [ids] if group in whole else [*taken.get(group, []), ids]
    for group, ids in memory.take_changes().items():
        taken[group].append(ids)
    restored = Duplicates(5)
    restored.restore(taken)
    assert restored.take_changes(lambda _: True) == memory.take_changes(lambda _: True)
    assert memory.take_changes() == {}


@pytest.mark.parametrize("count", [1, 15, 16, 65_535, 65_536])
def test_what_is_taken_is_messagepack_as_its_decoder_has_it(count: int) -> None:
    memory = Duplicates(10 * count)
    for number in range(count):
        memory.see(0, f"t-{number}", b"x")
    expected = {f"t-{number}": crc32(b"x") for number in range(count)}
    assert memory.take_changes() == {0: msgspec.msgpack.encode([expected])}
    assert memory.take_changes() == {}
    memory.see(0, "one more", b"")
    assert memory.take_changes(lambda _: True) == {
        0: msgspec.msgpack.encode([{}, expected | {"one more": 0}])
    }
    for number in range(9 * count):  # it turns; what is whole is what was, and what has come
        memory.see(0, f"more-{number}", b"x")
    (previous, current) = msgspec.msgpack.decode(memory.take_changes(lambda _: True)[0])
    assert list(previous)[:count] == list(expected)
    assert len(previous) == 10 * count
    assert len(current) == 1


def test_many_turns_between_two_takes_are_all_taken() -> None:
    memory = Duplicates(1)
    for number in range(100):
        memory.see(0, f"t-{number}", b"x")
    taken = msgspec.msgpack.decode(memory.take_changes()[0])
    assert taken == [{f"t-{number}": crc32(b"x")} for number in range(100)]
