"""One poisoned record, wherever it lies and whatever stumbles over it, harms only itself."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import consumer.scorer
import sinks.rows
from anomaly.detector import Detector, DetectorConfig, Observation
from consumer.duplicates import Duplicates
from consumer.pipeline import UNSCORED_MAX, Pipeline, batches
from consumer.redriven import letter_of, marked
from consumer.reject_share import RejectShare, TooManyRejected
from consumer.rotation import Rotation
from consumer.scorer import Scorer
from consumer.shard import Parts
from events.batch import Batch, Scored
from events.instant import MINUTE
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.transaction import Transaction
from sinks import document
from sinks.memory import MemorySink
from sinks.opensearch import OpenSearchSink
from sinks.prepared import Prepared
from tests.consumer.world import KEY_GROUPS, SHARD, START, World, as_records, wire

COUNT = 150
DATA = [
    wire(
        number,
        shop=f"shop-{number % 3}",
        kind="REFUND" if number % 5 == 4 else "SALE",
        at=START + number * MINUTE,
        total="9000.00" if number in (100, 131) else f"{5 + number % 17}.50",
        cashier_id=f"c-{number % 4}",
        contact={"email": "jane@example.com"},
    )
    for number in range(COUNT)
]
NUMBERS = st.integers(0, COUNT - 1)


class Poison(msgspec.Struct):
    """Transactions by number, and what stumbles over them."""

    scoring: frozenset[int] = frozenset()
    documents: frozenset[int] = frozenset()
    rows: frozenset[int] = frozenset()
    half: bool = True
    """Whether the detector has learnt the transaction already when it fails."""

    @contextmanager
    def spread(self) -> Iterator[None]:
        poison = self

        class Poisoned(Detector):
            def observe(self, transaction: Transaction) -> Observation | None:
                if number_of(transaction) not in poison.scoring:
                    return super().observe(transaction)
                if poison.half:
                    super().observe(transaction)
                raise ZeroDivisionError(f"no rate for {transaction.contact_email}")

        def rows(scored: Sequence[Scored]) -> Any:
            if any(number_of(item.transaction) in poison.rows for item in scored):
                raise AttributeError("a row's value has no such thing")
            return as_rows(scored)

        def transaction(item: Scored) -> document.Entry:
            if number_of(item.transaction) in poison.documents:
                raise RecursionError("a document too deep")
            return as_document(item)

        as_rows, as_document = sinks.rows.rows, document.transaction
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(consumer.scorer, "Detector", Poisoned)
            patch.setattr(sinks.rows, "rows", rows)
            patch.setattr(document, "transaction", transaction)
            yield


def number_of(transaction: Transaction) -> int:
    return int(transaction.transaction_id.removeprefix("t-"))


class Index(MemorySink):
    """A MemorySink that builds documents as OpenSearch's sink does, with its own code."""

    name = OpenSearchSink.name

    def prepare(self, batch: Batch) -> Prepared:
        building = OpenSearchSink(None, threading.Event(), clock=lambda: START)
        return Prepared(lambda: self.write(batch), building.prepare(batch).rejections)


def new_world() -> World:
    return World(index=Index(threading.Event()))


def run(world: World, data: Sequence[bytes], sizes: Sequence[int], deaths: set[int]) -> None:
    """Deliver `data` in batches of these sizes, or less where they are full before.

    After the batches of `deaths` another worker goes on.
    """
    records = iter(as_records(data))
    parts = world.worker()
    for number, size in enumerate(cycle(sizes)):
        parts.pipeline.take(islice(records, size))
        if parts.pipeline.empty:
            break
        parts.committer.commit(parts.pipeline.cut(0), world.accept)
        if number in deaths:
            parts = world.worker()
            parts.committer.publish()
    end = parts.pipeline.cut(0, whole=True, at=Position(SHARD, str(len(data))))
    parts.committer.commit(end, world.accept, shard_end=True)


SIZES = st.lists(st.integers(1, 50), min_size=1, max_size=8)
SOME = st.frozensets(NUMBERS, max_size=6)


@settings(max_examples=40, deadline=None)
@given(
    scoring=SOME,
    documents=SOME,
    rows=SOME,
    half=st.booleans(),
    sizes=SIZES,
    deaths=st.sets(st.integers(0, 6), max_size=2),
)
def test_poison_anywhere_is_a_letter_each_and_the_rest_comes_out_as_without_it(
    scoring: frozenset[int],
    documents: frozenset[int],
    rows: frozenset[int],
    half: bool,  # noqa: FBT001 -- hypothesis passes it by name
    sizes: list[int],
    deaths: set[int],
) -> None:
    poison = Poison(scoring, documents, rows, half)
    world, garbled = new_world(), new_world()
    with poison.spread():
        run(world, DATA, sizes, deaths)
    # What cannot be scored leaves no trace: as if its record had been no transaction at all.
    without = [b"garbage" if n in scoring else body for n, body in enumerate(DATA)]
    with Poison(documents=documents, rows=rows).spread():
        run(garbled, without, [COUNT], set())

    letters = world.letters.rejections
    assert {place: letter.stage for place, letter in letters.items()} == {
        Position(SHARD, str(n + 1)): stage_of(poison, n) for n in scoring | documents | rows
    }
    good = {f"t-{n:06}" for n in range(COUNT) if n not in scoring | documents | rows}
    assert world.documents() == good
    assert world.row_ids() == dict.fromkeys(good, 1)
    assert world.index.transactions == garbled.index.transactions
    assert world.pages() == garbled.pages()
    assert by_id(world) == by_id(garbled)
    for place, letter in letters.items():
        assert letter.data == DATA[int(place.sequence_number) - 1]
        assert letter.model_version == DetectorConfig(key_groups=KEY_GROUPS).model_version()
        if letter.stage != "score":
            assert letter == garbled.letters.rejections[place]


def stage_of(poison: Poison, number: int) -> str:
    if number in poison.scoring:
        return "score"
    return "opensearch" if number in poison.documents else "parquet"


def by_id(world: World) -> list[dict[str, object]]:
    return sorted(world.rows(), key=lambda row: str(row["transaction_id"]))


# -- scoring ---------------------------------------------------------------------------------------


def pipeline(records_max: int = 1_000) -> Pipeline:
    return Pipeline(
        Parser(Pseudonymizer(b"a key for tests only")).parse_all,
        Scorer(DetectorConfig(key_groups=KEY_GROUPS)),
        Duplicates(1_000),
        key_groups=KEY_GROUPS,
        batch_records_max=records_max,
        batch_bytes_max=2**30,
        rotation=Rotation(),
    )


def test_what_is_said_of_a_transaction_that_cannot_be_scored() -> None:
    with Poison(scoring=frozenset({44})).spread():
        made = pipeline()
        made.take(iter(as_records(DATA)))
        (rejection,) = made.cut().batch.rejections
    assert (rejection.stage, rejection.reason) == ("score", "scoring_failed")
    assert rejection.detail.startswith("ZeroDivisionError: no rate for … (test_poison.py:")
    assert rejection.shop_id == "shop-2"
    assert rejection.arrived_at == START + 44 * MINUTE
    assert rejection.data == DATA[44]


def test_the_detector_is_bit_by_bit_what_it_would_have_been() -> None:
    with Poison(scoring=frozenset({3, 4, 70, 149})).spread():
        poisoned = pipeline()
        poisoned.take(iter(as_records(DATA)))
        found = poisoned.cut()
    clean = pipeline()
    clean.take(
        iter(as_records(b"" if n in {3, 4, 70, 149} else body for n, body in enumerate(DATA)))
    )
    wanted = clean.cut()
    assert found.detector == wanted.detector
    assert found.batch.scored == tuple(
        msgspec.structs.replace(item, arrived_at=found.batch.scored[n].arrived_at)
        for n, item in enumerate(wanted.batch.scored)
    )
    assert found.batch.pages == wanted.batch.pages
    assert found.watermark == wanted.watermark == START + 148 * MINUTE


def test_a_batch_ends_behind_so_much_that_cannot_be_scored() -> None:
    with Poison(scoring=frozenset(range(10, COUNT))).spread():
        made = pipeline()
        records = iter(as_records(DATA))
        made.take(records)
        assert made.full
        made.take(records)
        cut = made.cut()
        assert not made.full
    assert (len(cut.batch.scored), len(cut.batch.rejections)) == (10, UNSCORED_MAX)
    made.take(records)  # what was drawn with them is not lost
    assert made.cut().batch.first == Position(SHARD, str(10 + UNSCORED_MAX + 1))


def test_a_batch_full_of_poison_shows_the_detector_each_transaction_twice_at_most() -> None:
    observed: list[int] = []

    class Counting(Detector):
        def observe(self, transaction: Transaction) -> Observation | None:
            observed.append(number_of(transaction))
            if number_of(transaction) % 2:
                raise KeyError
            return super().observe(transaction)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumer.scorer, "Detector", Counting)
        cuts = list(batches(pipeline(), as_records(DATA)))
    assert sum(len(cut.batch.rejections) for cut in cuts) == COUNT // 2
    assert len(observed) <= 2 * COUNT


def test_an_error_that_comes_and_goes_while_the_state_is_put_back_is_no_letter() -> None:
    class Flaky(Detector):
        def observe(self, transaction: Transaction) -> Observation | None:
            raise OSError(transaction.transaction_id)

    with pytest.MonkeyPatch.context() as patch:
        made = pipeline()
        made.take(iter(as_records(DATA[:10])))
        patch.setattr(consumer.scorer, "Detector", Flaky)
        made._scorer.observe = Flaky(DetectorConfig()).observe
        with pytest.raises(OSError, match="t-000000"):
            made.take(iter(as_records(DATA[10:], first=11)))


def test_a_machine_without_memory_is_no_transaction_s_fault() -> None:
    class Starved(Detector):
        def observe(self, transaction: Transaction) -> Observation | None:
            raise MemoryError(transaction.transaction_id)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumer.scorer, "Detector", Starved)
        with pytest.raises(MemoryError):
            pipeline().take(iter(as_records(DATA)))


# -- what comes back ------------------------------------------------------------------------------


def counted(data: Sequence[bytes], records_max: int = 1_000) -> list[str]:
    cuts = batches(pipeline(records_max), as_records(data))
    return [item.transaction.transaction_id for cut in cuts for item in cut.batch.scored]


@pytest.mark.parametrize("records_max", [1, 1_000])
def test_a_letter_that_comes_back_counts_once_however_often(records_max: int) -> None:
    back = marked(DATA[5], "letter-1")
    with Poison(scoring=frozenset({5})).spread():
        made = pipeline(records_max)
        for cut in batches(made, as_records(DATA[:10])):
            assert len(cut.batch.scored) + len(cut.batch.rejections) == cut.batch.records
    # A version without the fault, from the state of the one with it.
    made._scorer = Scorer(DetectorConfig(key_groups=KEY_GROUPS))
    cuts = list(batches(made, as_records([DATA[5], back, back, back], first=11)))
    assert [item.position.sequence_number for cut in cuts for item in cut.batch.scored] == ["12"]
    assert sum(cut.repeated for cut in cuts) == 3
    assert not any(cut.batch.rejections for cut in cuts)


def test_the_same_letter_with_another_correction_is_a_reused_id() -> None:
    first, second = (
        marked(wire(7, total=total, cashier_id="c"), "a") for total in ("1.00", "2.00")
    )
    made = pipeline()
    made.take(iter(as_records([DATA[7], first, second])))
    cut = made.cut()
    assert [item.transaction.total for item in cut.batch.scored] == [1_250, 100]
    assert [entry.reason for entry in cut.batch.rejections] == ["transaction_id_reused"]


def test_a_mark_is_found_as_it_was_set_and_changes_nothing_else() -> None:
    body = b'{"schema": 1, "transaction_id": "t", "lines": [], "total": 1.10} \n'
    once = marked(body, 'a"b')
    assert once == body.rstrip().removesuffix(b"}") + rb',"redriven_from":"a\"b"}'
    assert letter_of(once) == 'a"b'
    assert letter_of(marked(once, "c")) == "c"
    assert letter_of(body) is None
    assert letter_of(body.replace(b"}", b', "redriven_from": 5}')) is None
    for nothing in (b"{}", b"[]", b"", b"{"):
        with pytest.raises((ValueError, msgspec.DecodeError)):
            marked(nothing, "a")


# -- too much of it -------------------------------------------------------------------------------


def drain(world: World, parts: Parts, records: Iterator[Record]) -> None:
    while True:
        parts.pipeline.take(records)
        if parts.pipeline.empty:
            return
        parts.committer.commit(parts.pipeline.cut(0), world.accept)


def test_too_many_rejects_stop_the_shard_before_they_reach_the_queue() -> None:
    world = World(batch_records_max=500)
    parts = world.worker()
    parts.committer._reject_share = RejectShare(0.5)
    data = [wire(number) for number in range(500)] + [b"another format"] * 5_000
    records = iter(as_records(data))
    with pytest.raises(TooManyRejected, match="TILLWATCH_REJECTED_SHARE_MAX"):
        drain(world, parts, records)
    assert world.checkpoint == Position(SHARD, "1000")
    assert len(world.letters.rejections) == 500
    # The next worker stops at the same batch; one that is told to go on goes on.
    again = world.worker()
    again.committer._reject_share = RejectShare(0.5, again.committer._reject_share.recent)
    rest = [Record(Position(SHARD, str(n + 1)), data[n], "") for n in range(1_000, 5_500)]
    again.pipeline.take(iter(rest))
    with pytest.raises(TooManyRejected):
        again.committer.commit(again.pipeline.cut(0), world.accept)
    assert len(world.letters.rejections) == 500
    drain(world, world.worker(), iter(rest))
    assert len(world.letters.rejections) == 5_000
