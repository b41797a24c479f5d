"""The twin of the parser says what the parser says, and leaves its caches as the parser does."""

import gc
import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import events.parse
from benchmarks.records import wire_records
from events.instant import DAY, to_iso
from events.native import native
from events.parse import OCCURRED_END, OCCURRED_MIN, Parser
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction
from tests.events.example import ARRIVED_AT, FULL, KEY, LEAST, POSITION, record
from tests.events.test_parse_fuzz import TOKENS, json_values, paths, replaced

ROOT = Path(__file__).parent.parent.parent
TWIN = native("events._parse")
BOUNDS = (OCCURRED_MIN, OCCURRED_END, DAY)

compiled = pytest.mark.skipif(TWIN is None, reason="the twin was not compiled, or is left aside")

PLAIN: dict[str, Any] = {name: value for name, value in FULL.items() if name != "contact"}
USUAL = [record(data) for _, data in wire_records(60)] + [
    record(json.dumps(fields).encode())
    for fields in (
        LEAST,
        PLAIN,
        PLAIN | {"type": "SALE", "total": 25, "approval_limit": 0},
        PLAIN | {"type": "VOID", "total": 0.5, "approval_limit": "7.5"},
        PLAIN | {"customer_id": "4000-1234-99", "reason": "", "lines": []},
        PLAIN | {"lines": [{"quantity": 1.125, "unit_price": "-0.0001"}, {"item_id": "7"}, {}]},
        PLAIN | {"occurred_at": "2026-01-05T10:31:07-03:45", "payment": {}},
        PLAIN | {"lines": [{"item_id": "1", "unit_price": "1"}] * 900},
    )
]


def outcomes(parser: Parser, records: Sequence[Any]) -> list[object]:
    """What the parser says of each in turn, or the kind of exception that it says nothing with."""
    answers: list[object] = []
    for each in records:
        try:
            answers.append(parser.parse(each))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is to be the same
            return [*answers, type(error)]
    return answers


def through_the_twin(parser: Parser, records: Sequence[Any]) -> list[object]:
    answers: list[object] = []

    def parse(each: Record) -> object:
        return parser.parse(each)

    # One by one, so that what came before an exception is seen.
    for each in records:
        try:
            answers += TWIN.parse_all([each], parse, *of(parser))
        except Exception as error:  # noqa: BLE001 -- likewise
            return [*answers, type(error)]
    return answers


def of(parser: Parser) -> tuple[Any, ...]:
    caches = parser._ids, parser._texts, parser._people
    return *caches, parser._pseudonymize, (*BOUNDS[:2], parser._future_max)


def caches(parser: Parser) -> list[list[tuple[Any, Any]]]:
    return [list(cache.items()) for cache in (parser._ids, parser._texts, parser._people)]


def check(records: Sequence[Any], masked: Pseudonymizer | None = None) -> None:
    pseudonymizer = masked or Pseudonymizer(KEY, before=KEY[::-1])
    plain, native_one, whole = (Parser(pseudonymizer) for _ in range(3))
    expected = outcomes(plain, records)
    found = through_the_twin(native_one, records)
    # `==` takes True for 1, and one kind of text for another.
    assert found == expected
    assert repr(found) == repr(expected)
    assert caches(native_one) == caches(plain)
    for answer in found:
        if isinstance(answer, Transaction):
            check_shared(answer, native_one)
    if not (expected and isinstance(expected[-1], type)):
        assert whole.parse_all(records) == expected
        assert caches(whole) == caches(plain)


def check_shared(answer: Transaction, parser: Parser) -> None:
    """The texts of a transaction are the caches' own."""
    ids, texts, people = (
        {id(value) for value in cache.values()}
        for cache in (parser._ids, parser._texts, parser._people)
    )
    assert {id(answer.shop_id), id(answer.currency), id(answer.register_id)} <= ids
    assert {id(line.item_id) for line in answer.lines} <= ids
    assert {id(answer.payment_method), id(answer.reason)} <= texts
    assert {id(text) for line in answer.lines for text in (line.description, line.category)} <= (
        texts
    )
    assert id(answer.cashier_id) in people


decimals = (
    st.decimals(-1000, 1000, places=2).map(str)
    | st.text("0123456789", min_size=1, max_size=19)
    | st.text("019.-+eE ٣", max_size=22)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(0, 100).map(lambda value: round(value, 2))
    | st.integers()
    | st.sampled_from(["", "-", ".", "1.", ".5", "-0", "00.10", "12.500", "1e2", 10**12, 10**13])
    | st.sampled_from([10**11 * 10 - 1, "999999999999999", "9999999999999.99", "1" + "0" * 63])
    | st.sampled_from([None, True, [], {}, 0, -1, 2**63, -(2**63), 2**64, "12.5", "12"])
)
times = st.tuples(
    st.datetimes(datetime(1999, 12, 30), datetime(2100, 1, 3))  # noqa: DTZ001 -- zones come next
    | st.datetimes(datetime(2026, 1, 4), datetime(2026, 1, 7)),  # noqa: DTZ001 -- likewise
    st.sampled_from(["Z", "+00:00", "-00:00", "+05:30", "-03:45", "+14:00", "-23:59", ""]),
).map(lambda parts: parts[0].isoformat() + parts[1])
words = st.text('ab@%é"\\\x1f\0 7‹', max_size=12) | st.sampled_from(["", "ada@example.org", None])
lines = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "item_id": words | st.just("101"),
            "description": words,
            "category": words,
            "quantity": decimals,
            "unit_price": decimals,
        },
    ),
    max_size=3,
)
names = ["register_id", "cashier_id", "customer_id", "reason", "original_transaction_id", "shop_id"]
usual_changes = st.one_of(
    st.tuples(st.sampled_from([(name,) for name in names]), st.text("abc17", min_size=1)),
    st.tuples(st.just(("total",)), st.integers(1, 10**6) | st.sampled_from(["1", "7.5", "0.01"])),
    st.tuples(st.just(("type",)), st.sampled_from(["SALE", "REFUND", "VOID"])),
    st.tuples(st.just(("payment",)), st.sampled_from([{}, {"method": "CASH"}])),
    st.tuples(st.just(("lines", 0)), st.fixed_dictionaries({"item_id": st.text("17é")})),
    st.tuples(st.just(("lines",)), st.lists(st.just({"item_id": "7", "unit_price": 0.99}))),
)
changes = usual_changes | st.one_of(
    st.tuples(st.just(("total",)), decimals),
    st.tuples(st.just(("approval_limit",)), decimals),
    st.tuples(st.just(("lines",)), lines),
    st.tuples(st.just(("lines", 0, "unit_price")), decimals),
    st.tuples(st.just(("lines", 0, "quantity")), decimals),
    st.tuples(st.just(("occurred_at",)), times),
    st.tuples(st.just(("type",)), st.sampled_from(["SALE", "REFUND", "VOID", "GIFT"])),
    st.tuples(st.just(("currency",)), st.sampled_from(["GBP", "JPY", "KWD", "CLF", "XXX", ""])),
    st.tuples(st.just(("schema",)), st.sampled_from([1, 2, None, True, 0, -1, 2**70, 1.0, "1"])),
    st.tuples(st.just(("customer_id",)), words | st.text("@%1", min_size=1, max_size=10)),
    st.tuples(st.just(("payment",)), st.sampled_from([None, {}, {"method": None}, {"pan": 1}])),
    st.tuples(st.just(("payment", "card_token")), words),
    st.tuples(st.sampled_from([(name,) for name in PLAIN]), words),
    st.tuples(paths, json_values),
)
tails = st.sampled_from(
    [b""] * 12
    + [b',"total":"1.00"', b',"total":1', b',"shop_id":"x"', b',"reason":null', b',"extra":1']
    + [b',"\\u0074otal":"1.00"', b',"reason":"a"', b',"reason":"DAMAGED"', b" ", b',"z":"\xff"']
)
arrivals = (
    st.just(ARRIVED_AT)
    | st.none()
    | st.integers(OCCURRED_MIN - 2 * DAY, OCCURRED_END + 2 * DAY)
    | st.sampled_from([True, 2**61, -(2**61), 2**70, 0])
)


@st.composite
def wires(draw: Any) -> Record:
    fields: Any = dict(PLAIN)
    for name in draw(st.sets(st.sampled_from(sorted(set(PLAIN) - set(LEAST))), max_size=4)):
        del fields[name]
    for path, value in draw(st.lists(changes, max_size=3)):
        try:
            fields = replaced(fields, path, value)
        except (AttributeError, TypeError, ValueError):
            continue  # an earlier change took away what this one would go into
    data = json.dumps(fields, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")
    data = data[:-1] + draw(tails) + b"}"
    for at, cut, insert in draw(
        st.lists(
            st.tuples(st.integers(0, len(data)), st.integers(0, 9), st.sampled_from(TOKENS)),
            max_size=draw(st.sampled_from([0, 0, 0, 0, 0, 2])),
        )
    ):
        data = data[:at] + insert + data[at + cut :]
    return record(data, draw(arrivals))


@compiled
def test_usual_records_are_not_handed_back() -> None:
    def parse(each: Record) -> object:
        raise AssertionError(each.data)

    parser = Parser(Pseudonymizer(KEY))
    found = TWIN.parse_all(USUAL, parse, *of(parser))
    assert found == [parser.parse(each) for each in USUAL]
    check(USUAL)


@compiled
@settings(max_examples=400)
@given(records=st.lists(wires(), max_size=4))
def test_the_twin_says_the_same_of_any_record(records: list[Record]) -> None:
    check(records)


@compiled
@settings(max_examples=300)
@given(data=st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 100_000)
@example(b"")
def test_the_twin_says_the_same_of_any_bytes(data: bytes) -> None:
    check([record(data)])


ODD: list[dict[str, Any]] = [
    {"register_id": "a\0b"},
    {"register_id": "a\n"},  # its backslash is the third byte from the end
    {"lines": [{"item_id": "101"}, {"item_id": "\x1f"}]},
    {"cashier_id": "é" * 256},
    {"cashier_id": "é" * 257},
    {"lines": [{"item_id": "é" * 257}]},
    {"contact": {}},
    {"contact": {"email": "ada@example.org"}},
    {"reason": None},
    *(
        {"customer_id": text}
        for text in ("+442079460958", "4111111111111111", "a@b.co", "a%40b.co", "é", "u 5521 é")
    ),
    {"customer_id": "020 7946"},
    {"cashier_id": "ada@example.org", "reason": "call 020 7946 0958"},
    *(
        {"currency": currency, name: amount, "total": total}
        for currency, end in (("JPY", 10**15), ("GBP", 10**13), ("KWD", 10**12), ("CLF", 10**11))
        for whole in (end - 1, end)
        for name, total, amount in (
            ("reason", whole, "a"),
            ("reason", str(whole), "a"),
            ("reason", f"{whole}.0", "a"),
            ("approval_limit", 1, whole),
            ("approval_limit", 1, f"-{whole}"),
        )
    ),
    *(
        {"lines": [{name: sign * amount}]}
        for name, end in (("quantity", 10**12), ("unit_price", 10**11))
        for amount in (end - 1, end)
        for sign in (1, -1)
    ),
]


@compiled
def test_the_twin_says_the_same_at_every_edge() -> None:
    for fields in ODD:
        # The byte that matters stands at every place of the eight that are looked at together.
        for blanks in range(8):
            spelled = {"shop_id": "s" * (1 + blanks)} | {
                name: value for name, value in LEAST.items() if name != "shop_id"
            }
            for ascii_only in (True, False):
                text = json.dumps(spelled | fields, ensure_ascii=ascii_only)
                check([record(text.encode())])


@compiled
@settings(max_examples=300)
@given(
    currency=st.sampled_from(["GBP", "JPY", "KWD", "CLF"]),
    total=decimals,
    limit=decimals,
    sold=lines,
)
def test_the_twin_says_the_same_of_any_amount(
    currency: str, total: object, limit: object, sold: object
) -> None:
    fields = LEAST | {"currency": currency, "total": total}
    check([record(json.dumps(fields).encode())])
    fields |= {"total": "1", "approval_limit": limit}
    check([record(json.dumps(fields).encode())])
    check([record(json.dumps(fields | {"approval_limit": None, "lines": sold}).encode())])


@compiled
@settings(max_examples=300)
@given(text=times, arrived_at=arrivals, ahead=st.sampled_from([0, 1, DAY, 2**61, True]))
@example("2000-01-01T00:00:00Z", None, DAY)
@example("1999-12-31T23:59:59.999999Z", None, DAY)
@example("2099-12-31T23:59:59.999999Z", None, DAY)
@example("2100-01-01T00:00:00Z", None, DAY)
@example("2100-01-01T00:00:00Z", OCCURRED_END, DAY)
@example("2100-01-01T05:29:59.999999+05:30", OCCURRED_END, DAY)
@example("2024-02-29T23:59:59.5-00:01", None, DAY)
@example(to_iso(ARRIVED_AT), ARRIVED_AT, 0)
@example(to_iso(ARRIVED_AT + 1_000), ARRIVED_AT, 0)
def test_the_twin_says_the_same_of_any_time(text: str, arrived_at: int | None, ahead: int) -> None:
    one = record(json.dumps(LEAST | {"occurred_at": text}).encode(), arrived_at)
    one_parser, other = (Parser(Pseudonymizer(KEY), future_max=ahead) for _ in range(2))
    found = TWIN.parse_all([one], one_parser.parse, *of(one_parser))
    assert repr(found) == repr([other.parse(one)])


@compiled
@given(at=st.integers(0, 40), size=st.integers(0, 2100), odd=st.sampled_from('é\\"€~\x7f'))
def test_a_byte_is_odd_wherever_it_stands(at: int, size: int, odd: str) -> None:
    text = "~" * at + odd + "b" * (size % 17)
    fields = LEAST | {"reason": text[:1000], "register_id": "r" * (1 + size % 300)}
    check([record(json.dumps(fields, ensure_ascii=False).encode())])
    check([record(json.dumps(LEAST).encode() + b" " * size + odd.encode())])
    check([record(json.dumps(LEAST | {"lines": [{"item_id": "7"}] * size}).encode())])


def printed(script: str) -> str:
    """What `script` prints in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout.strip()


class Other(Record, frozen=True, gc=False):
    """A record of a kind of its own."""


class Masked(Pseudonymizer):
    __slots__ = ()

    def card_token(self, clear: str) -> str:
        return f"masked-{len(clear)}"


@compiled
def test_what_is_no_plain_record_is_handed_back() -> None:
    data = json.dumps(LEAST).encode()
    check([Other(POSITION, data, "shop-017", None), record(data)])
    for odd in (bytearray(data), memoryview(data), None, "text", 7):
        check([record(data), record(odd)])  # type: ignore[arg-type]  # nobody checks it
    for odd_time in (1.5, "now", float("inf")):
        check([record(data), record(data, odd_time)])  # type: ignore[arg-type]  # likewise
    for no_record in (None, 7, object(), data):
        check([record(data), no_record])


@compiled
def test_another_kind_of_pseudonymizer_is_asked_itself() -> None:
    one = record(json.dumps(PLAIN).encode())
    for names in (Masked(KEY), Masked(KEY, before=KEY)):
        (answer,) = Parser(names).parse_all([one])
        assert isinstance(answer, Transaction)
        assert answer.card_token == "masked-6"
        check([one, *USUAL[:3]], names)


@compiled
@pytest.mark.parametrize("at_most", [1, 2, 3, 7])
def test_full_caches_are_cleared_at_the_same_record(
    at_most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.parse, "TEXTS_SHARED_MAX", at_most)
    one, other = (Parser(Pseudonymizer(KEY)) for _ in range(2))
    odd = [record(json.dumps(FULL | {"cashier_id": f"é{n}"}).encode()) for n in range(9)]
    records = [each for pair in zip(USUAL, odd * 8, strict=False) for each in pair]
    for _ in range(2):
        assert one.parse_all(records) == [other.parse(each) for each in records]
        assert caches(one) == caches(other)


@compiled
def test_what_the_parser_raises_travels_and_its_records_may_change() -> None:
    parser = Parser(Pseudonymizer(KEY))
    odd = record(b"no JSON")

    def interrupted(each: Record) -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        TWIN.parse_all([*USUAL, odd], interrupted, *of(parser))
    records = [odd, *USUAL]

    def emptied(each: Record) -> object:
        records.clear()
        return parser.parse(each)

    (answer,) = TWIN.parse_all(records, emptied, *of(parser))
    assert isinstance(answer, Rejection)
    with pytest.raises(TypeError):
        TWIN.parse_all(7, parser.parse, *of(parser))
    with pytest.raises(TypeError):
        TWIN.parse_all([odd])


# Every allocation is refused in turn. Python 3.12 does not live through it where `redacted` makes a
# function, so nothing that is asked about by it is among the records.
REFUSING_MEMORY = """
import _testcapi
import events.decode

strict, decoded = events.decode._STRICT, {}


class Decoded:  # msgspec 0.22 itself does not live through a refusal
    decode = staticmethod(decoded.__getitem__)


events.decode._STRICT = Decoded
import events._parse as twin
events.decode._STRICT = strict
from tests.events.test_native_parse import KEY, USUAL, Parser, Pseudonymizer, of

records = [each for each in (*USUAL[:2], *USUAL[-8:]) if b"4000-1234" not in each.data]
decoded.update((each.data, strict.decode(each.data)) for each in records)
names = Pseudonymizer(KEY, before=KEY)
expected = list(map(Parser(names).parse, records))
refused = 0
for allocation in range(300):
    parser = Parser(names)
    arguments = records, parser.parse, *of(parser)
    found = None
    _testcapi.set_nomemory(allocation, allocation + 1)
    try:
        found = twin.parse_all(*arguments)
    except MemoryError:
        refused += 1
    finally:
        _testcapi.remove_mem_hooks()
    assert found is None or found == expected
    assert parser.parse_all(records) == expected
print(refused > 100)
"""


@compiled
def test_nothing_is_lost_when_memory_is_refused() -> None:
    pytest.importorskip("_testcapi", reason="this Python cannot refuse memory")
    assert printed(REFUSING_MEMORY) == "True"


@compiled
def test_nothing_is_kept_and_nothing_given_away() -> None:
    parser = Parser(Pseudonymizer(KEY, before=KEY))
    odd = [
        b"",
        b"no JSON",
        json.dumps(FULL).encode(),
        *(
            json.dumps(PLAIN | wrong).encode()
            for wrong in (
                {"total": "1.001"},
                {"total": "0"},
                {"currency": "XXX"},
                {"schema": 2},
                {"extra": 1},
                {"occurred_at": "2026-01-05T06:04:04"},
                {"occurred_at": "2126-01-05T06:04:04Z"},
                {"occurred_at": "2026-01-05T06:04:04+01:00"},
                {"customer_id": "ada@example.org"},
                {"lines": [{"item_id": "1"}, {"unit_price": "?"}]},
            )
        ),
    ]
    records = [*USUAL, *map(record, odd)]
    watched = [
        *(value for cache in (parser._ids, parser._texts, parser._people) for value in cache),
        *(TWIN, Transaction, parser, parser._pseudonymize, parser._pseudonymize._keyed),
        *(parser._pseudonymize._keyed["card"], *records, *(each.data for each in records)),
    ]
    parser.parse_all(records)
    gc.collect()
    counts = [sys.getrefcount(each) for each in watched]
    grown = []
    for _ in range(5):
        blocks = sys.getallocatedblocks()
        for _ in range(100):
            parser.parse_all(records)
        gc.collect()
        grown.append(sys.getallocatedblocks() - blocks)
    assert [sys.getrefcount(each) for each in watched] == counts
    # What is lost with each record grows by hundreds each time; free lists fill up once.
    assert min(grown) < 50


class StandIn:
    """What takes the twin's place where there is none, so that it is asked there too."""

    @staticmethod
    def parse_all(records: Sequence[Record], parse: Any, *_: Any) -> list[object]:
        return list(map(parse, records))


@pytest.mark.parametrize("twin", [None, TWIN or StandIn], ids=["Python", "twin"])
@pytest.mark.parametrize("bound", [(), ("contact.email",), ("customer_id", "lines")])
def test_all_at_once_are_as_one_by_one(
    twin: Any, bound: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events.parse, "_twin", twin)
    parser = Parser(Pseudonymizer(KEY), required_fields=bound)
    records = [*USUAL, record(b"?"), record(json.dumps(FULL).encode())]
    expected = [parser.parse(each) for each in records]
    assert parser.parse_all(records) == parser.parse_all(tuple(records)) == expected
    assert parser.parse_all([]) == []


@compiled
@pytest.mark.parametrize(
    "changed",
    [
        "import msgspec, events.transaction as at; at.Line = msgspec.defstruct('Line', ['item'])",
        "import events.transaction as at; del at.Line",
        "import events.transaction as at; at.Line = 7",
        "import events.decode as at; del at._STRICT",
        "import events.money as at; at.EXPONENTS = ()",
    ],
)
def test_a_twin_of_other_source_is_not_taken(changed: str) -> None:
    script = f"{changed}\nfrom events.native import native\nprint(native('events._parse'))"
    assert printed(script) == "None"
