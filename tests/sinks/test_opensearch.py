import itertools
import logging
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import events
from events.batch import Scored
from events.rejection import Rejection
from sinks import document
from sinks.document import Entry
from sinks.opensearch import EverythingRefused, OpenSearchSink
from sinks.opensearch_client import connect
from sinks.sink import Stopped
from tests.sinks.made import NOON, batch, page, position, rejection, scored
from tests.sinks.scripted_node import ScriptedNode, items, taken

ROOT = Path(__file__).parents[2]
MAPPING = {"type": "mapper_parsing_exception", "reason": "failed to parse field [unknown.a]: 'bob'"}


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with ScriptedNode().running() as running:
        yield running


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def sink(node: ScriptedNode, stop: threading.Event) -> Iterator[OpenSearchSink]:
    made = OpenSearchSink(
        connect(node.url), stop, clock=lambda: NOON, requests_max=1, wait_seconds_max=0.001
    )
    yield made
    made.close()


def test_a_batch_is_one_body_of_all_that_is_in_it(node: ScriptedNode, sink: OpenSearchSink) -> None:
    made = batch(
        scored(1), scored(2), pages=(page(0), page(1, "updated")), rejections=(rejection(3),)
    )
    assert sink.write(made).rejections == ()
    assert node.ids == [
        ["t-000001", "t-000002", "p-0001", f"{position(3).shard_id}-{position(3).slug}",
         position(3).shard_id]
    ]  # fmt: skip


def test_only_the_items_that_failed_are_tried_again(
    node: ScriptedNode, sink: OpenSearchSink
) -> None:
    node.script = [
        lambda _: items([201, 429, 201, 503, 201]),
        lambda _: items([429, 201]),
        taken,
    ]
    assert sink.write(batch(*map(scored, range(4)))).rejections == ()
    assert node.ids[1:] == [["t-000001", "t-000003"], ["t-000001"]]
    first = node.bodies[0].split(b"\n")
    assert node.bodies[2].split(b"\n") == [*first[2:4], b""]


def test_what_is_refused_for_good_comes_back_with_opensearchs_reason(
    node: ScriptedNode, sink: OpenSearchSink
) -> None:
    node.script = [
        lambda _: items([201, 400, 429, 201], MAPPING),
        *[lambda _: items([400, 400], MAPPING)] * 2,
    ]
    made = batch(*map(scored, range(3)))
    written = sink.write(made)
    assert written.rejections == tuple(
        Rejection(
            position=item.position,
            data=item.data,
            stage="opensearch",
            reason="mapper_parsing_exception",
            field="unknown.a",
            detail="failed to parse field [unknown.a]: …",
            arrived_at=item.arrived_at,
            shop_id=item.transaction.shop_id,
        )
        for item in made.scored[1:]
    )


@pytest.mark.parametrize(
    "answer", [None, (429, b"{}"), (503, b""), (502, b"<html>"), (401, b"{}"), (200, b"<html>")]
)
def test_a_request_that_fails_as_a_whole_is_waited_out(
    node: ScriptedNode, sink: OpenSearchSink, answer: tuple[int, bytes] | None
) -> None:
    node.script = [lambda _: answer] * 3
    assert sink.write(batch(scored(1))).rejections == ()
    assert len(node.bodies) == 4
    assert len(set(node.bodies)) == 1


def test_a_node_that_is_not_there_is_waited_for(node: ScriptedNode, stop: threading.Event) -> None:
    counted: list[str] = []

    def count(service: str) -> None:
        counted.append(service)
        if len(counted) == 3:
            stop.set()

    nowhere = OpenSearchSink(
        connect("http://127.0.0.1:9"), stop, count_retry=count, wait_seconds_max=0.001
    )
    with pytest.raises(Stopped, match="no answer"):
        nowhere.write(batch(scored(1)))
    assert counted == ["opensearch"] * 3
    nowhere.close()


@pytest.mark.parametrize("status", [400, 413])
def test_a_body_that_is_refused_as_a_whole_is_halved_down_to_the_culprit(
    node: ScriptedNode, sink: OpenSearchSink, status: int
) -> None:
    def script(actions: list[dict[str, str]]) -> tuple[int, bytes] | None:
        if any(action["_id"] == "t-000005" for action in actions):
            return status, b'{"error":{"type":"action_request_validation_exception"}}'
        return taken(actions)

    node.script = itertools.repeat(script)
    written = sink.write(batch(*map(scored, range(12))))
    (refused,) = written.rejections
    assert refused.position == position(5)
    assert refused.reason == f"http_{status}"
    assert "t-000005" in node.ids[0]
    assert node.ids[1] == [position(0).shard_id], "what is ours and sound is tried first"
    sent = sorted(id_ for ids in node.ids[2:] if "t-000005" not in ids for id_ in ids)
    assert sent == [position(0).shard_id] + [f"t-{n:06d}" for n in range(12) if n != 5]


@pytest.mark.parametrize("status", [400, 413])
@pytest.mark.parametrize("records", [1, 50])
def test_where_every_request_is_refused_no_record_is_to_blame(
    node: ScriptedNode, sink: OpenSearchSink, status: int, records: int
) -> None:
    node.script = itertools.repeat(lambda _: (status, b"<html>no such page</html>"))
    with pytest.raises(EverythingRefused, match=f"refuses every request.*{status}"):
        sink.write(batch(*map(scored, range(records))))
    assert len(node.bodies) == 2


def test_a_right_that_is_missing_is_waited_for_and_never_a_letter(
    node: ScriptedNode, sink: OpenSearchSink, stop: threading.Event
) -> None:
    def script(actions: list[dict[str, str]]) -> tuple[int, bytes] | None:
        if len(node.bodies) == 4:
            stop.set()
        if len(node.bodies) % 2:
            return 403, b'{"error":"no permissions for [indices:data/write/bulk]"}'
        return items([403] * len(actions), {"type": "security_exception", "reason": "no"})

    node.script = itertools.repeat(script)
    with pytest.raises(Stopped):
        sink.write(batch(*map(scored, range(20))))
    assert {len(ids) for ids in node.ids} == {21}, "nothing was narrowed down"


def test_ids_that_would_spoil_the_whole_body_are_never_sent(
    node: ScriptedNode, sink: OpenSearchSink
) -> None:
    made = batch(
        scored(1, transaction_id=""),
        scored(2, transaction_id="é" * 257),
        scored(3, transaction_id="é" * 256),
        scored(4, reason="\ud800"),
        scored(5, currency="XXX"),
    )
    written = sink.write(made)
    assert [(entry.position, entry.reason) for entry in written.rejections] == [
        (position(1), "bad_id"),
        (position(2), "bad_id"),
        (position(4), "document_unbuildable"),
        (position(5), "document_unbuildable"),
    ]
    assert node.ids == [["é" * 256, position(1).shard_id]]


def test_nothing_is_sent_before_all_is_built(
    node: ScriptedNode, stop: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = OpenSearchSink(connect(node.url), stop, body_bytes_max=1_000)
    build = document.transaction

    def raises(item: Scored) -> Entry:
        if item.position == position(7):
            raise RuntimeError(f"not {item.transaction.contact_email}")
        return build(item)

    monkeypatch.setattr(document, "transaction", raises)
    made = batch(*(scored(n, contact_email="p-secret") for n in range(10)))
    prepared = sink.prepare(made)
    assert node.bodies == []
    (rejection,) = prepared.rejections
    assert (rejection.position, rejection.stage) == (position(7), "opensearch")
    assert rejection.reason == "document_unbuildable"
    assert "RuntimeError: not … (test_opensearch.py:" in rejection.detail
    assert prepared.write().rejections == ()
    assert sorted(id_ for ids in node.ids for id_ in ids if id_ != position(0).shard_id) == [
        f"t-{n:06d}" for n in range(10) if n != 7
    ]
    sink.close()


def test_a_page_that_no_document_can_be_made_of_stops_no_record(
    node: ScriptedNode, sink: OpenSearchSink, caplog: pytest.LogCaptureFixture
) -> None:
    made = batch(scored(1), pages=(page(currency="XXX"), page(page_id="p-0002")))
    with caplog.at_level(logging.ERROR):
        assert sink.write(made).rejections == ()
    assert node.ids == [["t-000001", "p-0002", position(1).shard_id]]
    assert "Page not indexed: document_unbuildable: KeyError" in caplog.text


def test_requests_at_once_are_bounded_and_bodies_are_too(
    node: ScriptedNode, stop: threading.Event
) -> None:
    sink = OpenSearchSink(
        connect(node.url), stop, body_bytes_max=2_000, requests_max=3, wait_seconds_max=0.001
    )
    made = batch(*map(scored, range(200)))
    assert sink.write(made).rejections == ()
    assert node.at_once_max <= 3
    assert max(map(len, node.bodies)) <= 2_000
    assert sorted(id_ for ids in node.ids for id_ in ids if id_.startswith("t-")) == [
        item.transaction.transaction_id for item in made.scored
    ]
    sink.close()


def test_rejections_are_in_stream_order_whichever_request_came_back_first(
    node: ScriptedNode, stop: threading.Event
) -> None:
    sink = OpenSearchSink(connect(node.url), stop, body_bytes_max=1_500, wait_seconds_max=0.001)
    node.script = [lambda actions: items([400] * len(actions), MAPPING)] * 120
    written = sink.write(batch(*map(scored, range(30))))
    assert [entry.position for entry in written.rejections] == [position(n) for n in range(30)]
    sink.close()


def test_stopped_waits_for_what_is_on_its_way(node: ScriptedNode, stop: threading.Event) -> None:
    sink = OpenSearchSink(
        connect(node.url), stop, body_bytes_max=1_000, requests_max=2, wait_seconds_max=3_600
    )
    node.script = itertools.repeat(lambda _: (503, b""))
    timer = threading.Timer(0.1, stop.set)
    timer.start()
    with pytest.raises(Stopped):
        sink.write(batch(*map(scored, range(20))))
    timer.join(10)
    sink.close()


def test_a_page_or_rejection_that_is_refused_is_logged_without_values(
    node: ScriptedNode, sink: OpenSearchSink, caplog: pytest.LogCaptureFixture
) -> None:
    node.script = [
        lambda _: items([201, 400, 400, 201], MAPPING),
        lambda _: items([400, 400], MAPPING),
    ]
    with caplog.at_level(logging.ERROR):
        written = sink.write(batch(scored(1), pages=(page(),), rejections=(rejection(2),)))
    assert written.rejections == ()
    assert "Page not indexed: mapper_parsing_exception" in caplog.text
    assert "Rejection not indexed" in caplog.text
    assert "bob" not in caplog.text


def test_nothing_of_a_body_is_logged_at_any_level(
    node: ScriptedNode, sink: OpenSearchSink, caplog: pytest.LogCaptureFixture
) -> None:
    node.script = [lambda _: (503, b""), taken]
    with caplog.at_level(logging.DEBUG):
        sink.write(batch(scored(1, cashier_id="c-secret")))
    assert "c-secret" not in caplog.text


def test_opensearch_py_lives_in_one_module() -> None:
    naming = [
        path.relative_to(ROOT).as_posix()
        for package in ("events", "anomaly", "sinks", "consumer", "local", "console")
        for path in (ROOT / package).rglob("*.py")
        if "import opensearchpy" in path.read_text() or "from opensearchpy" in path.read_text()
    ]
    assert naming == ["sinks/opensearch_client.py"]


def test_its_metrics_hook_says_why_it_does_not_work() -> None:
    with pytest.raises(RuntimeError, match="events"):
        events.Events()  # type: ignore[attr-defined]


def test_the_client_can_be_imported_first_of_all() -> None:
    command = "import sinks.opensearch_client as c; c.connect('https://127.0.0.1:9', 'u', 'p')"
    subprocess.run([sys.executable, "-W", "error", "-c", command], cwd=ROOT, check=True)
