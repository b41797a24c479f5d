"""From records to the batch: bounds, positions, what counts once, what comes out."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import consumer.pipeline
from anomaly.detector import DetectorConfig
from consumer.duplicates import Duplicates
from consumer.pipeline import Cut, Pipeline, batches
from consumer.scorer import Scorer
from events.instant import HOUR, MINUTE
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from tests.consumer.world import KEY_GROUPS, SHARD, START, as_records, day_of_trade, wire

DATA = day_of_trade(240)


def pipeline(
    *, records_max: int = 50, bytes_max: int = 2**20, remembered_min: int = 1_000
) -> Pipeline:
    return Pipeline(
        Parser(Pseudonymizer(b"a key for tests only")).parse_all,
        Scorer(DetectorConfig(key_groups=KEY_GROUPS)),
        Duplicates(remembered_min),
        key_groups=KEY_GROUPS,
        batch_records_max=records_max,
        batch_bytes_max=bytes_max,
    )


def through(data: Iterable[bytes]) -> Cut:
    """Everything in one batch."""
    made = pipeline(records_max=10_000, bytes_max=2**30)
    made.take(iter(as_records(data)))
    return made.cut()


# -- bounds ---------------------------------------------------------------------------------------


def test_a_batch_holds_so_many_records_and_the_rest_stays_where_it_is() -> None:
    made = pipeline(records_max=50)
    records = iter(as_records(DATA[:120]))
    made.take(records)
    assert made.full
    made.take(records)  # a full batch takes nothing
    first = made.cut()
    assert made.empty
    made.take(records)
    second = made.cut()
    made.take(records)
    assert not made.full
    third = made.cut()
    assert [cut.batch.records for cut in (first, second, third)] == [50, 50, 20]
    assert [cut.batch.last.sequence_number for cut in (first, second, third)] == [
        "50",
        "100",
        "120",
    ]


def test_a_batch_is_full_with_the_record_that_reaches_its_bytes() -> None:
    data = [wire(number) for number in range(10)]
    size = len(data[0])
    made = pipeline(bytes_max=3 * size - 1)
    records = iter(as_records(data))
    made.take(records)
    assert made.full
    made.take(records)
    assert made.cut().batch.records == 3
    made.take(records)  # what was drawn with them is not lost
    assert made.cut().batch.first.sequence_number == "4"


def test_one_record_larger_than_the_bound_is_a_batch_of_its_own() -> None:
    data = [wire(0), b"x" * 5_000, wire(1)]
    found = [cut.batch.records for cut in batches(pipeline(bytes_max=1_000), as_records(data))]
    assert found == [2, 1]


@settings(max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 300), max_size=60),
    records_max=st.integers(1, 20),
    bytes_max=st.integers(1, 500),
)
def test_every_record_is_in_one_batch_and_every_batch_within_its_bounds(
    sizes: list[int], records_max: int, bytes_max: int
) -> None:
    records = as_records([b"x" * size for size in sizes])
    cuts = list(batches(pipeline(records_max=records_max, bytes_max=bytes_max), records))
    rejections = [rejection for cut in cuts for rejection in cut.batch.rejections]
    assert [rejection.position for rejection in rejections] == [
        record.position for record in records
    ]
    for cut in cuts:
        assert cut.batch.records == len(cut.batch.rejections) <= records_max
        # Over the bound by its last record at most.
        assert sum(len(rejection.data) for rejection in cut.batch.rejections[:-1]) < bytes_max


def test_the_shops_whose_group_is_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer.pipeline, "_SHOPS_CACHED_MAX", 3)
    made = pipeline()
    made.take(iter(as_records(wire(n, shop=f"shop-{n % 7}") for n in range(40))))
    assert len(made._group_of) <= 3
    assert len(made.cut().batch.scored) == 40


# -- positions ------------------------------------------------------------------------------------


def test_a_batch_knows_its_first_and_last_record_whatever_they_are() -> None:
    cut = through([b"broken", wire(1), b"broken too"])
    assert (cut.batch.first, cut.batch.last) == (Position(SHARD, "1"), Position(SHARD, "3"))
    assert cut.batch.records == 3
    assert len(cut.batch.scored) == 1


def test_an_empty_cut_needs_a_position_to_stand_at() -> None:
    made = pipeline()
    with pytest.raises(ValueError, match="needs a position"):
        made.cut()
    at = Position(SHARD, "7", 3)
    cut = made.cut(at=at)
    assert (cut.batch.first, cut.batch.last, cut.batch.records) == (at, at, 0)
    assert cut.watermark is None
    assert cut.batch.scored == cut.batch.pages == cut.batch.rejections == ()


def test_where_an_empty_cut_would_stand_does_not_move_one_with_records() -> None:
    made = pipeline()
    made.take(iter(as_records([wire(1)])))
    assert made.cut(at=Position(SHARD, "99")).batch.last == Position(SHARD, "1")


def test_user_records_of_one_kinesis_record_keep_their_own_positions() -> None:
    positions = [Position(SHARD, "5", sub) for sub in range(4)] + [Position(SHARD, "6", 0)]
    data = [wire(0), b"broken", wire(2, kind="REFUND"), wire(0), wire(4)]
    records = [
        Record(position, body, "shop", START)
        for position, body in zip(positions, data, strict=True)
    ]
    made = pipeline()
    made.take(iter(records))
    cut = made.cut()
    assert [scored.position for scored in cut.batch.scored] == [
        positions[0],
        positions[2],
        positions[4],
    ]
    assert [rejection.position for rejection in cut.batch.rejections] == [positions[1]]
    assert cut.repeated == 1
    assert (cut.batch.first, cut.batch.last) == (positions[0], positions[4])
    assert len({position.slug for position in positions}) == 5


def test_a_batch_may_end_between_user_records_of_one_kinesis_record() -> None:
    records = [Record(Position(SHARD, "5", sub), wire(sub), "shop", START) for sub in range(4)]
    first, second = (cut.batch for cut in batches(pipeline(records_max=3), records))
    assert first.last == Position(SHARD, "5", 2)
    assert second.first == second.last == Position(SHARD, "5", 3)
    assert first.last.order < second.first.order


def test_how_far_behind_is_what_the_stream_says() -> None:
    made = pipeline()
    made.take(iter(as_records([wire(1)])))
    assert made.cut(1_234).batch.behind_millis == 1_234


# -- what counts once -----------------------------------------------------------------------------


def test_what_a_producer_sends_again_counts_once() -> None:
    cut = through([wire(1), wire(2), wire(1), wire(1)])
    assert [s.transaction.transaction_id for s in cut.batch.scored] == ["t-000001", "t-000002"]
    assert cut.repeated == 2
    assert cut.batch.rejections == ()
    assert cut.batch.records == 4


def test_an_id_that_another_transaction_has_already_is_a_rejection() -> None:
    cut = through([wire(1, total="10.00"), wire(1, total="99.00"), wire(1, total="10.00")])
    assert [scored.transaction.total for scored in cut.batch.scored] == [1000]
    (rejection,) = cut.batch.rejections
    assert (rejection.stage, rejection.reason, rejection.field) == (
        "deduplicate",
        "transaction_id_reused",
        "transaction_id",
    )
    assert rejection.position == Position(SHARD, "2")
    assert rejection.data == wire(1, total="99.00")
    assert rejection.shop_id == "shop-1"
    assert rejection.arrived_at == START
    assert cut.repeated == 1


def test_repeats_are_seen_across_batches() -> None:
    made = pipeline(records_max=2)
    cuts = list(batches(made, as_records([wire(1), wire(2), wire(1), wire(3)])))
    assert [cut.repeated for cut in cuts] == [0, 1]
    assert [len(cut.batch.scored) for cut in cuts] == [2, 1]


def test_a_repeat_moves_neither_the_watermark_nor_the_model() -> None:
    refund = wire(1, kind="REFUND", at=START + HOUR)
    once, twice = through([wire(0), refund]), through([wire(0), refund, refund])
    assert once.detector == twice.detector
    assert once.watermark == twice.watermark == START + HOUR
    assert through([b"broken"]).watermark is None


def test_the_watermark_is_the_latest_event_time_of_the_batch() -> None:
    times = [0, 30, 10, 20]
    cut = through(wire(n, at=START + minutes * MINUTE) for n, minutes in enumerate(times))
    assert cut.watermark == START + 30 * MINUTE


# -- what comes out -------------------------------------------------------------------------------


def test_refunds_have_scores_and_sales_have_none() -> None:
    cut = through(DATA)
    assert any(scored.transaction.is_refund for scored in cut.batch.scored)
    for scored in cut.batch.scored:
        assert (scored.score is not None) == scored.transaction.is_refund
        if scored.score is not None:
            assert 0.0 <= scored.score.value <= 1.0
            if scored.score.value > 0.5:
                shares = sum(reason.share for reason in scored.score.reasons)
                assert shares == pytest.approx(1.0)


def test_a_refund_that_is_not_normal_comes_out_as_a_page_with_its_evidence() -> None:
    cut = through(DATA)
    opened = [page for page in cut.batch.pages if page.status == "open"]
    assert opened
    ids = {scored.transaction.transaction_id for scored in cut.batch.scored}
    for page in opened:
        assert page.after_transaction_id in ids
        assert page.evidence
        assert set(page.evidence) <= ids


def test_records_keep_their_bytes_for_the_dead_letter_queue() -> None:
    cut = through(DATA)
    by_position = {record.position: record for record in as_records(DATA)}
    for item in (*cut.batch.scored, *cut.batch.rejections):
        record = by_position[item.position]
        assert (item.data, item.arrived_at) == (record.data, record.arrived_at)


def test_an_error_that_is_no_rejection_travels() -> None:
    def broken(records: list[Record]) -> object:
        raise ZeroDivisionError(records[0].position.slug)

    made = pipeline()
    made._parse = broken  # type: ignore[assignment]  # the point of the test
    with pytest.raises(ZeroDivisionError):
        made.take(iter(as_records([wire(1)])))


def test_a_whole_cut_carries_everything_that_is_remembered() -> None:
    made = pipeline()
    made.take(iter(as_records([wire(1)])))
    made.cut()
    made.take(iter(as_records([wire(2)], first=2)))
    last = made.cut().batch.last
    whole = made.cut(whole=True, at=last)
    restored = Duplicates(1_000)
    restored.restore({group: [taken] for group, taken in whole.duplicates.items()})
    everything = [memory.take_changes(lambda _: True) for memory in (restored, made._duplicates)]
    assert everything[0] == everything[1]
    assert sum(ids.count(b"t-00000") for ids in whole.duplicates.values()) == 2


# -- event time -----------------------------------------------------------------------------------


def moments(*pairs: tuple[int, int | None], lateness: int = 0) -> Cut:
    """One batch of transactions by minutes of occurrence and of arrival."""
    made = pipeline()
    made._lateness = lateness * MINUTE
    made.take(
        Record(
            Position(SHARD, str(n)),
            wire(n, at=START + occurred * MINUTE),
            "shop",
            None if arrived is None else START + arrived * MINUTE,
        )
        for n, (occurred, arrived) in enumerate(pairs)
    )
    return made.cut()


def test_a_till_whose_clock_is_ahead_does_not_take_the_watermark_with_it() -> None:
    cut = moments((0, 0), (23 * 60, 1), (2, 2))
    assert len(cut.batch.scored) == 3
    assert cut.watermark == START + 2 * MINUTE
    assert cut.late == 0


def test_old_records_are_as_far_as_they_say_whenever_they_arrive() -> None:
    assert moments((0, 10_000), (5, 10_000), (3, 10_000)).watermark == START + 5 * MINUTE


def test_where_the_arrival_is_not_known_the_record_is_believed() -> None:
    assert moments((0, None), (600, None)).watermark == START + 600 * MINUTE


def test_late_is_what_comes_later_than_the_lateness_behind_the_watermark() -> None:
    cut = moments((0, 0), (60, 60), (30, 61), (29, 62), (61, 63), (30, 64), lateness=30)
    assert cut.late == 2
    assert len(cut.batch.scored) == 6, "late ones count as any other"


@pytest.mark.parametrize("records_max", [1, 7, 1_000])
def test_watermark_and_late_ones_do_not_depend_on_the_batches(records_max: int) -> None:
    made = pipeline(records_max=records_max)
    made._lateness = 30 * MINUTE
    cuts = list(batches(made, as_records(DATA)))
    assert sum(cut.late for cut in cuts) == sum(1 for n in range(240) if n % 23 == 22)
    marks = [cut.watermark or 0 for cut in cuts]
    assert marks == sorted(marks)


def test_the_watermark_goes_on_where_the_shard_was_left() -> None:
    left = Pipeline(
        Parser(Pseudonymizer(b"a key for tests only")).parse_all,
        Scorer(DetectorConfig(key_groups=KEY_GROUPS)),
        Duplicates(1_000),
        key_groups=KEY_GROUPS,
        batch_records_max=50,
        batch_bytes_max=2**20,
        lateness=MINUTE,
        watermark=START + HOUR,
    )
    left.take(iter(as_records([wire(1, at=START + HOUR - 2 * MINUTE)])))
    cut = left.cut()
    assert (cut.late, cut.watermark) == (1, START + HOUR)


def test_what_cannot_be_scored_does_not_move_the_watermark() -> None:
    made = pipeline()
    made._scorer.observe = lambda _: 1 // 0
    made.take(iter(as_records([wire(1)])))
    assert made.cut().watermark is None


@pytest.mark.parametrize("records_max", [1, 7, 1_000])
def test_what_comes_out_does_not_depend_on_the_batches(records_max: int) -> None:
    whole = through(DATA)
    cuts = list(batches(pipeline(records_max=records_max), as_records(DATA)))
    assert tuple(item for cut in cuts for item in cut.batch.scored) == whole.batch.scored
    assert tuple(page for cut in cuts for page in cut.batch.pages) == whole.batch.pages
    assert tuple(r for cut in cuts for r in cut.batch.rejections) == whole.batch.rejections
    assert sum(cut.repeated for cut in cuts) == whole.repeated
    shops: dict[str, bytes] = {}
    for cut in cuts:
        shops |= cut.detector.shops
    assert shops == whole.detector.shops


def test_no_records_give_no_batch() -> None:
    assert list(batches(pipeline(), [])) == []


@pytest.mark.parametrize("records_max", [7, 50])
@pytest.mark.parametrize("known", [0, 1, 99, 100, 101, 230])
def test_what_the_state_has_already_is_left_out_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, records_max: int, known: int
) -> None:
    monkeypatch.setattr(consumer.pipeline, "DRAWN_MAX", 16)
    made = pipeline(records_max=records_max)
    made.skip(Position(SHARD, str(known)))
    taken: list[int] = []
    every = as_records(DATA[:240])
    for delivered in (every[:100], every[100:]):  # two deliveries, as the daemon makes them
        records = (record for record in delivered)  # which closes when it is let go of
        while True:
            made.take(records)
            if made.empty:
                break
            cut = made.cut()
            assert cut.batch.after == Position(SHARD, str(known + len(taken)))
            first, last = cut.batch.first.order[0], cut.batch.last.order[0]
            taken += range(first, last + 1)
    assert taken == list(range(known + 1, 241))
