"""The C twin of the columns makes the rows that Python makes, or hands the batch back to it."""

import gc
import sys
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.batch import Scored
from events.money import EXPONENTS
from events.native import native
from events.position import Position
from events.score import Reason, Score
from events.transaction import Line, Transaction
from sinks import rows as of
from sinks.culprits import culprits
from sinks.parquet import encode
from tests.sinks.made import NOON, SHARD, position, score, scored, trade, transaction

_columns = native("sinks._columns")
pytestmark = pytest.mark.skipif(_columns is None, reason="the twin is not compiled, or is off")


class OwnStr(str):
    __slots__ = ()


class OwnInt(int):
    pass


class OwnBytes(bytes):
    __slots__ = ()


class OwnTuple(tuple[Any, ...]):
    __slots__ = ()


class OwnScored(Scored, frozen=True):
    pass


class OwnPosition(Position, frozen=True):
    pass


class OwnTransaction(Transaction, frozen=True):
    pass


class OwnLine(Line, frozen=True):
    pass


@dataclass
class Outcome:
    """What came of a batch: its rows and its file's bytes, or what was raised."""

    rows: of.Rows | None = None
    body: bytes = b""
    raised: tuple[type[Exception], str] | None = None


def outcome(items: Sequence[Scored]) -> Outcome:
    try:
        made = of.rows(items)
        made.table.validate(full=True)
        return Outcome(made, encode(made))
    except Exception as error:  # noqa: BLE001 -- whatever it is, it is compared
        return Outcome(raised=(type(error), str(error)))


def by_python(items: Sequence[Scored]) -> Outcome:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of, "_native", None)
        return outcome(items)


def is_taken(items: Sequence[Scored]) -> bool:
    return _columns.columns(items, of._FACTORS) is not None


def both_agree(items: Sequence[Scored]) -> None:
    twin, python = outcome(items), by_python(items)
    assert twin.raised == python.raised
    assert twin.body == python.body  # byte for byte, and so whatever is read from it
    if twin.rows is None or python.rows is None:
        assert twin.rows is python.rows
        return
    assert twin.rows.table.schema.equals(python.rows.table.schema)
    assert (twin.rows.hours, twin.rows.counts) == (python.rows.hours, python.rows.counts)


def both_do(items: Sequence[Scored]) -> None:
    assert is_taken(items)
    both_agree(items)


def item(place: Position | None = None, score: Any = None, at: Any = NOON, **fields: Any) -> Scored:
    made = msgspec.structs.replace(transaction(1), **fields)
    return Scored(position(1) if place is None else place, made, score, b"{}", at)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 500])
def test_a_batch_as_it_comes(count: int) -> None:
    both_do(tuple(trade(count)))
    both_do(trade(count))


def test_nothing_but_what_must_be_there() -> None:
    both_do([item(at=None, cashier_id=None, lines=())])
    both_do([item(lines=(Line(),))])


def test_columns_that_outgrow_the_first_guess() -> None:
    lines = tuple(Line(str(n), "x" * n, None, n, None if n % 3 else -n) for n in range(400))
    both_do([item(lines=lines), item(lines=lines[:9]), item(transaction_id="ü€😀" * 5_000)])


@pytest.mark.parametrize("size", range(40))
def test_a_text_of_any_length(size: int) -> None:
    text = "abcdefghijklmnopqrstuvwxyz0123456789+-*/"[:size]
    both_do([item(transaction_id=text, reason=text + "é"), item(shop_id=text + "-")])


def test_more_shops_than_eight_bits_number() -> None:
    shops = [f"shop-{number * 7_919 % 300}" for number in range(600)]
    both_do([item(shop_id=shop, occurred_at=NOON - n) for n, shop in enumerate(shops)])


def test_every_currency() -> None:
    both_do([item(currency=code, total=10**11 + 7, approval_limit=-5) for code in EXPONENTS])


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("currency", ["JPY", "GBP", "KWD", "CLF"])
def test_amounts_up_to_eighteen_digits(currency: str, sign: int) -> None:
    limit = 10**18 // of._FACTORS[currency]
    both_do([item(currency=currency, total=sign * (limit - 1), approval_limit=sign * (limit - 1))])
    for amounts in ({"total": sign * limit}, {"approval_limit": sign * limit}):
        beyond = [item(currency=currency, **amounts)]
        assert not is_taken(beyond)
        both_agree(beyond)


@pytest.mark.parametrize("sign", [1, -1])
def test_lines_up_to_eighteen_digits(sign: int) -> None:
    both_do([item(lines=(Line(None, None, None, sign * (10**18 - 1), sign * (10**18 - 1)),))])
    for line in (Line(quantity_thousandths=sign * 10**18), Line(unit_price_e4=sign * 10**18)):
        assert not is_taken([item(lines=(line,))])
        both_agree([item(lines=(line,))])


@pytest.mark.parametrize("number", [-(2**63), 2**63 - 1, 0, -1, 2**30, 2**60])
def test_times_and_sub_sequence_numbers_of_64_bits(number: int) -> None:
    both_do([item(Position("s", "1", number), at=number, occurred_at=number)])


UNUSUAL: list[dict[str, Any]] = [
    *({name: None} for name in ("transaction_id", "shop_id", "type", "currency", "total")),
    *({name: None} for name in ("occurred_at", "utc_offset_minutes", "lines")),
    *({name: OwnStr("GBP")} for name in ("transaction_id", "shop_id", "type", "currency")),
    *({name: OwnStr("r1")} for name in ("register_id", "cashier_id", "reason")),
    *({name: "\ud800"} for name in ("transaction_id", "shop_id", "customer_id", "currency")),
    *({name: b"bytes"} for name in ("transaction_id", "contact_name", "payment_method")),
    *({name: OwnInt(7)} for name in ("total", "occurred_at", "utc_offset_minutes")),
    *({name: True} for name in ("total", "approval_limit", "occurred_at", "utc_offset_minutes")),
    *({name: 1.0} for name in ("total", "approval_limit", "occurred_at", "utc_offset_minutes")),
    *({name: 2**63} for name in ("total", "approval_limit", "occurred_at", "utc_offset_minutes")),
    *({name: -(10**40)} for name in ("total", "approval_limit", "occurred_at")),
    {"utc_offset_minutes": 2**15},
    {"utc_offset_minutes": -(2**15) - 1},
    {"currency": "XXX"},
    {"currency": ""},
    {"unknown": b"\xff"},
    {"unknown": b'"\xed\xa0\x80"'},
    {"unknown": OwnBytes(b"{}")},
    {"unknown": bytearray(b"{}")},
    {"unknown": "{}"},
    {"lines": []},
    {"lines": OwnTuple()},
    {"lines": (None,)},
    {"lines": (OwnLine("1"),)},
    {"lines": (Line(item_id=7),)},  # type: ignore[arg-type]  # a wrong type on purpose
    {"lines": (Line(category="\udfff"),)},
    {"lines": (Line(description=OwnStr("d")),)},
    {"lines": (Line(quantity_thousandths=2**64),)},
    {"lines": (Line(unit_price_e4=OwnInt(7)),)},
    {"lines": (Line(unit_price_e4=1.5),)},  # type: ignore[arg-type]  # likewise
]


@pytest.mark.parametrize("fields", UNUSUAL, ids=repr)
def test_what_is_unusual_is_handed_back(fields: dict[str, Any]) -> None:
    items = [scored(n) for n in range(9)]
    items[5] = msgspec.structs.replace(
        items[5], transaction=msgspec.structs.replace(items[5].transaction, **fields)
    )
    assert not is_taken(items)
    both_agree(items)


PLAIN = item()
WRONG: Any = None


@pytest.mark.parametrize(
    "unusual",
    [
        None,
        PLAIN.transaction,
        OwnScored(PLAIN.position, PLAIN.transaction, None, b""),
        Scored(OwnPosition("s", "1"), PLAIN.transaction, None, b""),
        Scored(PLAIN.position, OwnTransaction("1", "s", "SALE", 0, 0, "GBP", 1), None, b""),
        Scored(WRONG, PLAIN.transaction, None, b""),
        Scored(PLAIN.position, WRONG, None, b""),
        item(Position(OwnStr("s"), "1")),
        item(Position("s", WRONG)),
        item(Position("s", "\ud800")),
        item(Position("s", "1", WRONG)),
        item(Position("s", "1", 2**63)),
        item(at=2**63),
        item(at=OwnInt(7)),
        item(at="noon"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_unusual_item_is_handed_back(unusual: Any) -> None:
    items = [*trade(5), unusual, *trade(5)]
    assert not is_taken(items)
    both_agree(items)


@pytest.mark.parametrize("items", [(), [], iter([PLAIN]), OwnTuple((PLAIN,)), None, {PLAIN.data}])
def test_what_is_no_plain_sequence_is_handed_back(items: Any) -> None:
    assert not is_taken(items)


def test_factors_are_a_plain_dict() -> None:
    for wrong in (None, "GBP", 100):
        with pytest.raises(TypeError):
            _columns.columns([PLAIN], wrong)
    for factor in (0, -1, 2**63, "1", None):
        assert _columns.columns([PLAIN], {"GBP": factor}) is None


@pytest.mark.parametrize(
    "odd",
    [
        7,
        score(float("nan")),
        score(2),
        score("high"),  # type: ignore[arg-type]  # on purpose
        Score(0.5, (), "m1"),
        Score(0.5, (), "\ud800"),
        Score(0.5, (Reason("é", "", "", 1, 2, "", 0.5),), "ü"),
        Score(0.5, (Reason(WRONG, "", "", 1.0, 1.0, "", 0.5),), "m"),
        Score(0.5, (WRONG,), "m"),
        Score(0.5, WRONG, "m"),
    ],
    ids=repr,
)
def test_scores_are_pythons_own_business(odd: Any) -> None:
    both_agree([item(), item(score=odd), item(), item(score=score())])
    both_agree([item(score=odd)])


def test_a_culprit_is_found_the_same_way() -> None:
    items = [scored(n) for n in range(40)]
    items[17] = scored(17, currency="XXX")
    items[29] = scored(29, reason="\ud800")
    found = culprits(items, of.rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(of, "_native", None)
        wanted = culprits(items, of.rows)
    assert [it for it, _ in found] == [it for it, _ in wanted] == [items[17], items[29]]
    assert [repr(error) for _, error in found] == [repr(error) for _, error in wanted]


WORDS = st.text(max_size=8) | st.sampled_from(["", "SALE", '"\\', "\0", "\x1f", "ü", "€", "😀"])
BIG = st.integers(-(2**63), 2**63 - 1)
AMOUNTS = st.integers(1 - 10**14, 10**14 - 1)
QUANTITIES = st.integers(1 - 10**18, 10**18 - 1)
PIECES = st.builds(
    Line,
    *(st.none() | WORDS for _ in range(3)),
    *(st.none() | QUANTITIES for _ in range(2)),
)
REASONS = st.builds(Reason, *[WORDS] * 3, st.floats(), st.floats(), WORDS, st.floats(0, 1))
SCORES = st.builds(Score, st.floats(0, 1), st.lists(REASONS, max_size=3).map(tuple), st.just("m1"))
USUAL: dict[str, st.SearchStrategy[Any]] = {
    "transaction_id": WORDS,
    "shop_id": WORDS,
    "type": st.sampled_from(["SALE", "REFUND", "VOID"]),
    "occurred_at": st.integers(NOON - 10**10, NOON + 10**10) | BIG,
    "utc_offset_minutes": st.integers(-(2**15), 2**15 - 1),
    "currency": st.sampled_from(sorted(EXPONENTS)),
    "total": AMOUNTS,
    "register_id": st.none() | WORDS,
    "cashier_id": st.none() | WORDS,
    "payment_method": st.none() | WORDS,
    "card_token": st.none() | WORDS,
    "customer_id": st.none() | WORDS,
    "contact_name": st.none() | WORDS,
    "contact_email": st.none() | WORDS,
    "original_transaction_id": st.none() | WORDS,
    "reason": st.none() | WORDS,
    "approval_limit": st.none() | AMOUNTS,
    "lines": st.lists(PIECES, max_size=4).map(tuple),
    "unknown": st.none() | WORDS.map(str.encode),
}
ODD: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    BIG,
    st.floats(),
    st.text(max_size=3),
    st.text(st.characters(categories=["Cs"]), max_size=2),
    st.binary(max_size=3),
    st.text(max_size=3).map(OwnStr),
    st.integers().map(OwnInt),
    st.lists(st.none(), max_size=1),
    st.tuples(PIECES),
    st.tuples(st.none()),
)


@st.composite
def items_of(draw: st.DrawFn, transactions: st.SearchStrategy[Transaction]) -> Scored:
    return Scored(
        draw(st.builds(Position, st.just(SHARD) | WORDS, WORDS, BIG)),
        draw(transactions),
        draw(st.none() | SCORES),
        b"{}",
        draw(st.none() | BIG),
    )


@st.composite
def odd_transactions(draw: st.DrawFn) -> Transaction:
    names = draw(st.sets(st.sampled_from(sorted(USUAL)), min_size=1, max_size=2))
    usual = draw(st.fixed_dictionaries(USUAL))
    return Transaction(**usual | {name: draw(ODD) for name in sorted(names)})


USUAL_TRANSACTIONS = st.fixed_dictionaries(USUAL).map(lambda fields: Transaction(**fields))


@settings(max_examples=150, deadline=None)
@given(st.lists(items_of(USUAL_TRANSACTIONS), min_size=1, max_size=6))
def test_usual_values_are_taken_and_equal(items: list[Scored]) -> None:
    both_do(items)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(items_of(USUAL_TRANSACTIONS), max_size=2),
    st.lists(items_of(odd_transactions()), min_size=1, max_size=2),
)
def test_odd_values_lead_to_the_same(usual: list[Scored], odd: list[Scored]) -> None:
    both_agree([*usual, *odd])


def test_nothing_leaks() -> None:
    items = tuple(trade(300))
    handed_back = (*items, item(reason="\ud800"))
    shared = [items[0], items[0].transaction, items[0].position, items[0].transaction.shop_id]
    shared += [items[0].transaction.lines, next(it.score for it in items if it.score), None]
    shared += [of._FACTORS, items, handed_back]

    def run(times: int) -> None:
        for _ in range(times):
            _columns.columns(items, of._FACTORS)
            _columns.columns(handed_back, of._FACTORS)

    run(10)
    gc.collect()
    counts = [sys.getrefcount(it) for it in shared]
    tracemalloc.start()
    try:
        run(10)
        before, _ = tracemalloc.get_traced_memory()
        run(300)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert abs(after - before) < 20_000
    now = [sys.getrefcount(it) for it in shared]
    assert all(abs(new - old) < 50 for new, old in zip(now, counts, strict=True))


def test_memory_that_runs_out_anywhere_is_an_exception() -> None:
    allocator = pytest.importorskip("_testcapi", reason="this Python lacks its test hooks")
    items = [*trade(30), item(transaction_id="ü" * 900, lines=(Line("é"),) * 99)]
    raised = 0
    for start in range(400):
        allocator.set_nomemory(start, start + 1)
        try:
            made = _columns.columns(items, of._FACTORS)
        except MemoryError:
            raised += 1
        else:
            assert made is not None
        finally:
            allocator.remove_mem_hooks()
    assert raised > 50
    both_do(items)
