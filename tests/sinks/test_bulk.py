import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.verdict import Verdict as GivenVerdict
from sinks import document
from sinks.bulk import (
    Body,
    ItemError,
    Refused,
    Verdict,
    bodies,
    detail_of,
    field_of,
    judge,
)
from sinks.document import Source
from tests.sinks.made import NOON, batch, page, scored


def no_refusal(source: Source, reason: str, detail: str, field: str | None) -> None:
    pytest.fail(f"{source} was refused: {reason}, {detail}, {field}")


def ids_in(data: bytes) -> list[str]:
    lines = data.split(b"\n")
    assert lines.pop() == b""
    return [msgspec.json.decode(line)["index"]["_id"] for line in lines[::2]]


@given(st.integers(0, 700), st.integers(1, 40_000))
def test_bodies_hold_everything_once_in_order_and_keep_their_bound(count: int, limit: int) -> None:
    items = [scored(n) for n in range(count)]
    made = list(bodies(map(document.transaction, items), no_refusal, limit))
    assert [item for body in made for item in body.sources] == items
    assert [id_ for body in made for id_ in ids_in(body.data)] == [
        item.transaction.transaction_id for item in items
    ]
    for body in made:
        assert body.sources
        assert len(body.data) <= limit or len(body.sources) == 1


def test_bodies_are_not_much_smaller_than_they_may_be() -> None:
    made = list(bodies(map(document.transaction, map(scored, range(2_000))), no_refusal, 200_000))
    assert all(len(body.data) > 50_000 for body in made[:-1])


def test_what_has_no_json_is_refused_alone() -> None:
    items = [scored(n) for n in range(300)]
    items[77] = scored(77, reason="\ud800")
    items[255] = scored(255, transaction_id="\udfff")
    refused: list[tuple[Source, str]] = []
    made = list(
        bodies(
            map(document.transaction, items),
            lambda source, reason, _detail, _field: refused.append((source, reason)),
        )
    )
    assert refused == [(items[77], "document_unbuildable"), (items[255], "document_unbuildable")]
    assert [len(body.sources) for body in made] == [298]


def test_a_body_is_cut_by_items() -> None:
    items = [scored(n, reason='a "b"\n\\') for n in range(5)]
    (body,) = bodies(map(document.transaction, items), no_refusal)
    some = body.only([0, 3])
    assert some.sources == (items[0], items[3])
    assert ids_in(some.data) == ["t-000000", "t-000003"]
    first, second = body.halves()
    assert first.data + second.data == body.data
    assert first.sources + second.sources == body.sources
    assert body.only(range(5)) == body


def answer(*items: tuple[int, ItemError | None]) -> bytes:
    return msgspec.json.encode(
        {
            "errors": True,
            "items": [
                {"index": {"status": status} | ({} if error is None else {"error": error})}
                for status, error in items
            ],
        }
    )


MAPPING = ItemError("strict_dynamic_mapping_exception", "mapping set to strict, [till] …")
BUSY = ItemError("opensearch_rejected_execution_exception", "queue full")


def test_no_errors_is_read_without_the_items() -> None:
    (body,) = bodies([document.transaction(scored(1))], no_refusal)
    assert judge(b'{"errors":false,"items":[{"index":{"status":201}}]}', body) == Verdict()


def test_an_answer_that_speaks_of_fewer_items_is_none() -> None:
    (body,) = bodies([document.transaction(scored(n)) for n in range(2)], no_refusal)
    one = b'{"took":1,"errors":false,"items":[{"index":{"status":201}}]}'
    for said in (one, b'{"errors":false}'):
        with pytest.raises(ValueError, match="answered of 2"):
            judge(said, body)


def test_each_item_is_judged() -> None:
    (body,) = bodies([document.transaction(scored(n)) for n in range(7)], no_refusal)
    said = answer(
        (201, None), (429, BUSY), (400, MAPPING), (200, None), (503, None), (500, BUSY), (404, None)
    )
    assert judge(said, body) == Verdict(
        again=(1, 4, 5, 6),
        refused=(Refused(2, MAPPING),),
        trouble=BUSY,
    )


def test_an_older_verdict_over_a_newer_one_is_as_good_as_written() -> None:
    said = GivenVerdict("p-0001", "shop-001", "volume", "fraud", NOON)
    (body,) = bodies([document.said(said)], no_refusal)
    conflict = ItemError("version_conflict_engine_exception", "current version [3] is higher …")
    assert judge(answer((409, conflict)), body) == Verdict()


def test_the_index_of_an_item_is_read_from_its_line() -> None:
    entries = [document.page(page()), document.transaction(scored(1))]
    (body,) = bodies(entries, no_refusal)
    assert [body.index_of(n) for n in range(2)] == ["pages-2026.01", "transactions-2026.01.05"]


def test_an_older_page_over_a_newer_one_is_as_good_as_written() -> None:
    conflict = ItemError("version_conflict_engine_exception", "current version [3] is higher …")
    entries = [document.page(page()), document.transaction(scored(1))]
    (body,) = bodies(entries, no_refusal)
    verdict = judge(answer((409, conflict), (409, conflict)), body)
    assert verdict == Verdict(refused=(Refused(1, conflict),))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (403, ItemError("cluster_block_exception", "index [x] blocked by: [FORBIDDEN/8/…]")),
        (403, ItemError("security_exception", "no permissions for [indices:data/write/bulk]")),
        (401, ItemError("security_exception", "unauthorized")),
        (400, ItemError("index_closed_exception", "closed")),
        (400, ItemError("validation_exception", "this cluster has 1000/1000 maximum shards open")),
        (400, ItemError("validation_exception", "[6]/[1] maximum LOCAL_ONLY shards open;")),
        (404, ItemError("index_not_found_exception", "no such index [transactions-2026.01.06]")),
        (400, ItemError("illegal_argument_exception", "no write index is defined for alias [x].")),
        (400, ItemError("illegal_argument_exception", "only write ops … allowed in data streams")),
        (400, ItemError("illegal_argument_exception", "Limit of total fields [1000] … exceeded")),
        (400, ItemError("routing_missing_exception", "routing is required for [x]/[1]")),
    ],
)
def test_what_a_person_mends_in_the_cluster_is_no_fault_of_the_document(
    status: int, error: ItemError
) -> None:
    (body,) = bodies([document.transaction(scored(1))], no_refusal)
    assert judge(answer((status, error)), body).again == (0,)


@pytest.mark.parametrize(
    "said", [b"", b"<html>", b"{}", b'{"errors":true}', b'{"errors":true,"items":[]}', b"[1]"]
)
def test_what_is_no_answer_is_an_error(said: bytes) -> None:
    (body,) = bodies([document.transaction(scored(1))], no_refusal)
    with pytest.raises(ValueError, match=r"answer"):
        judge(said, body)


def test_values_are_kept_out_of_the_detail() -> None:
    reason = (
        "failed to parse field [occurred_at] of type [date] in document with id 't-1'. "
        "Preview of field's value: 'bob@example.org'"
    )
    detail = detail_of(ItemError("mapper_parsing_exception", reason))
    assert "bob" not in detail
    assert "[occurred_at]" in detail
    assert field_of(ItemError("x", reason)) == "occurred_at"
    immense = 'Document contains at least one immense term in field="unknown._value" (whose …)'
    assert field_of(ItemError("x", immense)) == "unknown._value"
    assert field_of(ItemError("x", "something else")) is None
    assert len(detail_of(ItemError("x", "y" * 9_000))) == 500
    for value in ("cut short: 'secret", "was: 'O'secret' in it", 'For input string: "a"secret"'):
        assert "secret" not in detail_of(ItemError("x", value))


def test_a_body_holds_what_it_was_built_from_and_not_the_documents() -> None:
    made = batch(scored(1), pages=(page(),))
    entries = [document.transaction(made.scored[0]), document.page(made.pages[0])]
    (body,) = bodies(entries, no_refusal)
    assert body == Body(body.data, (made.scored[0], made.pages[0]))


def test_what_a_document_holds_does_not_say_whose_fault_it_is() -> None:
    item = scored(1)
    (body,) = bodies([document.transaction(item)], no_refusal)
    said = (
        "failed to parse field [lines] in document with id 'maximum of shards open'. Preview: 'x'"
    )
    error = {"type": "mapper_parsing_exception", "reason": said}
    answer = {"errors": True, "items": [{"index": {"status": 400, "error": error}}]}
    verdict = judge(msgspec.json.encode(answer), body)
    assert [refused.index for refused in verdict.refused] == [0]
    assert verdict.again == ()
