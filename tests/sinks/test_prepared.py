"""What one sink cannot build goes to none; each record is refused once, in stream order."""

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.batch import Batch, Scored
from events.rejection import Rejection
from sinks.memory import MemoryObjectStore, MemorySink
from sinks.parquet import ParquetSink
from sinks.prepared import Prepared, prepared, without
from sinks.sink import Written
from tests.sinks.made import batch, page, position, rejection, scored


class Picky:
    """A Builder that cannot build some records, and keeps what it is told to write."""

    def __init__(self, name: str, bad: set[int]) -> None:
        self.name = name
        self._bad = {position(n) for n in bad}
        self.written: list[Scored] = []
        self.builds = 0

    def prepare(self, made: Batch) -> Prepared:
        self.builds += 1
        rejections = tuple(self.refuse(item) for item in made.scored if item.position in self._bad)
        good = [item for item in made.scored if item.position not in self._bad]

        def write() -> Written:
            self.written += good
            return Written()

        return Prepared(write, rejections)

    def refuse(self, item: Scored) -> Rejection:
        return Rejection(item.position, item.data, self.name, "unbuildable", None, "it is poison")

    def write(self, made: Batch) -> Written:
        raise AssertionError(made)

    def close(self) -> None:
        pass


def test_a_batch_without_poison_is_built_once_and_left_as_it_is() -> None:
    sinks = [Picky("one", set()), Picky("two", set())]
    made = batch(scored(1), scored(2), pages=(page(),), rejections=(rejection(3),))
    left, writes = prepared(sinks, made, "m1")
    assert left is made
    assert [sink.builds for sink in sinks] == [1, 1]
    assert [sink.written for sink in sinks] == [[], []], "nothing is written yet"
    for write in writes:
        write()
    assert [sink.written for sink in sinks] == [list(made.scored)] * 2


@given(
    count=st.integers(1, 30),
    one=st.sets(st.integers(0, 29)),
    two=st.sets(st.integers(0, 29)),
    dirt=st.sets(st.integers(0, 29)),
)
def test_what_one_cannot_build_goes_to_none_and_is_one_letter(
    count: int, one: set[int], two: set[int], dirt: set[int]
) -> None:
    sinks = [Picky("one", one), Picky("two", two)]
    made = batch(
        *(scored(n) for n in range(count) if n not in dirt),
        rejections=tuple(rejection(n) for n in range(count) if n in dirt),
    )
    left, writes = prepared(sinks, made, "m1")
    for write in writes:
        write()
    poison = {n for n in range(count) if n in one | two and n not in dirt}
    good = [n for n in range(count) if n not in poison | dirt]
    for sink in sinks:
        assert [item.position for item in sink.written] == [position(n) for n in good]
    assert [entry.position for entry in left.rejections] == [
        position(n) for n in sorted(poison | {n for n in dirt if n < count})
    ]
    for entry in left.rejections:
        if entry.stage != "parse":
            n = next(n for n in poison if position(n) == entry.position)
            assert entry.stage == ("one" if n in one else "two")
            assert entry.model_version == "m1"
    assert (left.first, left.last, left.records) == (made.first, made.last, made.records)


def test_a_sink_that_builds_nothing_ahead_gets_what_the_others_can_build() -> None:
    memory = MemorySink(threading.Event())
    _, writes = prepared([memory, Picky("one", {2})], batch(scored(1), scored(2)), "m1")
    assert not memory.transactions
    for write in writes:
        write()
    assert list(memory.transactions) == ["t-000001"]


def test_rows_that_cannot_be_built_are_found_before_the_store_is_asked() -> None:
    store = MemoryObjectStore()
    made = batch(scored(1), scored(2, currency="XXX"), scored(3))
    left, (write,) = prepared([ParquetSink(store)], made, "m1")
    assert store.keys("") == []
    (entry,) = left.rejections
    assert (entry.position, entry.stage, entry.reason) == (
        position(2),
        "parquet",
        "row_unbuildable",
    )
    assert "KeyError" in entry.detail
    assert entry.model_version == "m1"
    staged = write().staged
    assert staged is not None
    assert staged.rows == (2,)


def test_what_no_single_row_brings_about_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import sinks.parquet

    def too_many(rows: Any) -> bytes:
        if sum(rows.counts) > 1:
            raise OSError("the disk of the machine")
        return b""

    monkeypatch.setattr(sinks.parquet, "encode", too_many)
    with pytest.raises(OSError, match="disk"):
        prepared([ParquetSink(MemoryObjectStore())], batch(scored(1), scored(2)), "m1")


def test_a_service_that_refuses_everything_is_an_error_and_no_letter() -> None:
    class Denied(MemoryObjectStore):
        def put(self, key: str, body: bytes) -> None:
            raise PermissionError(f"AccessDenied: {key}, {len(body)} bytes")

    left, (write,) = prepared([ParquetSink(Denied())], batch(scored(1), scored(2)), "m1")
    assert left.rejections == ()
    with pytest.raises(PermissionError, match="AccessDenied"):
        write()


def test_a_sink_that_rejects_what_it_was_not_given_does_not_go_on_for_ever() -> None:
    class Confused(Picky):
        def prepare(self, made: Batch) -> Prepared:
            return Prepared(Written, (*super().prepare(made).rejections, self.refuse(scored(99))))

    with pytest.raises(ValueError, match="not given"):
        prepared([Confused("one", set())], batch(scored(1)), "m1")


def test_without_keeps_the_first_of_two_refusals() -> None:
    made = batch(scored(1), scored(2))
    one, two = (Picky(name, set()).refuse(made.scored[0]) for name in ("one", "two"))
    left = without(made, [one, two], "m1")
    assert [entry.stage for entry in left.rejections] == ["one"]
    assert left.scored == made.scored[1:]
