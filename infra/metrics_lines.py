"""Beside the worker, in its image: what /metrics and /readyz say, as lines that CloudWatch counts.

One line a minute on standard output, in CloudWatch's embedded metric format: CloudWatch Logs makes
metrics of it, without an agent and without a right to put any. A gauge is that of the worst shard
(but `tillwatch_shards_held` is a sum anyway); a counter is what came since the line before, over
all shards, and of `tillwatch_retries_total` that of the service with the most.

This file is handed to the container as it is: it needs nothing of ours, and prometheus_client.
"""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections import defaultdict
from http import HTTPStatus

from prometheus_client.parser import text_string_to_metric_families

NAMESPACE = "Tillwatch"
PERIOD_SECONDS = 60
ANSWER_SECONDS_MAX = 5
ANSWER_BYTES_MAX = 8 * 2**20
NOT_READY = "tillwatch_not_ready"
RETRIES = "tillwatch_retries_total"

Counters = dict[str, dict[str, float]]
"""By metric and, of retries, by service."""


def figures(text: str) -> tuple[dict[str, float], Counters]:
    """The worst of every gauge, and the sums of every counter, of what /metrics said."""
    gauges: dict[str, float] = {}
    counters: Counters = defaultdict(lambda: defaultdict(float))
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if not sample.name.startswith("tillwatch_"):
                continue
            if family.type == "counter":
                part = sample.labels["service"] if sample.name == RETRIES else ""
                counters[sample.name][part] += sample.value
            else:
                gauges[sample.name] = max(gauges.get(sample.name, 0.0), sample.value)
    return gauges, {name: dict(parts) for name, parts in counters.items()}


def increases(now: Counters, before: Counters) -> dict[str, float]:
    """What came since `before`; a counter that fell began anew with the worker."""
    found = {}
    for name, parts in now.items():
        came = [
            value - held if value >= (held := before.get(name, {}).get(part, 0.0)) else value
            for part, value in parts.items()
        ]
        found[name] = max(came, default=0.0)
    return found


def line(application: str, values: dict[str, float], millis: int) -> str:
    """One line in the embedded metric format."""
    directive = {
        "Namespace": NAMESPACE,
        "Dimensions": [["application"]],
        "Metrics": [{"Name": name} for name in sorted(values)],
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": millis, "CloudWatchMetrics": [directive]},
            "application": application,
            **values,
        }
    )


def asked(url: str) -> tuple[int, str]:
    """Status and body; an answer of 503 is one too."""
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS_MAX) as answer:  # noqa: S310 -- loopback
            return answer.status, answer.read(ANSWER_BYTES_MAX).decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


def main() -> None:
    """A line a minute until SIGTERM; while nothing answers there is none, which alarms."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    base = f"http://127.0.0.1:{os.environ['TILLWATCH_METRICS_PORT']}"
    period = float(os.environ.get("METRICS_PERIOD_SECONDS", str(PERIOD_SECONDS)))
    before: Counters = {}
    while True:
        time.sleep(period)
        try:
            ready, _ = asked(f"{base}/readyz")
            _, text = asked(f"{base}/metrics")
        except OSError as error:
            print(f"the worker does not answer: {error}", file=sys.stderr, flush=True)  # noqa: T201 -- its log
            continue
        gauges, counters = figures(text)
        values = {**gauges, **increases(counters, before), NOT_READY: float(ready != HTTPStatus.OK)}
        before = counters
        print(  # noqa: T201 -- this is what it is for
            line(os.environ["TILLWATCH_APPLICATION"], values, time.time_ns() // 1_000_000),
            flush=True,
        )


if __name__ == "__main__":
    main()
