"""Documents into a real node on this machine: the sink, its bodies alone, helpers.bulk with dicts.

Each variant is a process of its own, at a fresh node; the documents are those of
benchmarks/records.py, made before the clock starts. Client CPU is that of the process with all its
threads; node CPU that of the node from the first request to its last merge.
"""

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.records import wire_records
from events.batch import Batch, Scored
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from local.opensearch import OpenSearchNode
from sinks import document, templates
from sinks.bulk import bodies, judge
from sinks.opensearch import OpenSearchSink
from sinks.opensearch_client import bulk, connect

DOCUMENTS = 200_000
WARM_UP_DOCUMENTS = 16_000
"""The node's JIT and its first segments, which are no document's cost."""

_ARRIVES_AFTER = 1_234_000
"""A document from a stream says when it arrived: a second time for the node to parse."""

_BATCH_RECORDS = 8_000
_HEAP = "1g"
_CLIENT_SECONDS_MAX = 900
_TICKS = 100


class Indexed(msgspec.Struct, frozen=True):
    """What a variant took for `documents` documents."""

    documents: int
    seconds: float
    client_cpu_seconds: float


class Row(msgspec.Struct, frozen=True):
    """One line of the table."""

    name: str
    indexed: Indexed
    node_cpu_seconds: float
    stored_bytes: int


def batches(count: int) -> Iterator[Batch]:
    """`count` transactions as the pipeline hands them over, without scores."""
    parse = Parser(Pseudonymizer(b"a key for the benchmark")).parse
    every = wire_records(count)
    for start in range(0, count, _BATCH_RECORDS):
        scored = []
        for number, (shop, data) in enumerate(every[start : start + _BATCH_RECORDS], start):
            position = Position("shardId-000000000000", f"{49_590 * 10**51 + number}")
            parsed = parse(Record(position, data, shop, None))
            arrived_at = parsed.occurred_at + _ARRIVES_AFTER  # type: ignore[union-attr] # all are sound
            scored.append(Scored(position, parsed, None, data, arrived_at))  # type: ignore[arg-type] # likewise
        yield Batch(tuple(scored), (), (), scored[0].position, scored[-1].position, len(scored))


def the_sink(url: str, count: int) -> Indexed:
    """As the worker does it: bodies are made, sent and judged, batch by batch."""
    made = list(batches(count))
    sink = OpenSearchSink(connect(url), threading.Event())

    def write(batch: Batch) -> None:
        if sink.write(batch).rejections:
            raise RuntimeError("no record of the benchmark may be refused")

    indexed = _measured(made, write, count)
    sink.close()
    return indexed


def bodies_alone(url: str, count: int) -> Indexed:
    """What of it is sending and judging: the bodies are there before."""
    made = [
        body
        for batch in batches(count)
        for body in bodies(map(document.transaction, batch.scored), _refuse)
    ]
    client = connect(url)

    def send(body: Any) -> None:
        verdict = judge(bulk(client, body.data), body)
        if verdict.again or verdict.refused:
            raise RuntimeError(f"the node did not take everything: {verdict.trouble}")

    return _measured(made, send, count)


def helpers_bulk(url: str, count: int) -> Indexed:
    """As opensearch-py's guide writes it: a dict per document, helpers.bulk as it comes."""
    from opensearchpy import OpenSearch, helpers

    made = [
        [
            {
                "_index": entry.action.index._index,  # noqa: SLF001 -- as the action has it
                "_id": entry.action.index._id,  # noqa: SLF001 -- likewise
                "_source": json.loads(msgspec.json.encode(entry.document)),
            }
            for entry in map(document.transaction, batch.scored)
        ]
        for batch in batches(count)
    ]
    client = OpenSearch(hosts=[url])
    return _measured(made, lambda actions: helpers.bulk(client, actions), count)


def _refuse(*_: Any) -> None:
    raise RuntimeError("no record of the benchmark may be refused")


def _measured(made: list[Any], write: Callable[[Any], Any], count: int) -> Indexed:
    began, cpu = time.perf_counter(), time.process_time()
    for one in made:
        write(one)
    return Indexed(count, time.perf_counter() - began, time.process_time() - cpu)


VARIANTS: dict[str, Callable[[str, int], Indexed]] = {
    "sink": the_sink,
    "bodies": bodies_alone,
    "helpers": helpers_bulk,
}


def _row(name: str, variant: str, kept: templates.Kept, count: int) -> Row:
    with (
        tempfile.TemporaryDirectory() as folder,
        OpenSearchNode(Path(folder, "node"), heap=_HEAP) as node,
    ):
        client = connect(node.url)
        templates.apply(client, kept)
        _run(variant, node.url, WARM_UP_DOCUMENTS)
        client.indices.delete(index="transactions-*,operations", ignore_unavailable=True)
        before = _cpu_seconds(node.pid)
        indexed = _run(variant, node.url, count)
        # Refreshed and merged, so that what is left for later is in the figure, and in the bytes.
        client.indices.forcemerge(index="transactions-*", max_num_segments=1, request_timeout=300)
        client.indices.flush(index="transactions-*", force=True)  # merged segments go with it
        found = client.count(index="transactions-*")["count"]
        if found != count:
            raise RuntimeError(f"{found} documents of {count} were indexed")
        stored = client.indices.stats(index="transactions-*", metric="store")
        stored_bytes = stored["_all"]["primaries"]["store"]["size_in_bytes"]
        spent = _cpu_seconds(node.pid) - before
        client.close()
    return Row(name, indexed, spent, stored_bytes)


def _run(variant: str, url: str, count: int) -> Indexed:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.indexing", variant, url, str(count)],
        check=True,
        stdout=subprocess.PIPE,
        timeout=_CLIENT_SECONDS_MAX,
    )
    return msgspec.json.decode(done.stdout, type=Indexed)


def _cpu_seconds(pid: int) -> float:
    """User and system time of a process so far, from Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def indexing_table(count: int = DOCUMENTS) -> None:
    """The table of docs/benchmarks.md."""
    best = templates.Kept(codec="best_compression")
    rows = [
        _row("the sink: bodies made, sent, judged", "sink", templates.LOCAL, count),
        _row("its bodies alone: sent, judged", "bodies", templates.LOCAL, count),
        _row("helpers.bulk with dicts", "helpers", templates.LOCAL, count),
        _row("the sink, best_compression", "sink", best, count),
    ]
    print(f"Indexing {count:,} documents into one local node")
    print()
    print("| | documents/s | client CPU-s per million | node CPU-s per million | MB stored |")
    print("|---|---|---|---|---|")
    for row in rows:
        per_million = 1_000_000 / row.indexed.documents
        print(
            f"| {row.name} | {row.indexed.documents / row.indexed.seconds:,.0f} "
            f"| {row.indexed.client_cpu_seconds * per_million:.1f} "
            f"| {row.node_cpu_seconds * per_million:.0f} | {row.stored_bytes / 1e6:.1f} |"
        )


if __name__ == "__main__":
    _variant, _url, _count = sys.argv[1:]
    sys.stdout.write(msgspec.json.encode(VARIANTS[_variant](_url, int(_count))).decode())
