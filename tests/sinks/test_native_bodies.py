"""The C twin of the bulk body writes what Python writes, or hands it back to Python."""

import gc
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.batch import Scored
from events.instant import DAY
from events.money import EXPONENTS
from events.native import native
from events.position import Position
from events.score import Reason, Score
from events.transaction import Line, Transaction
from sinks import document, opensearch
from sinks.amount import money_json, quantity_json, unit_price_json
from sinks.bulk import Body, joined
from sinks.opensearch import OpenSearchSink
from tests.sinks.made import NOON, position, score, scored, trade, transaction

_bodies = native("sinks._bodies")
pytestmark = pytest.mark.skipif(_bodies is None, reason="the twin is not compiled, or is off")

ROOM = 2**20
FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The first and the last microsecond of datetime."""


class OwnStr(str):
    __slots__ = ()


class OwnInt(int):
    pass


class OwnBytes(bytes):
    __slots__ = ()


class OwnPosition(Position, frozen=True):
    pass


def full(**fields: Any) -> Scored:
    """An item with every field filled."""
    values: dict[str, Any] = {
        "type": "REFUND",
        "register_id": "r2",
        "payment_method": "CARD",
        "card_token": "k-1",
        "customer_id": "ü-1",
        "contact_name": "n-hash",
        "contact_email": "e-hash",
        "original_transaction_id": "t-0",
        "reason": 'DAMAGED "\t\x01',
        "approval_limit": 10_000,
        "lines": (Line("101", "Item One", "toys", 1_500, 249_950), Line()),
        "unknown": b'{"till":{"side":"left"}}',
        "card_before": "k-0",
    }
    return scored(1, score=score(), **(values | fields))


def replaced(item: Scored, **fields: Any) -> Scored:
    return msgspec.structs.replace(item, **fields)


def forget() -> None:
    """Empty the caches of texts: a total of 0.0 would leave its text to the next that is 0."""
    for cached in (money_json, unit_price_json, quantity_json):
        cached.cache_clear()


@pytest.fixture(autouse=True, scope="module")
def forgotten() -> Iterator[None]:
    yield
    forget()


def written(*items: Scored) -> tuple[bytes, int]:
    found: tuple[bytes, int] = _bodies.transactions(items, 0, ROOM)
    return found


def by_python(item: Scored) -> bytes:
    forget()
    entry = document.transaction(item)
    return msgspec.json.encode(entry.action) + b"\n" + msgspec.json.encode(entry.document) + b"\n"


def outcome(scored: tuple[Scored, ...], bytes_max: int) -> tuple[list[Body], list[Any]]:
    """The bodies of `scored`, and what was refused in which words, in the order of `scored`."""
    forget()
    refused: list[Any] = []
    sink = OpenSearchSink(None, threading.Event(), body_bytes_max=bytes_max)
    try:
        parts = sink._transactions(scored, lambda *said: refused.append(said))
        bodies = list(joined(parts, bytes_max))
    except Exception as error:  # noqa: BLE001 -- no record's fault: it is to travel either way
        return [], [type(error), str(error)]
    places = {id(item): place for place, item in enumerate(scored)}
    return bodies, sorted(refused, key=lambda said: places[id(said[0])])


def assert_alike(scored: tuple[Scored, ...], bytes_max: int = ROOM) -> None:
    made, refused = outcome(scored, bytes_max)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opensearch, "_native", None)
        expected, refused_expected = outcome(scored, bytes_max)
    assert refused == refused_expected
    assert b"".join(body.data for body in made) == b"".join(body.data for body in expected)
    sources = [source for body in made for source in body.sources]
    assert list(map(id, sources)) == [id(source) for body in expected for source in body.sources]
    for body in made:
        assert len(body.data) <= bytes_max or len(body.sources) == 1
        if not any(item.transaction.unknown for item in body.sources if isinstance(item, Scored)):
            assert body.only(range(len(body.sources))) == body


ODD_CHARACTERS = st.sampled_from('"\\/\b\t\n\f\r\0\x1f\x7f\x80éß\u2028\uffff\ud800\udfff\U0001f600')
TEXTS = st.text(st.characters(exclude_categories=()) | ODD_CHARACTERS, max_size=12) | st.text(
    st.characters(max_codepoint=127), max_size=12
)
PLAIN_TEXTS = st.text(max_size=12)
WHOLES = (
    st.integers(-(10**15), 10**15)
    | st.integers(-(2**65), 2**65)
    | st.sampled_from([0, 1, -1, 9, 10, 1_000, 10_000, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1])
)
TIMES = (
    st.integers(FIRST - 2 * DAY, LAST + 2 * DAY)
    | st.integers(NOON, NOON + 10 * DAY)
    | st.builds(lambda day, of_day: day * DAY + of_day, st.integers(-719_162, 2_932_896),
                st.sampled_from([0, 1, 999_999, 1_000_000, DAY - 1]))
)  # fmt: skip
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.floats(),
    st.builds(OwnStr, PLAIN_TEXTS),
    st.builds(OwnInt, st.integers(-5, 10**20)),
    st.binary(max_size=4),
    st.just(b'{"a":1}'),
    st.just(()),
    st.just([]),
    st.builds(object),
)
ROWS = st.builds(
    Line,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | TEXTS,
    st.none() | WHOLES,
    st.none() | WHOLES,
)
UNKNOWN = st.sampled_from([b"{}", b'{"a":"\xc3\xa9"}', b"", b"{}\n{}", b"\xff", OwnBytes(b"{}")])
SCORES = st.builds(
    Score,
    st.floats(),
    st.lists(
        st.builds(Reason, TEXTS, TEXTS, TEXTS, st.floats(), st.floats(), TEXTS, st.floats()),
        max_size=3,
    ).map(tuple),
    TEXTS,
)
REQUIRED: dict[str, st.SearchStrategy[Any]] = {
    "transaction_id": PLAIN_TEXTS | TEXTS | st.sampled_from(["", "é" * 128, "é" * 256, "é" * 257]),
    "shop_id": TEXTS,
    "type": st.sampled_from(["SALE", "REFUND", "VOID", "É"]),
    "occurred_at": TIMES,
    "utc_offset_minutes": st.integers(-840, 840) | WHOLES,
    "currency": st.sampled_from(["GBP", "JPY", "KWD", "CLF", "HRK", "XXX", ""]),
    "total": WHOLES,
}
OPTIONAL: dict[str, st.SearchStrategy[Any]] = {
    name: st.none() | TEXTS
    for name in Transaction.__struct_fields__
    if name not in {*REQUIRED, "approval_limit", "lines", "unknown"}
} | {
    "approval_limit": st.none() | WHOLES,
    "lines": st.lists(ROWS, max_size=4).map(tuple),
    "unknown": st.none() | UNKNOWN,
}
FIELDS = REQUIRED | OPTIONAL


@st.composite
def items(draw: st.DrawFn) -> Scored:
    """Items of which some fields are odd, and some of the classes are not ours at all."""
    number = draw(st.integers(0, 10**6))
    some = draw(st.sets(st.sampled_from(sorted(FIELDS)), max_size=6))
    fields = {name: draw(FIELDS[name]) for name in sorted(some)}
    if draw(st.integers(0, 9)) == 0:
        fields[draw(st.sampled_from(sorted(FIELDS)))] = draw(JUNK)
    if draw(st.integers(0, 19)) == 0:
        values = [draw(TEXTS), None, None, draw(WHOLES), None]
        values[draw(st.integers(0, 4))] = draw(JUNK)
        fields["lines"] = (Line(*values), draw(st.just(Line()) | JUNK))
    place = draw(
        st.just(position(number)) | st.builds(Position, TEXTS, TEXTS, WHOLES) | st.builds(
            Position, TEXTS | JUNK, TEXTS | JUNK, WHOLES | JUNK
        )
    )  # fmt: skip
    return Scored(
        place if draw(st.integers(0, 19)) else draw(st.just(OwnPosition("a", "1")) | JUNK),
        transaction(number, **fields),
        draw(st.none() | st.none() | SCORES | st.builds(Score, JUNK, JUNK, JUNK) | JUNK),
        b"{}",
        draw(st.none() | TIMES | JUNK),
    )


@settings(max_examples=400, deadline=None)
@given(st.lists(items(), max_size=5).map(tuple), st.sampled_from([1, 300, 700, 2_000, ROOM]))
def test_it_writes_what_python_writes_and_refuses_what_python_refuses(
    scored: tuple[Scored, ...], bytes_max: int
) -> None:
    assert_alike(scored, bytes_max)


@settings(max_examples=400, deadline=None)
@given(items())
def test_an_item_is_whole_or_handed_back(item: Scored) -> None:
    data, end = written(item)
    if end:
        assert data == by_python(item)
    else:
        assert data == b""


@pytest.mark.parametrize("limit", [1, 400, 1_000, 5_000, 2**20])
def test_a_trade_is_written_by_it_alone_where_there_is_room(limit: int) -> None:
    made = tuple(trade(300))
    assert_alike(made, limit)
    data, end = written(*made)
    assert end == 300
    assert data == b"".join(map(by_python, made))


@pytest.mark.parametrize("id_", ["i", "i" * 512, "é" * 256, "\U0001f600" * 128, 'a"\n\0'])
def test_an_id_that_opensearch_takes_is_written(id_: str) -> None:
    item = full(transaction_id=id_)
    assert written(item) == (by_python(item), 1)


def test_every_field_is_written() -> None:
    item = full()
    assert written(item) == (by_python(item), 1)
    assert b'"customer_id":"\xc3\xbc-1"' in by_python(item)


@pytest.mark.parametrize("currency", sorted({*EXPONENTS}))
def test_amounts_of_every_currency(currency: str) -> None:
    amounts = [0, 1, 9, 10, 99, 100, 101, 1_000, 9_999, 10_000, 123_456, 10**15 - 1, 2**63 - 1]
    for amount in (*amounts, *(-amount for amount in amounts), -(2**63)):
        item = full(
            currency=currency,
            total=amount,
            approval_limit=amount,
            lines=(Line("1", None, None, amount, amount),),
        )
        assert written(item) == (by_python(item), 1)


def test_days_of_all_years() -> None:
    days = [*range(-719_162, 2_932_897, 61), *range(-26_000, 48_000, 7), 2_932_896]
    made = tuple(
        replaced(scored(n, occurred_at=day * DAY + n), arrived_at=day * DAY + DAY - 1 - n)
        for n, day in enumerate(days)
    )
    start = 0
    while start < len(made):
        data, end = _bodies.transactions(made, start, ROOM)
        assert end > start
        assert data == b"".join(map(by_python, made[start:end]))
        start = end


@pytest.mark.parametrize(
    "item",
    [
        full(transaction_id=""),
        full(transaction_id="i" * 513),
        full(transaction_id="é" * 257),
        full(transaction_id=OwnStr("t")),
        full(transaction_id="\ud800"),
        full(shop_id=None),
        full(type=None),
        full(occurred_at=FIRST - 1),
        full(occurred_at=LAST + 1),
        full(occurred_at=2**64),
        full(occurred_at=1.0),
        full(utc_offset_minutes=True),
        full(currency="XXX"),
        full(currency="\ud800"),
        full(currency=[]),
        full(currency=OwnStr("GBP")),
        full(total=2**63),
        full(total=OwnInt(5)),
        full(total=None),
        full(reason="\udfff"),
        full(reason=5),
        full(approval_limit=True),
        full(lines=[Line()]),
        full(lines=None),
        full(lines=(Line(), {})),
        full(lines=(Line(item_id=b"1"),)),
        full(lines=(Line(unit_price_e4=-(2**63) - 1),)),
        full(unknown=OwnBytes(b"{}")),
        full(unknown="{}"),
        replaced(full(), position=None),
        replaced(full(), position=OwnPosition("a", "1")),
        replaced(full(), position=Position("a", "1", None)),  # type: ignore[arg-type] # the point
        replaced(full(), score=0.5),
        replaced(full(), score=Score(object(), (), "m")),  # type: ignore[arg-type] # the point
        replaced(full(), score=Score(1.0, (), "\ud800")),
        replaced(full(), arrived_at=LAST + 1),
        replaced(full(), arrived_at="now"),
        replaced(full(), transaction=None),
        None,
    ],
)
def test_what_is_not_plain_is_handed_back_and_nothing_of_it_stays(item: Any) -> None:
    assert written(item) == (b"", 0)
    before = scored(1)
    assert written(before, item, before) == (by_python(before), 1)
    if item is not None and item.transaction is not None:
        assert_alike((before, item, before))


def test_refusals_stay_as_they_are() -> None:
    made = (
        scored(0),
        scored(1, transaction_id=""),
        scored(2, transaction_id="é" * 257),
        scored(3, transaction_id="é" * 256),
        scored(4, reason="\ud800"),
        scored(5, currency="XXX"),
        scored(6),
    )
    assert_alike(made)
    _, refused = outcome(made, ROOM)
    assert [(said[0], said[1]) for said in refused] == [
        (made[1], "bad_id"),
        (made[2], "bad_id"),
        (made[4], "document_unbuildable"),
        (made[5], "document_unbuildable"),
    ]


def test_no_room_is_overstepped_by_a_byte() -> None:
    item = full()
    whole = by_python(item)
    fits = [_bodies.transactions((item, item), 0, room) for room in range(1, 3 * len(whole))]
    assert {data for data, _ in fits} == {b"", whole, 2 * whole}
    for room, (data, end) in enumerate(fits, 1):
        assert len(data) <= room
        assert end == len(data) // len(whole)
    # An end of the room at every byte, whatever is written there.
    long = full(unknown=b'"%s"' % (b"x" * 3_000), lines=(Line("1", "é" * 500, "\0" * 300, 1, 1),))
    expected = by_python(long)
    for room in range(1, 12_000, 7):
        data, end = _bodies.transactions((long,), 0, room)
        assert (data, end) in ((b"", 0), (expected, 1))


def test_it_goes_on_where_it_is_told_to() -> None:
    made = tuple(scored(n) for n in range(3))
    assert _bodies.transactions(made, 2, ROOM) == (by_python(made[2]), 3)
    assert _bodies.transactions(made, 3, ROOM) == (b"", 3)
    assert _bodies.transactions(made, 9, ROOM) == (b"", 9)
    assert _bodies.transactions((), 0, ROOM) == (b"", 0)


@pytest.mark.parametrize("arguments", [([], 0, 9), ((), -1, 9), ((), 0, 0), ((), 0), ((), "0", 9)])
def test_what_is_no_argument_is_an_error(arguments: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        _bodies.transactions(*arguments)


class Zone(tzinfo):
    """A time zone that fails while msgspec asks it."""

    def __init__(self, error: type[BaseException] | None) -> None:
        self.error = error

    def utcoffset(self, _: datetime | None) -> timedelta:
        if self.error is not None:
            raise self.error
        return timedelta(0)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt, SystemExit])
def test_what_is_about_no_record_travels(error: type[BaseException]) -> None:
    with pytest.raises(error):
        written(scored_in(Zone(error)))


def test_what_is_about_the_record_is_pythons_to_tell() -> None:
    well = scored_in(Zone(None))
    assert written(well) == (by_python(well), 1)
    assert written(scored_in(Zone(ZeroDivisionError))) == (b"", 0)
    assert_alike((well, scored_in(Zone(ZeroDivisionError)), scored_in(Zone(RecursionError))))


def scored_in(zone: tzinfo) -> Scored:
    """An item with a time in `zone` among the reasons of its score."""
    reason: Any = datetime(2026, 1, 5, tzinfo=zone)
    return replaced(full(), score=Score(1.0, (reason,), "m"))


def test_it_leaves_nothing_behind() -> None:
    items = (
        *trade(200),
        *(full(reason=f"é{n}") for n in range(50)),
        full(reason="\ud800"),
        full(currency="XXX"),
        replaced(full(), score=Score(object(), (), "m")),  # type: ignore[arg-type] # the point
        full(),
    )
    shared = (
        Scored, Transaction, Position, Line, Score, EXPONENTS, *items,
        *(item.transaction for item in items), *(item.score for item in items if item.score),
    )  # fmt: skip

    def turn() -> None:
        start = 0
        while start < len(items):
            _, end = _bodies.transactions(items, start, 10_000)
            start = max(end, start + 1)

    turn()  # a text that is not ASCII keeps its UTF-8 form from now on
    gc.collect()  # what tests before this one left
    counts = [sys.getrefcount(one) for one in shared]
    nones = sys.getrefcount(None)
    tracemalloc.start()
    try:
        turn()
        gc.collect()
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(200):
            turn()
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 2_000
    drift = [sys.getrefcount(one) - count for one, count in zip(shared, counts, strict=True)]
    assert max(map(abs, drift)) < 200, "one reference more in each turn is 200 of them"
    assert abs(sys.getrefcount(None) - nones) < 10_000


def test_where_another_function_builds_documents_it_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[Scored] = []
    build = document.transaction

    def builds(item: Scored) -> document.Entry:
        asked.append(item)
        return build(item)

    monkeypatch.setattr(document, "transaction", builds)
    made = tuple(scored(n) for n in range(3))
    outcome(made, ROOM)
    assert asked == list(made)


def test_it_knows_every_field_there_is() -> None:
    """Who adds a field adds it to sinks/_bodies.c too, and then here."""
    assert Scored.__struct_fields__ == (
        "position", "transaction", "score", "data", "arrived_at",
    )  # fmt: skip
    assert Position.__struct_fields__ == ("shard_id", "sequence_number", "sub_sequence_number")
    assert Line.__struct_fields__ == (
        "item_id", "description", "category", "quantity_thousandths", "unit_price_e4",
    )  # fmt: skip
    assert document.LineDocument.__struct_fields__ == (
        "item_id", "description", "category", "quantity", "unit_price",
    )  # fmt: skip
    facts = (
        "transaction_id", "shop_id", "type", "occurred_at", "utc_offset_minutes", "currency",
        "total",
    )  # fmt: skip
    names = (
        "register_id", "cashier_id", "payment_method", "card_token", "customer_id",
        "contact_name", "contact_email", "original_transaction_id", "reason", "approval_limit",
        "lines", "unknown",
    )  # fmt: skip
    assert Transaction.__struct_fields__ == (*facts, *names, "card_before")
    assert document.TransactionDocument.__struct_fields__ == (
        *facts, "position", "arrived_at", *names, "score",
    )  # fmt: skip
