"""Lines that CloudWatch counts, of what a real /metrics said; run as its container runs it."""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from consumer.children import Children
from consumer.heartbeat import Bounds
from consumer.metrics import METRICS, Metrics
from consumer.vitals import Vitals
from infra import metrics_lines
from infra.metrics_lines import figures, increases, line

LINES_SECONDS_MAX = 60


def said(retries: dict[str, float], lag: dict[str, float], held: float) -> str:
    """The worker's text form, with some shards in it."""
    counter = CounterMetricFamily("tillwatch_retries_total", "…", labels=("shard", "service"))
    for service, number in retries.items():
        for shard in lag:
            counter.add_metric((shard, service), number)
    gauge = GaugeMetricFamily("tillwatch_lag_seconds", "…", labels=("shard",))
    for shard, seconds in lag.items():
        gauge.add_metric((shard,), seconds)
    shards = GaugeMetricFamily("tillwatch_shards_held", "…")
    shards.add_metric((), held)

    class Said:
        def collect(self) -> list[Any]:
            return [counter, gauge, shards]

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Said())
    return generate_latest(registry).decode()


def test_the_worst_shard_counts_and_the_service_with_the_most_retries() -> None:
    lag = {"shard-0": 3.0, "shard-1": 700.0}
    gauges, before = figures(said({"s3": 2, "sns": 0}, lag, 2))
    assert gauges == {"tillwatch_lag_seconds": 700.0, "tillwatch_shards_held": 2.0}
    _, now = figures(said({"s3": 3, "sns": 5}, lag, 2))
    # Two shards, each of which saw one more of S3 and five more of SNS.
    assert increases(now, before) == {"tillwatch_retries_total": 10.0}


def test_a_counter_that_fell_began_anew() -> None:
    _, before = figures(said({"s3": 9}, {"shard-0": 0.0}, 1))
    _, now = figures(said({"s3": 2}, {"shard-0": 0.0}, 1))
    assert increases(now, before) == {"tillwatch_retries_total": 2.0}
    assert increases(now, {}) == {"tillwatch_retries_total": 2.0}


def test_what_the_workers_metrics_say_is_taken() -> None:
    bounds = Bounds(heartbeat_seconds_max=60.0, stalled_seconds_max=600.0)
    vitals = Vitals(bounds, lambda: 0.0)
    text = Metrics(Children(bounds), vitals, lambda: 3).text().decode()
    gauges, counters = figures(text)
    known = {metric.name for metric in METRICS}
    assert gauges.keys() | counters.keys() <= known
    assert gauges["tillwatch_shards_held"] == 0
    assert increases(counters, {})["tillwatch_log_lines_dropped_total"] == 3


def test_a_line_is_in_the_embedded_metric_format() -> None:
    made = json.loads(line("tillwatch", {"tillwatch_halted": 1.0}, 1_767_600_000_000))
    (directive,) = made["_aws"]["CloudWatchMetrics"]
    assert made["_aws"]["Timestamp"] == 1_767_600_000_000
    assert directive == {
        "Namespace": "Tillwatch",
        "Dimensions": [["application"]],
        "Metrics": [{"Name": "tillwatch_halted"}],
    }
    assert made["application"] == "tillwatch"
    assert made["tillwatch_halted"] == 1.0


@pytest.fixture
def unready() -> Iterator[int]:
    """The port of a worker that is not ready."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            ready = self.path == "/readyz"
            body = b"{}" if ready else said({"s3": 1}, {"shard-0": 5.0}, 1).encode()
            self.send_response(503 if ready else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- http.server's
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_it_writes_lines_until_it_is_told_to_stop(unready: int) -> None:
    text = Path(metrics_lines.__file__).read_text()
    process = subprocess.Popen(
        [sys.executable, "-c", text],
        env=os.environ
        | {
            "TILLWATCH_APPLICATION": "tillwatch",
            "TILLWATCH_METRICS_PORT": str(unready),
            "METRICS_PERIOD_SECONDS": "0.05",
        },
        stdout=subprocess.PIPE,
        text=True,
    )
    watch = threading.Timer(LINES_SECONDS_MAX, process.kill)
    watch.start()
    try:
        assert process.stdout is not None
        first, second = (json.loads(process.stdout.readline()) for _ in range(2))
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
        assert process.wait() == 0
    finally:
        watch.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    assert first["tillwatch_not_ready"] == 1.0
    assert (first["tillwatch_retries_total"], second["tillwatch_retries_total"]) == (1.0, 0.0)
    assert first["tillwatch_lag_seconds"] == 5.0
