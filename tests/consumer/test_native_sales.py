"""The twin of plain sales gives what Python gives, bit by bit, and hands back what is not plain."""

import gc
import random
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import consumer.sales
from anomaly.amounts import SEEN_MAX
from anomaly.detector import Detector, DetectorConfig
from anomaly.sale_state import SOLD_MAX
from consumer.duplicates import Duplicates
from consumer.pipeline import Cut, Parsed, Pipeline
from consumer.sales import learner
from consumer.scorer import Scorer
from events.instant import DAY, HOUR, MINUTE, SECOND, Instant
from events.position import Position
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction
from events.verdict import Verdict
from tests.consumer.world import KEY_GROUPS, SHARD, START

TWIN = consumer.sales._native
pytestmark = pytest.mark.skipif(
    TWIN is None, reason="the twin was not compiled, or is switched off"
)

Item = tuple[Record, Parsed]
Outcome = Cut | str


def item(
    number: int,
    parsed: Any = None,
    data: bytes | None = None,
    arrived_at: Any = None,
) -> Item:
    """A record, and what the parser is to say of it."""
    position = Position(SHARD, str(number))
    if parsed is None:
        parsed = Rejection(position, b"", "parse", "not_json", None, "", None)
    return Record(position, data or b"%d" % number * 9, "shop", arrived_at), parsed


def sale(number: int, at: Instant = START, total: Any = 1_250, **more: Any) -> Transaction:
    """A plain one, but for what is said."""
    fields = {
        "transaction_id": f"t-{number:06}",
        "shop_id": "shop-1",
        "type": "SALE",
        "utc_offset_minutes": 60,
        "currency": "GBP",
        "cashier_id": f"c-{number % 3}",
        "register_id": "r-1",
        "payment_method": "CARD",
        "card_token": f"k-{number % 50}",
        **more,
    }
    return Transaction(occurred_at=at, total=total, **fields)


def pipeline(
    items: Sequence[Item],
    *,
    records_max: int = 10_000,
    bytes_max: int = 2**30,
    remembered_min: int = 1_000,
    lateness: Instant = 0,
) -> Pipeline:
    """One whose parser knows what is said of `items`."""
    answers = {record.position: parsed for record, parsed in items}
    return Pipeline(
        lambda records: [answers[record.position] for record in records],
        Scorer(DetectorConfig(key_groups=KEY_GROUPS)),
        Duplicates(remembered_min),
        key_groups=KEY_GROUPS,
        batch_records_max=records_max,
        batch_bytes_max=bytes_max,
        lateness=lateness,
    )


def outcomes(made: Pipeline, items: Sequence[Item], sizes: Sequence[int] = ()) -> list[Outcome]:
    """All cuts, drawn `sizes` records at a time; an error that travels ends them."""
    records, found = iter([record for record, _ in items]), list[Outcome]()
    try:
        for size in sizes:
            made.take(islice(records, size))
            if size % 3 and not made.empty:
                found.append(made.cut())
        while True:
            made.take(records)
            if made.empty:
                break
            found.append(made.cut())
    except Exception as error:  # noqa: BLE001 -- whatever it is, it has to be the same
        found.append(f"{type(error)} {error}")
    return found


def both(run: Callable[[], list[Outcome]]) -> list[Outcome]:
    """What `run` gives with the twin; without it, it gives the same."""
    found = run()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consumer.sales, "_native", None)
        assert run() == found
    return found


# -- streams ---------------------------------------------------------------------------------------


def stream(seed: int, count: int, *, shops: int = 3) -> Iterator[Item]:
    """Hours and days of some shops, with everything in it that may come."""
    rng = random.Random(seed)
    pace = rng.choice((SECOND, 20 * SECOND, 5 * MINUTE))
    at, past = rng.choice((START, -3 * DAY - MINUTE)), list[Item]()
    for number in range(count):
        at += rng.randrange(pace) + (rng.random() < 0.01) * rng.randrange(30 * HOUR)
        odd = rng.random()
        if odd < 0.02:
            yield item(number)
        elif odd < 0.04 and past:
            record, parsed = rng.choice(past)
            data = record.data if odd < 0.03 else b"other bytes"
            yield item(number, parsed, data, record.arrived_at)
        elif odd < 0.05:
            yield item(number, Verdict("page", "shop-1", "amount", "fraud", at, "jane"))
        else:
            made = drawn(rng, number, at - (rng.random() < 0.05) * rng.randrange(5 * HOUR), shops)
            arrived = None if rng.random() < 0.1 else at + rng.randrange(-MINUTE, 9 * MINUTE)
            past.append(item(number, made, b"x" * rng.randrange(100), arrived))
            yield past[-1]


def drawn(rng: random.Random, number: int, at: Instant, shops: int) -> Transaction:
    """A transaction as they come."""
    kind = rng.choices(("SALE", "REFUND", "VOID"), (90, 8, 2))[0]
    shop = rng.randrange(shops)
    return sale(
        number,
        at,
        rng.choice((0, 1, 2, 10**15)) if rng.random() < 0.02 else int(rng.lognormvariate(7, 1)),
        transaction_id=f"t-{number}" if rng.random() < 0.98 else f"tö-{number}",
        shop_id=f"shop-{shop}" if shop else "ßhop",
        type=kind,
        utc_offset_minutes=(0, 60, -330)[shop % 3],
        currency="GBP" if rng.random() < 0.98 else "EUR",
        cashier_id=rng.choice((None, "", "ü", *[f"c-{n}" for n in range(60 if shop == 1 else 5)])),
        register_id=rng.choice((None, "r-1", "r-2")),
        payment_method=rng.choice((None, "CARD", "CASH", "ÉCHANGE")),
        card_token=rng.choice((None, "", f"k-{rng.randrange(99)}")),
        original_transaction_id=f"t-{rng.randrange(number + 1)}" if kind == "REFUND" else None,
    )


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    count=st.integers(1, 700),
    records_max=st.integers(1, 300),
    bytes_max=st.integers(1, 20_000),
    remembered_min=st.sampled_from((1, 2, 40, 500)),
    lateness=st.sampled_from((0, MINUTE, HOUR)),
    sizes=st.lists(st.integers(0, 60), max_size=12),
)
def test_every_cut_of_any_stream_is_the_same(
    seed: int,
    count: int,
    records_max: int,
    bytes_max: int,
    remembered_min: int,
    lateness: Instant,
    sizes: list[int],
) -> None:
    items = list(stream(seed, count))
    found = both(
        lambda: outcomes(
            pipeline(
                items,
                records_max=records_max,
                bytes_max=bytes_max,
                remembered_min=remembered_min,
                lateness=lateness,
            ),
            items,
            sizes,
        )
    )
    cuts = [cut for cut in found if isinstance(cut, Cut)]
    assert len(cuts) == len(found)
    assert sum(cut.batch.records for cut in cuts) == count


@pytest.mark.parametrize("seed", range(6))
def test_a_state_that_was_left_and_restored_is_gone_on_from_alike(seed: int) -> None:
    items = list(stream(seed, 3_000, shops=2))

    def run() -> list[Outcome]:
        shops, groups, found = dict[str, bytes](), dict[int, bytes](), list[Outcome]()
        for start in range(0, len(items), 500):
            made = pipeline(items, remembered_min=50)
            made._scorer = Scorer(DetectorConfig(key_groups=KEY_GROUPS), shops, groups)
            found += outcomes(made, items[start : start + 500], (200, 7))
            for cut in found:
                assert isinstance(cut, Cut)
                shops |= cut.detector.shops
                groups |= cut.detector.groups
        return found

    both(run)


def test_a_shop_with_more_sales_than_any_memory_holds() -> None:
    # Larger and larger ones too, so that half of the largest is forgotten, and every n-th is kept.
    rng = random.Random(7)
    items = [
        item(
            number,
            sale(
                number,
                START + number * 40 * SECOND,
                number if number % 7 == 0 else rng.randrange(900),
                type="REFUND" if number % 99 == 98 else "SALE",
                original_transaction_id=f"t-{max(number - 50, 0):06}"
                if number % 99 == 98
                else None,
            ),
        )
        for number in range(26_000)
    ]
    made = pipeline(items)
    both(lambda: outcomes(pipeline(items, records_max=4_000, remembered_min=700), items))
    outcomes(made, items)
    assert isinstance(made._scorer, Scorer)
    state = made._scorer.detector._shops["shop-1"].state
    assert state.sold.every > 1
    assert len(state.sold.days) > 2
    assert len(state.sold.entries) >= SOLD_MAX * 4
    assert state.sale_amounts.n > 3_999.0
    assert state.sale_amounts.seen < 26_000 - 5_000
    assert any(state.tenders.paid)


@pytest.mark.parametrize("seen", [SEEN_MAX - 4, SEEN_MAX - 2, SEEN_MAX - 1, SEEN_MAX])
def test_half_of_the_largest_is_forgotten_at_the_same_sale(seen: int) -> None:
    items = [item(n, sale(n, START + n * SECOND, 100 + n)) for n in range(MANY)]

    def run() -> list[Outcome]:
        made = pipeline(items)
        made.take(iter([record for record, _ in items[:30]]))
        assert isinstance(made._scorer, Scorer)
        made._scorer.detector._shops["shop-1"].state.sale_amounts.seen = seen
        return outcomes(made, items[30:])

    both(run)


def test_who_is_late_by_no_more_than_the_lateness_is_not_late() -> None:
    behind = [0, 0, 0, 0, 9, 10, 11, 0]
    items = [item(n, sale(n, START + (100 - late) * SECOND)) for n, late in enumerate(behind)]
    (cut,) = both(lambda: outcomes(pipeline(items, lateness=10 * SECOND), items))
    assert isinstance(cut, Cut)
    assert (cut.late, cut.watermark) == (1, START + 100 * SECOND)


def test_plain_sales_are_done_by_the_twin_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    items = [item(number, sale(number, START + number * SECOND)) for number in range(900)]
    by_python = list[str]()
    score = Pipeline._score

    def told(self: Pipeline, record: Record, transaction: Transaction) -> None:
        by_python.append(transaction.transaction_id)
        score(self, record, transaction)

    monkeypatch.setattr(Pipeline, "_score", told)
    (cut,) = outcomes(pipeline(items), items)
    assert isinstance(cut, Cut)
    assert len(cut.batch.scored) == 900
    assert by_python == ["t-000000", "t-000001", "t-000002"]  # each with a cashier of its own


# -- odd values ------------------------------------------------------------------------------------


class Text(str):
    __slots__ = ()


class Number(int):
    pass


ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, 2, -1, 59, 2**30, 2**53, 2**53 + 1, 2**60, 2**60 + 1, 2**62),
    *(2**63, 10**40, -(2**60), -(2**62), -(10**40), 1.5, float("nan"), float("inf"), b"x", ()),
    *("", "x", "SALE", "sale", "GBP", "gbp", "shop-1", "shop-2", "t-000003", "é", "\u20ac"),
    *("\ud800", '"', "\\", "\x00", "\x1f", "k" * 300, Text("SALE"), Text("GBP"), Text("shop-1")),
    *(Text("t-000099"), Text("c-1"), Number(5), Number(2**61), [], {}),
)
FIELDS = (
    *("transaction_id", "shop_id", "type", "occurred_at", "utc_offset_minutes", "currency"),
    *("total", "register_id", "cashier_id", "payment_method", "card_token"),
)
MANY, MORE = 40, 9


def plain(count: int, first: int = 0) -> list[Item]:
    """Sales that the twin does, but for the first of each cashier."""
    return [item(n, sale(n, START + n * SECOND)) for n in range(first, first + count)]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.sampled_from(FIELDS), st.sampled_from(ODD), max_size=3),
            st.sampled_from((b"", b"x", b"y" * 1_000, bytes(range(256)))),
            st.sampled_from((None, START, START + DAY, 2**60, 2**60 + 1, -(2**70), True, 1.5)),
        ),
        max_size=12,
    )
)
def test_odd_transactions_leave_the_same(odd: list[tuple[dict[str, Any], bytes, Any]]) -> None:
    items = plain(MANY)
    for number, (fields, data, arrived_at) in enumerate(odd, MANY):
        if isinstance(fields.get("utc_offset_minutes"), str | bytes):
            del fields["utc_offset_minutes"]  # Python makes gigabytes of it, times a minute
        made = msgspec.structs.replace(sale(number, START + number * SECOND), **fields)
        items.append(item(number, made, data, arrived_at))
    items += plain(MORE, len(items))
    both(lambda: outcomes(pipeline(items), items))


@pytest.mark.parametrize("wrong", [None, 5, "x", object(), b"data", sale(3), item(3)[0]], ids=type)
def test_what_is_no_record_or_no_transaction_is_python_s(wrong: object) -> None:
    items: list[Any] = plain(MANY)
    items[30] = items[30][0], wrong
    both(lambda: outcomes(pipeline(items), items))


PLACES = {
    "": ("currency", "clock", "closes_at", "sales_today", "rate", "cashiers", "large_sales"),
    "rate": ("hour", "sales_now"),
    "sale_amounts": ("n", "mean", "squares", "large", "seen", "top"),
    "sold": ("every", "most", "entries", "days"),
    "tenders": ("paid", "least"),
}
STATES: tuple[Any, ...] = (
    *(None, True, 0, 1, 7, -1, 2**30, 2**62 - 1, 2**62, 2**63, -(10**30), 0.0, -1.0, 5_000.0),
    *(float("nan"), float("inf"), "", "GBP", b"", [], {}, [0], [1], [True], [5, 3, 900], [None]),
    *([2**40, 2**70], [0] * 20, [1_000] * 16, [2_000, 1] * 8, {"c-1": 5}, {"c-1": None}),
)
BYTES = (b"", b"1234", b"12345", b"1234" * SOLD_MAX, b"1234" * (SOLD_MAX + 15), b"12" * 256)


@pytest.mark.parametrize(
    ("holder", "name"), [(holder, name) for holder, names in PLACES.items() for name in names]
)
def test_odd_states_are_gone_on_from_alike(holder: str, name: str) -> None:
    items = plain(MANY + MORE)
    for number in range(len(STATES) + len(BYTES)):
        value = [*STATES, *map(bytearray, BYTES)][number]

        def run(value: Any = value) -> list[Outcome]:
            made = pipeline(items, remembered_min=MANY + MORE)
            made.take(iter([record for record, _ in items[:MANY]]))
            assert isinstance(made._scorer, Scorer)
            state: Any = made._scorer.detector._shops["shop-1"].state
            state = getattr(state, holder) if holder else state
            setattr(state, name, copied(value))
            return outcomes(made, items[MANY:])

        both(run)


def copied(value: Any) -> Any:
    """One of each run's own, where it can be changed."""
    return type(value)(value) if isinstance(value, list | dict | bytearray) else value


@pytest.mark.parametrize("name", ["state", "dirty", "sale_amounts", "sold", "tenders"])
@pytest.mark.parametrize("value", [None, 5, "gone"])
def test_a_shop_that_lacks_a_part_is_python_s(name: str, value: object) -> None:
    items = plain(MANY + MORE)

    def run() -> list[Outcome]:
        made = pipeline(items)
        made.take(iter([record for record, _ in items[:MANY]]))
        assert isinstance(made._scorer, Scorer)
        shop = made._scorer.detector._shops["shop-1"]
        if value == "gone":
            delattr(shop, name)
        else:
            setattr(shop, name, value)
        return outcomes(made, items[MANY:])

    both(run)


@pytest.mark.parametrize("value", [None, 0, 2**63, 1.5, True, -(2**61)])
@pytest.mark.parametrize("name", ["_watermark", "_lateness", "_batch_records_max", "_late"])
def test_odd_counts_and_bounds_are_python_s(name: str, value: Any) -> None:
    items = plain(MANY)

    def run() -> list[Outcome]:
        made = pipeline(items)
        setattr(made, name, value)
        try:
            made.take(iter([record for record, _ in items]))
        except TypeError as error:
            return [str(error)]
        return [made.cut()] if not made.empty else []

    both(run)


# -- whose it is -----------------------------------------------------------------------------------


def test_where_another_observes_it_is_python_s() -> None:
    class Mine(Detector):
        pass

    class MyScorer(Scorer):
        pass

    class MyDuplicates(Duplicates):
        pass

    scorer, duplicates = Scorer(DetectorConfig()), Duplicates(10)
    assert learner(scorer, duplicates) is scorer.detector
    assert learner(scorer, MyDuplicates(10)) is None
    assert learner(MyScorer(DetectorConfig()), duplicates) is None
    scorer.observe = Detector(DetectorConfig()).observe
    assert learner(scorer, duplicates) is None
    scorer = Scorer(DetectorConfig())
    scorer.detector = Mine(DetectorConfig())
    scorer.observe = scorer.detector.observe
    assert learner(scorer, duplicates) is None


def test_a_call_with_anything_takes_nothing() -> None:
    made = pipeline(())
    assert isinstance(made._scorer, Scorer)
    usual: list[Any] = [[], [], 0, made._scorer.detector, made._duplicates, {}, []]
    usual += [5, 0, 5, 0, 0, 0]
    assert TWIN.take(*usual) is None
    for place in range(len(usual)):
        for value in (None, (), 2**70, 1.5, -1):
            odd = [*usual[:place], value, *usual[place + 1 :]]
            if place in {3, 4}:
                with pytest.raises(AttributeError):
                    TWIN.take(*odd)
            else:
                assert TWIN.take(*odd) is None
    with pytest.raises(TypeError):
        TWIN.take(*usual[1:])


# -- memory ----------------------------------------------------------------------------------------


def test_nothing_is_held_on_to() -> None:
    items = list(stream(3, 400))
    record, parsed = items[300] = item(300, sale(300, START + HOUR))
    shared = (record, record.position, record.data, parsed, parsed.transaction_id, items, None)

    def run() -> None:
        outcomes(pipeline(items, remembered_min=30), items, (100, 100))

    for _ in range(3):
        run()
    gc.collect()
    before = [sys.getrefcount(one) for one in shared[:-1]]
    tracemalloc.start()
    try:
        run()
        gc.collect()
        held = tracemalloc.get_traced_memory()[0]
        for _ in range(20):
            run()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - held < 20_000
    finally:
        tracemalloc.stop()
    assert [sys.getrefcount(one) for one in shared[:-1]] == before


STARVED = """
import _testcapi
from tests.consumer.test_native_sales import TWIN, pipeline, plain

starved = 0
for allowed in range(60):
    items = plain(40)
    made = pipeline(items)
    made.take(iter([record for record, _ in items[:10]]))
    records, parsed = [list(column) for column in zip(*items)]
    arguments = (records, parsed, 10, made._scorer.detector, made._duplicates, made._group_of,
                 made._scored, 100, 0, 10**9, 0, 0, 0)
    _testcapi.set_nomemory(allowed, 0)
    try:
        TWIN.take(*arguments)
    except MemoryError:
        starved += 1
    finally:
        _testcapi.remove_mem_hooks()
print(starved)
"""


def test_without_memory_it_says_so() -> None:
    pytest.importorskip("_testcapi")
    done = subprocess.run(
        [sys.executable, "-c", STARVED], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
