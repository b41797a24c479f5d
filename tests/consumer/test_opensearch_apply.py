"""`tillwatch opensearch apply` and `tillwatch retention`, at a real node."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from consumer.opensearch_apply import WOULD_CHANGE, opensearch
from consumer.retention import WOULD_DELETE, retention
from sinks import ism, templates
from sinks.cluster_changes import Change, canonical
from tests.consumer.ism_double import IsmDouble

if TYPE_CHECKING:
    from local.stack import Stack

INDEX = "transactions-2026.01.05"


@pytest.fixture
def client(stack: "Stack", monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    stack.renew()
    assert stack.node is not None
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_URL", stack.node.url)
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_REPLICAS", "0")
    made = stack.search_client()
    yield made
    templates.apply(made)
    made.close()


def run(command: Any, *arguments: str) -> Result:
    return CliRunner().invoke(command, arguments)


def verbs(result: Result) -> dict[str, str]:
    """What was said of each thing, by its name."""
    found = re.findall(r"^(create|change|same|cannot) (.+?)(?::.*)?$", result.stdout, re.MULTILINE)
    return {name: verb for verb, name in found}


@pytest.mark.integration
def test_it_is_shown_then_made_and_then_the_same(client: Any) -> None:
    client.indices.delete_index_template(name="tillwatch-*")
    dry = run(opensearch, "apply", "--dry-run")
    assert dry.exit_code == WOULD_CHANGE
    assert set(verbs(dry).values()) == {"create"}
    assert '+        "codec": "best_compression"' in dry.stdout.replace("  +    ", "+        ")
    assert client.indices.get_index_template()["index_templates"] == []

    assert run(opensearch, "apply").exit_code == 0
    again = run(opensearch, "apply", "--dry-run")
    assert (again.exit_code, set(verbs(again).values())) == (0, {"same"})
    assert "no Index State Management: run tillwatch retention" in again.stderr

    client.index(index=INDEX, id="t-1", body={"transaction_id": "t-1", "type": "REFUND"})
    settings = client.indices.get_settings(index=INDEX)[INDEX]["settings"]["index"]
    assert settings["codec"] == "best_compression"
    assert (settings["number_of_shards"], settings["refresh_interval"]) == ("1", "5s")
    client.indices.refresh(index=INDEX)
    assert client.count(index="tillwatch-refunds")["count"] == 1
    assert client.count(index="tillwatch-transactions")["count"] == 1


@pytest.mark.integration
def test_an_index_that_is_there_gets_what_it_lacks(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(opensearch, "apply")
    declared = templates.declared_for(INDEX)
    assert declared is not None
    client.indices.delete_index_template(name="tillwatch-transactions")
    fields = {k: v for k, v in declared["properties"].items() if k != "cashier_id"}
    # As an older version made it; an index keeps the format of its times.
    fields["occurred_at"] = {"type": "date", "format": templates.DATE_FORMAT_BEFORE}
    client.indices.create(index=INDEX, body={"mappings": {**declared, "properties": fields}})
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_REFRESH_SECONDS", "30")

    dry = run(opensearch, "apply", "--dry-run")
    assert verbs(dry)[f"index {INDEX}"] == "change"
    assert '"cashier_id": {' in dry.stdout
    assert run(opensearch, "apply").exit_code == 0
    found = client.indices.get(index=INDEX)[INDEX]
    assert found["mappings"]["properties"]["cashier_id"]["type"] == "keyword"
    assert found["mappings"]["properties"]["occurred_at"] == fields["occurred_at"]
    assert found["settings"]["index"]["refresh_interval"] == "30s"
    assert set(found["aliases"]) == {"tillwatch-transactions", "tillwatch-refunds"}
    assert set(verbs(run(opensearch, "apply")).values()) == {"same"}


@pytest.mark.integration
def test_what_cannot_be_mended_in_place_is_said_and_the_rest_is_made(client: Any) -> None:
    client.indices.delete_index_template(name="tillwatch-*")
    client.indices.create(
        index=INDEX, body={"mappings": {"properties": {"total": {"type": "boolean"}}}}
    )
    other = {"index_patterns": ["trans*"], "priority": 500, "template": {}}
    client.indices.put_index_template(name="somebody-else", body=other)
    try:
        said = run(opensearch, "apply")
    finally:
        client.indices.delete_index_template(name="somebody-else")
    assert said.exit_code == 1
    assert verbs(said)[f"index {INDEX}"] == "cannot"
    assert "total is boolean, not scaled_float: reindex it" in said.stdout
    assert verbs(said)["index template tillwatch-transactions"] == "cannot"
    assert "the template somebody-else (trans*) takes its place" in said.stdout
    names = {one["name"] for one in client.indices.get_index_template()["index_templates"]}
    assert "tillwatch-pages" in names
    assert "tillwatch-transactions" not in names


@pytest.mark.integration
def test_policies_are_made_changed_and_put_on_indices(
    client: Any, stack: "Stack", monkeypatch: pytest.MonkeyPatch
) -> None:
    assert stack.node is not None
    run(opensearch, "apply")
    double = IsmDouble(stack.node.url)
    others = {"policy_id": "somebody-elses"}
    double.indices = {INDEX: None, "pages-2026.01": None, "rejections-2026.01.05": others}
    double.indices |= {"transactions-2026.01.05-copy": None}
    with double.running() as url:
        monkeypatch.setenv("TILLWATCH_OPENSEARCH_URL", url)
        dry = run(opensearch, "apply", "--dry-run")
        assert dry.exit_code == WOULD_CHANGE
        assert double.sent == []
        assert run(opensearch, "apply").exit_code == 0
        assert double.sent == [
            *(f"PUT /_plugins/_ism/policies/{name}" for name in (ism.DAYS, ism.MONTHS)),
            "POST /_plugins/_ism/add/pages-2026.01",
            f"POST /_plugins/_ism/add/{INDEX}",
        ]
        assert double.indices["rejections-2026.01.05"] is others
        assert double.indices["transactions-2026.01.05-copy"] is None
        again = run(opensearch, "apply", "--dry-run")
        assert (again.exit_code, set(verbs(again).values())) == (0, {"same"})

        monkeypatch.setenv("TILLWATCH_RETENTION_DAYS", "60")
        changed = run(opensearch, "apply")
        assert changed.exit_code == 0
        assert '-     "min_index_age": "31d"' in re.sub(r" {5,}", "     ", changed.stdout)
        assert '+     "min_index_age": "61d"' in re.sub(r" {5,}", "     ", changed.stdout)
        assert f"POST /_plugins/_ism/change_policy/{INDEX}" in double.sent
        assert set(verbs(run(opensearch, "apply", "--dry-run")).values()) == {"same"}
    hot = double.indices[INDEX]["states"][0]
    assert hot["transitions"][0]["conditions"] == {"min_index_age": "61d"}


def day(back: int) -> str:
    return f"transactions-{datetime.now(UTC) - timedelta(days=back):%Y.%m.%d}"


@pytest.mark.integration
def test_retention_shows_then_deletes_and_refuses_to_delete_most(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for back in (0, 1, 2, 29, 32, 40):
        client.indices.create(index=day(back))
    client.indices.create(index="verdicts")
    dry = run(retention, "--dry-run")
    assert dry.exit_code == WOULD_DELETE
    assert dry.stdout == f"would delete {day(40)}\nwould delete {day(32)}\n"
    assert client.indices.exists(index=day(40))
    done = run(retention)
    assert (done.exit_code, done.stderr) == (0, "2 of 6 indices deleted; 30 days are kept\n")
    assert done.stdout == f"deleted {day(40)}\ndeleted {day(32)}\n"
    assert run(retention).stderr == "0 of 4 indices deleted; 30 days are kept\n"

    monkeypatch.setenv("TILLWATCH_RETENTION_DAYS", "1")
    monkeypatch.setattr("time.time", lambda: datetime.now(UTC).timestamp() + 86_400)
    refused = run(retention)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "3 of 4 indices would go, more than 50%" in refused.stderr
    assert client.indices.exists(index=day(29))
    assert run(retention, "--force").exit_code == 0
    left = sorted(client.indices.get(index="*"))
    assert left == [day(0), "verdicts"]


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ({"distribution": "opensearch", "number": "2.6.0"}, "this is OpenSearch 2.6.0, which has"),
        ({"distribution": "opensearch", "number": "1.3.20"}, "2.7 or later is needed"),
        ({"number": "8.15.0"}, "this is no OpenSearch but 8.15.0"),
        ({}, "this is no OpenSearch but something else"),
    ],
)
def test_a_server_that_is_too_old_gets_nothing(
    version: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = json.dumps({"version": version}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("TILLWATCH_OPENSEARCH_URL", f"http://127.0.0.1:{server.server_port}")
    try:
        said = run(opensearch, "apply")
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
    assert said.exit_code == 1
    assert words in said.stderr
    assert asked == ["/"]


def test_what_a_server_gives_back_as_text_is_no_difference() -> None:
    ours = {"a": 1, "b": True, "c": 10_000, "d": ["x"], "e": None}
    theirs = {"a": "1", "b": "true", "c": 10_000.0, "d": ["x"], "e": None}
    assert canonical(ours) == canonical(theirs)
    assert Change("thing", "t", theirs, ours).verb == "same"
    assert Change("thing", "t", theirs, {**ours, "a": 2}).verb == "change"
    assert next(Change("thing", "t", {"a": 1}, {"a": 2}).lines()) == "change thing t"
