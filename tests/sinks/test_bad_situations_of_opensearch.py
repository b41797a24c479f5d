"""What goes wrong with OpenSearch: nothing is put aside for it, and a person is told what to do.

The rows of docs/bad-situations.md that name this file are held by it. Answers are those that nodes
of 2.19 and 3.8 gave.
"""

import json
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sinks import templates
from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import connect
from sinks.sink import Stopped
from tests.sinks.made import NOON, batch, scored
from tests.sinks.scripted_node import Answer, Script, ScriptedNode, items, ours

INDEX = "transactions-2026.01.05"


@pytest.fixture
def node() -> Iterator[ScriptedNode]:
    with ScriptedNode().running() as running:
        yield running


@pytest.fixture
def sink(node: ScriptedNode) -> Iterator[OpenSearchSink]:
    made = sink_on(node.url, threading.Event())
    yield made
    made.close()


def sink_on(url: str, stop: threading.Event, **more: Any) -> OpenSearchSink:
    return OpenSearchSink(
        connect(url), stop, clock=lambda: NOON, requests_max=1, wait_seconds_max=0.001, **more
    )


def every_item(status: int, kind: str, reason: str) -> Script:
    def answer(actions: list[dict[str, Any]]) -> Answer:
        return items([status] * len(actions), {"type": kind, "reason": reason})

    return answer


def whole(status: int, kind: str = "", reason: str = "", body: bytes | None = None) -> Script:
    said = {"error": {"type": kind, "reason": reason, "root_cause": []}, "status": status}
    return lambda _: (status, json.dumps(said).encode() if body is None else body)


ILLEGAL = "illegal_argument_exception"
BLOCKED = "cluster_block_exception"
WAITS = [
    pytest.param(
        every_item(403, BLOCKED, f"index [{INDEX}] blocked by: [FORBIDDEN/8/index write (api)];"),
        "somebody has made it read-only: set index.blocks.write",
        id="index write block",
    ),
    pytest.param(
        every_item(
            403, BLOCKED, f"index [{INDEX}] blocked by: [FORBIDDEN/5/index read-only (api)]"
        ),
        "somebody has made it read-only",
        id="index read-only",
    ),
    pytest.param(
        whole(403, BLOCKED, "blocked by: [FORBIDDEN/6/cluster read-only (api)];"),
        "lift the cluster's block",
        id="cluster read-only",
    ),
    pytest.param(
        every_item(
            429,
            BLOCKED,
            f"index [{INDEX}] blocked by: [TOO_MANY_REQUESTS/12/disk usage exceeded flood-stage "
            "watermark, index has read-only-allow-delete block];",
        ),
        "the disk of a node is full: delete old indices (tillwatch retention)",
        id="flood stage",
    ),
    pytest.param(
        every_item(
            403,
            "index_create_block_exception",
            "blocked by: [FORBIDDEN/10/cluster create-index blocked (api)];",
        ),
        "the cluster makes no new index",
        id="create-index block",
    ),
    pytest.param(every_item(400, "index_closed_exception", "closed"), "open it", id="index closed"),
    pytest.param(
        every_item(404, "index_not_found_exception", f"no such index [{INDEX}]"),
        "action.auto_create_index",
        id="auto-create off",
    ),
    pytest.param(
        every_item(400, ILLEGAL, f"no write index is defined for alias [{INDEX}]. The write …"),
        "an alias has the name of an index of ours",
        id="alias in the way",
    ),
    pytest.param(
        every_item(
            400, ILLEGAL, "only write ops with an op_type of create are allowed in data streams"
        ),
        "a data stream has the name",
        id="data stream in the way",
    ),
    pytest.param(
        every_item(
            400,
            "validation_exception",
            "Validation Failed: 1: this action would add [1] "
            "total LOCAL_ONLY shards, but this cluster currently has [6]/[1] maximum "
            "LOCAL_ONLY shards open;",
        ),
        "no room for another index",
        id="shard limit of 3.x",
    ),
    pytest.param(
        every_item(
            400,
            "validation_exception",
            "Validation Failed: 1: this action would add [2] "
            "total shards, but this cluster currently has [1000]/[1000] maximum shards "
            "open;",
        ),
        "no room for another index",
        id="shard limit of 2.x",
    ),
    pytest.param(
        every_item(400, ILLEGAL, "Limit of total fields [1000] has been exceeded"),
        "the index templates are missing (tillwatch opensearch apply)",
        id="too many guessed fields",
    ),
    pytest.param(
        every_item(400, "routing_missing_exception", f"routing is required for [{INDEX}]/[1]"),
        "wants a routing value",
        id="routing required",
    ),
    pytest.param(
        every_item(
            503,
            "unavailable_shards_exception",
            f"[{INDEX}][0] primary shard is not active Timeout: [50s]",
        ),
        "the index is red",
        id="red index",
    ),
    pytest.param(
        every_item(429, "opensearch_rejected_execution_exception", "rejected execution of …"),
        "opensearch_rejected_execution_exception",
        id="queue full",
    ),
    pytest.param(
        every_item(429, "circuit_breaking_exception", "[parent] Data too large"),
        "short of memory",
        id="circuit breaker",
    ),
    pytest.param(
        every_item(403, "security_exception", "no permissions for [indices:data/write/bulk[s]]"),
        "grant indices:data/write/*",
        id="right on one index",
    ),
    pytest.param(whole(401, body=b"Unauthorized"), "TILLWATCH_OPENSEARCH_USER", id="401, no JSON"),
    pytest.param(
        whole(403, body=b'{"message":"The security token included in the request is expired"}'),
        "is expired; who asks may not do it",
        id="403 of AWS, expired token",
    ),
    pytest.param(whole(404, body=b"404 page not found"), "is TILLWATCH_OPENSEARCH_URL", id="404"),
    pytest.param(whole(301, body=b""), "give the final address", id="redirect"),
    pytest.param(
        whole(502, body=b"<html><head><title>502 Bad Gateway</title></head></html>"),
        "a page of HTML, which OpenSearch does not send (502 Bad Gateway); a proxy in between",
        id="HTML of a proxy",
    ),
    pytest.param(
        whole(200, body=b"<html>Sign in</html>"), "no answer of OpenSearch", id="HTML as success"
    ),
    pytest.param(
        whole(200, body=b'{"errors":true,"items":[{"index":{"stat'),
        "no answer of OpenSearch to a bulk request",
        id="truncated JSON",
    ),
    pytest.param(
        whole(200, body=b'{"errors":true,"items":[{"index":{"status":201}}]}'),
        "1 items answered of 4",
        id="item missing",
    ),
    pytest.param(
        whole(200, body=b'{"errors":false,"items":[{"index":{"status":201}}]}'),
        "1 items answered of 4",
        id="item missing, no errors",
    ),
    pytest.param(lambda _: None, "the connection was closed before", id="connection closed"),
    pytest.param(whole(504, body=b""), "does not get an answer from it", id="gateway time-out"),
    pytest.param(
        whole(503, "cluster_manager_not_discovered_exception", ""), "is not ready", id="no manager"
    ),
]


@pytest.mark.parametrize(("said", "words"), WAITS)
def test_it_waits_puts_nothing_aside_and_says_what_to_do(
    node: ScriptedNode,
    sink: OpenSearchSink,
    caplog: pytest.LogCaptureFixture,
    said: Script,
    words: str,
) -> None:
    node.script = [said] * 2
    with caplog.at_level(logging.WARNING):
        assert sink.write(batch(*map(scored, range(3)))).rejections == ()
    assert [len(ids) for ids in node.ids] == [4, 4, 4], "nothing was narrowed down, nothing left"
    assert caplog.text.count(words) == 2
    assert "c-1" not in caplog.text


def other_mapping(**fields: Any) -> dict[str, Any]:
    declared = templates.declared_for(INDEX)
    assert declared is not None
    properties = {**declared["properties"], **fields}
    return {**declared, "properties": {k: v for k, v in properties.items() if v is not None}}


def shows(found: dict[str, Any], status: int = 200) -> Any:
    def looks(path: str) -> Answer:
        return ours(path) if "_index_template" in path else (status, json.dumps(found).encode())

    return looks


NOT_BOOLEAN = (
    "mapper_parsing_exception",
    "failed to parse field [total] of type [boolean] in document with id '1'. Preview of: '25.0'",
)
STRICT = (
    "strict_dynamic_mapping_exception",
    "mapping set to strict, dynamic introduction of [score] within [_doc] is not allowed",
)


@pytest.mark.parametrize(
    ("said", "found", "status", "words"),
    [
        (
            NOT_BOOLEAN,
            {INDEX: {"mappings": other_mapping(total={"type": "boolean"})}},
            200,
            "total is boolean, not scaled_float",
        ),
        (STRICT, {INDEX: {"mappings": other_mapping(score=None)}}, 200, "score is missing"),
        (
            (ILLEGAL, "mapper [x] is what nobody foresaw"),
            {INDEX: {"mappings": {}}},
            200,
            "the whole takes unknown fields",
        ),
        (STRICT, {"old-1": {"mappings": {}}}, 200, "is no index but a name for others (old-1)"),
        (
            (ILLEGAL, "of a pipeline"),
            {INDEX: {"settings": {"index": {"default_pipeline": "x"}}, "mappings": {}}},
            200,
            "set default_pipeline to null",
        ),
        (NOT_BOOLEAN, {"error": "no"}, 403, "grant indices:admin/get"),
    ],
    ids=["wrong type", "older mapping", "guessed mapping", "alias", "pipeline", "may not look"],
)
def test_an_index_that_is_not_ours_blames_no_record(
    node: ScriptedNode,
    sink: OpenSearchSink,
    caplog: pytest.LogCaptureFixture,
    said: tuple[str, str],
    found: dict[str, Any],
    status: int,
    words: str,
) -> None:
    node.looks = shows(found, status)
    refusal = {"type": said[0], "reason": said[1]}
    node.script = [
        lambda _: items([400, 400, 201, 201], refusal),
        lambda _: items([400, 400], refusal),
    ]
    with caplog.at_level(logging.WARNING):
        assert sink.write(batch(*map(scored, range(3)))).rejections == ()
    assert [len(ids) for ids in node.ids] == [4, 2, 2]
    assert words in caplog.text
    assert "25.0" not in caplog.text


def test_in_an_index_that_is_ours_the_record_is_at_fault_and_the_others_go_on(
    node: ScriptedNode, sink: OpenSearchSink
) -> None:
    refusal = {"type": "mapper_parsing_exception", "reason": "failed to parse field [unknown]"}
    node.script = [
        lambda _: items([400, 201, 400, 201], refusal),
        lambda _: items([400, 400], refusal),
    ]
    written = sink.write(batch(*map(scored, range(3))))
    assert [one.reason for one in written.rejections] == ["mapper_parsing_exception"] * 2
    assert node.ids[1:] == [["t-000000", "t-000002"]], (
        "the index was right, so they are asked again"
    )


def test_what_was_refused_while_somebody_mended_the_index_is_no_record_s_fault(
    node: ScriptedNode, sink: OpenSearchSink
) -> None:
    """It is right when it is looked at, and was not when it refused them."""
    refusal = {"type": STRICT[0], "reason": STRICT[1]}
    node.script = [lambda _: items([400, 400, 201, 201], refusal)]
    assert sink.write(batch(*map(scored, range(3)))).rejections == ()
    assert node.ids[1:] == [["t-000000", "t-000001"]]


def test_nothing_is_written_before_the_index_templates_are_there(
    node: ScriptedNode, sink: OpenSearchSink, caplog: pytest.LogCaptureFixture
) -> None:
    answers = iter(
        [
            (200, b'{"index_templates":[]}'),
            (404, b'{"error":"no template"}'),
            (503, b""),
            (200, json.dumps(older_templates()).encode()),
        ]
    )
    seen: list[int] = []

    def looks(path: str) -> Answer:
        seen.append(len(node.bodies))
        return next(answers, ours(path))

    node.looks = looks
    with caplog.at_level(logging.WARNING):
        assert sink.write(batch(scored(1))).rejections == ()
    assert seen == [0] * 5
    assert len(node.bodies) == 1
    assert caplog.text.count("nothing is written yet: there is no index template") == 2
    assert (
        "tillwatch-transactions is not this version's (score is missing): run tillwatch"
        in caplog.text
    )


def test_a_template_with_times_of_the_format_before_is_as_good(
    node: ScriptedNode, sink: OpenSearchSink, caplog: pytest.LogCaptureFixture
) -> None:
    found = older_templates()
    time = {"type": "date", "format": templates.DATE_FORMAT_BEFORE}
    for one in found["index_templates"]:
        one["index_template"]["template"]["mappings"] = (
            other_mapping(occurred_at=time, arrived_at=time)
            if one["name"] == "tillwatch-transactions"
            else templates.templates()[one["name"]]["template"]["mappings"]
        )
    node.looks = lambda _: (200, json.dumps(found).encode())
    assert sink.write(batch(scored(1))).rejections == ()
    assert len(node.bodies) == 1
    assert caplog.text == ""


def older_templates() -> dict[str, Any]:
    made = []
    for name, body in templates.templates().items():
        mappings = body["template"]["mappings"]
        if name == "tillwatch-transactions":
            mappings = other_mapping(score=None)
        made.append({"name": name, "index_template": {"template": {"mappings": mappings}}})
    return {"index_templates": made}


def test_where_templates_cannot_be_seen_that_is_said_and_it_goes_on(
    node: ScriptedNode, sink: OpenSearchSink, caplog: pytest.LogCaptureFixture
) -> None:
    node.looks = lambda _: (403, b'{"error":{"type":"security_exception","reason":"no"}}')
    with caplog.at_level(logging.WARNING):
        assert sink.write(batch(scored(1))).rejections == ()
    assert "cannot see whether the index templates are there" in caplog.text


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9", "nothing listens there"),
        ("http://no-such-host.invalid:9200", "its name is not known here (DNS)"),
    ],
)
def test_what_cannot_be_reached_says_why(
    url: str, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    stop = threading.Event()
    sink = sink_on(url, stop, count_retry=lambda _: stop.set())
    with caplog.at_level(logging.WARNING), pytest.raises(Stopped, match="no answer"):
        sink.write(batch(scored(1)))
    assert words in caplog.text
    sink.close()


def test_a_node_that_does_not_answer_in_time_is_said_to_hang(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        stop = threading.Event()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        sink = OpenSearchSink(
            connect(url, request_seconds_max=0.05),
            stop,
            count_retry=lambda _: stop.set(),
            wait_seconds_max=0.001,
        )
        with caplog.at_level(logging.WARNING), pytest.raises(Stopped):
            sink.write(batch(scored(1)))
        assert "gave no answer in time" in caplog.text
        sink.close()
