"""The mappings, and that a real node takes every document by them."""

import re
import threading
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from events.transaction import Line
from sinks import document, document_said, templates
from sinks.opensearch import OpenSearchSink
from tests.sinks.made import NOON, batch, page, rejection, score, scored

if TYPE_CHECKING:
    from local.stack import Stack


def fields_of(struct: type[msgspec.Struct]) -> set[str]:
    return set(struct.__struct_fields__)


@pytest.mark.parametrize(
    ("name", "struct"),
    [
        ("transactions", document.TransactionDocument),
        ("pages", document.PageDocument),
        ("verdicts", document_said.VerdictDocument),
        ("suppressions", document_said.SuppressionDocument),
        ("rejections", document.RejectionDocument),
        ("operations", document.StatusDocument),
    ],
)
def test_every_field_of_a_document_is_mapped_and_nothing_else(
    name: str, struct: type[msgspec.Struct]
) -> None:
    made = templates.templates()[f"tillwatch-{name}"]
    mappings = made["template"]["mappings"]
    assert set(mappings["properties"]) == fields_of(struct)


def test_every_object_is_strict() -> None:
    def check(mapping: dict[str, Any]) -> None:
        if "properties" in mapping:
            assert mapping["dynamic"] == "strict"
            for inner in mapping["properties"].values():
                check(inner)

    for made in templates.templates().values():
        check(made["template"]["mappings"])


def test_replicas_and_refresh_are_parameters() -> None:
    kept = templates.Kept(shards=3, replicas=2, refresh_seconds=30, codec="best_compression")
    for name, template in templates.templates(kept).items():
        index = template["template"]["settings"]["index"]
        assert index["number_of_shards"] == (3 if name == "tillwatch-transactions" else 1)
        assert index["number_of_replicas"] == 2
        assert index["refresh_interval"] == "30s"
        assert index["codec"] == "best_compression"


def test_where_the_cluster_sees_to_it_no_settings_are_asked_for() -> None:
    for template in templates.templates(None).values():
        assert "settings" not in template["template"]


UNKNOWN = [
    b'{"a":{"b":[1,{"c":null}]}}',
    b'{"a":null}',
    b'{"a":[]}',
    b'{"a":{}}',
    b'{"a":[[1,2],[3]]}',
    b'{"":1," ":2,".":3,"a..b":4}',
    b'{"a":true,"b":1e300,"c":123456789012345678901234567890}',
    b'{"a":"\\u0000"}',
    b"{}",
    b'{"a":' + b"[" * 30 + b"]" * 30 + b"}",
    b'{"a":' + b'{"b":' * 30 + b"1" + b"}" * 31,
    '{"a":"é\U0001f600"}'.encode(),
]


TIMES = [
    "2026-01-05T12:00:01.250000Z",
    "2026-01-05T12:00:01Z",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "1969-12-31T23:59:59.999999Z",
    "2026-01-05T13:00:01.25+01:00",
]
"""As documents have them, and as somebody else may write them."""

BOUNDS: list[dict[str, Any]] = [
    {"gte": "2026-01-05", "lte": "2026-01-05"},
    {"gte": "2026-01-05T12", "lt": "2026-01-05T13"},
    {"gte": "2026-01-05T12:00:01", "lte": "2026-01-05T12:00:01"},
    {"gte": "2026-01-05T12:00:00+0100"},
    {"gte": "2026-01-05T12:00:01Z", "lte": "2026-01-05T12:00:01Z"},
    {"gte": "2026-01-05T12:00:01.250Z", "lte": "2026-01-05T12:00:01.250Z"},
    {"gte": "2026-01-05T12:00Z", "lte": "2026-01-05T12:00Z"},
    {"gte": "2026", "lte": "2026"},
    {"gte": "now-90y/d"},
    {"gte": "2026-01-05||/d", "lte": "2026-01-05||+1d/d"},
    {"gte": "2026-01-05T13:00:00", "lte": "2026-01-05T14:00:00", "time_zone": "+01:00"},
    {"gte": 1_767_614_401_000, "format": "epoch_millis"},
]
"""What people and programs ask for."""


@pytest.mark.parametrize("microseconds", [0, 1, 250_000, 999_999])
def test_a_time_is_written_as_one_of_the_formats_that_are_tried_first(microseconds: int) -> None:
    time = document.transaction(scored(1, occurred_at=NOON + microseconds)).document
    assert isinstance(time, document.TransactionDocument)
    written = msgspec.json.encode(time.occurred_at).decode()
    shape = re.sub("[0-9]", "0", written.strip('"'))
    assert shape in {"0000-00-00T00:00:00.000000Z", "0000-00-00T00:00:00Z"}
    mapped = templates.templates()["tillwatch-transactions"]["template"]["mappings"]["properties"]
    first = mapped["occurred_at"]["format"].split("||")[:-1]
    shapes = {re.sub("[a-zHMS]", "0", of.replace("'T'", "T").replace("XXX", "Z")) for of in first}
    assert shape in shapes


@pytest.mark.integration
class TestAtANode:
    @pytest.fixture
    def client(self, stack: "Stack") -> Any:
        stack.renew()
        client = stack.search_client()
        yield client
        client.close()

    def test_applying_again_changes_nothing(self, client: Any) -> None:
        before = client.indices.get_index_template(name="tillwatch-*")
        templates.apply(client)
        assert client.indices.get_index_template(name="tillwatch-*") == before
        assert len(before["index_templates"]) == len(templates.templates())

    def test_every_document_is_taken_and_found_by_its_fields(self, client: Any) -> None:
        full = scored(
            1,
            score=score(),
            type="REFUND",
            register_id="r2",
            payment_method="CARD",
            card_token="k-1",
            customer_id="u-1",
            contact_name="n-hash",
            contact_email="e-hash",
            original_transaction_id="t-0",
            reason="r" * 40_000,
            approval_limit=10**15 - 1,
            lines=(Line("101", "d" * 1_024, "toys", -1_500, -5), Line()),
            unknown=b'{"till":{"side":"left"}}',
        )
        odd = [scored(100 + n, unknown=unknown) for n, unknown in enumerate(UNKNOWN)]
        ends = [
            scored(200, occurred_at=-62_135_596_800_000_000, total=10**15 - 1, currency="JPY"),
            scored(201, occurred_at=253_402_300_799_999_999, score=score(float("nan"))),
            scored(202, transaction_id='_"\\\x00\u2028é' + "x" * 500),
        ]
        made = batch(
            full,
            *odd,
            *ends,
            pages=(page(), page(1, "updated")),
            rejections=(
                rejection(300),
                rejection(301, arrived_at=None, shop_id="s", field="f", model_version="m"),
            ),
        )
        sink = OpenSearchSink(client, threading.Event(), clock=lambda: NOON)
        assert sink.write(made).rejections == ()
        client.indices.refresh(index="transactions-*,pages-*,rejections-*,operations")

        def count(index: str, **term: Any) -> int:
            found: int = client.count(index=index, body={"query": {"term": term}})["count"]
            return found

        everything = client.count(index="transactions-*")["count"]
        assert everything == len(made.scored)
        assert count("transactions-*", total=25.0) == 1
        assert count("transactions-*", **{"unknown.till.side": "left"}) == 1
        assert count("transactions-*", **{"score.reasons.kind": "receipt"}) == 2
        assert count("transactions-*", **{"lines.quantity": -1.5}) == 1
        assert count("transactions-*", occurred_at="2026-01-05T12:00:01.250Z") == 1
        assert count("pages-2026.01", refunded_total=1284.0) == 1
        assert count("rejections-2026.01.05", stage="parse") == 1
        assert count("rejections-undated", field="f") == 1
        assert count("operations", shard_id=made.last.shard_id) == 1

    def test_times_are_taken_found_and_shown_as_by_the_format_before(self, client: Any) -> None:
        formats = {
            "before": templates.DATE_FORMAT_BEFORE,
            "now": templates.templates()["tillwatch-transactions"]["template"]["mappings"][
                "properties"
            ]["occurred_at"]["format"],
        }
        assert formats["before"] != formats["now"]
        properties = {k: {"type": "date", "format": of} for k, of in formats.items()}
        # A kind's name without its day: no template takes it, and the next `renew` deletes it.
        index = "operations-formats"
        client.indices.create(index=index, body={"mappings": {"properties": properties}})
        for id_, time in enumerate(TIMES):
            client.index(index=index, id=str(id_), body={"before": time, "now": time})
        client.indices.refresh(index=index)

        def answer(field: str, bounds: dict[str, Any]) -> Any:
            query = {"range": {field: bounds}}
            found = client.search(
                index=index,
                body={
                    "query": query,
                    "docvalue_fields": [field],
                    "sort": [{field: "asc"}],
                    "aggs": {"most": {"max": {"field": field}}},
                },
            )
            hits = [(hit["_id"], hit["fields"][field]) for hit in found["hits"]["hits"]]
            return hits, found["aggregations"]["most"].get("value_as_string")

        for bounds in BOUNDS:
            assert answer("now", bounds) == answer("before", bounds), bounds
        assert len(answer("now", {"gte": "0001"})[0]) == len(TIMES)

    def test_a_field_that_no_document_has_is_refused(self, client: Any) -> None:
        answer = client.bulk(
            body=b'{"index":{"_index":"transactions-2026.01.05","_id":"x"}}\n{"tilll":1}\n'
        )
        assert answer["items"][0]["index"]["error"]["type"] == "strict_dynamic_mapping_exception"

    def test_a_page_does_not_go_backwards(self, client: Any) -> None:
        sink = OpenSearchSink(client, threading.Event())
        for made in (page(1, "updated"), page(0), page(1, "updated", summary="again")):
            assert sink.write(batch(scored(1), pages=(made,))).rejections == ()
        stands = client.get(index="pages-2026.01", id="p-0001")["_source"]
        assert (stands["revision"], stands["summary"]) == (1, "again")
