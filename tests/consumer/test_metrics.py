"""The metrics that are served, and that docs/metrics.md lists the same ones."""

import os
import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from consumer.children import Children
from consumer.heartbeat import Bounds
from consumer.metrics import METRICS, Metrics
from consumer.telemetry import HALTED, LISTENING, Commit, Totals
from consumer.vitals import Vitals
from tests.consumer.reports import Clock, datagram

BOUNDS = Bounds(60, 600)
DOCUMENT = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text()
EVERYTHING = Totals(
    commits=3,
    records=100,
    record_bytes=50_000,
    transactions=90,
    refunds=9,
    pages=2,
    repeated=4,
    late=5,
    hours_published=6,
    commit_seconds=1.5,
    snapshot_bytes=7_000,
    snapshot_seconds=0.25,
    reports_dropped=1,
    rejections={"parse/amount_not_positive": 8, "other": 1},
    retries={"opensearch": 12},
)


class Worker:
    def __init__(self) -> None:
        self.clock = Clock()
        self.children = Children(BOUNDS, clock=self.clock, session_of=lambda _: os.getpid())
        self.vitals = Vitals(BOUNDS, self.clock)
        self.metrics = Metrics(self.children, self.vitals, lambda: 13)

    def up(self) -> None:
        self.children.follow(os.getpid())
        self.vitals.daemon_started(os.getpid())

    def samples(self) -> dict[tuple[str, ...], float]:
        """Every sample by its name and its labels' values."""
        labels = {metric.name: metric.labels for metric in METRICS}
        return {
            (sample.name, *(sample.labels[of] for of in labels[sample.name])): sample.value
            for family in text_string_to_metric_families(self.metrics.text().decode())
            for sample in family.samples
            if sample.name.startswith("tillwatch_")
        }


def busy() -> Worker:
    worker = Worker()
    worker.up()
    worker.vitals.replaced["died"] += 1
    commit = Commit(
        position="1-0", snapshot_bytes=800, snapshot_seconds=0.5, hours_open=2, parts_staged=3
    )
    worker.children.receive(
        datagram(
            totals=EVERYTHING,
            last=commit,
            lag_seconds=2.0,
            lag_age=1.0,
            checkpoint_age=4.0,
            commit_age=5.0,
            beat_age=0.5,
            waiting_for="opensearch",
            resident_bytes=1_000,
        )
    )
    worker.clock.now += 10
    return worker


def test_every_figure_of_a_report_comes_out_with_its_age() -> None:
    worker = busy()
    found = worker.samples()
    bytes_of_daemon = found.pop(("tillwatch_daemon_resident_bytes",))
    assert bytes_of_daemon > 1_000_000
    shard = "shardId-0"
    assert found == {
        ("tillwatch_commits_total", shard): 3,
        ("tillwatch_records_total", shard): 100,
        ("tillwatch_record_bytes_total", shard): 50_000,
        ("tillwatch_transactions_total", shard): 90,
        ("tillwatch_refunds_total", shard): 9,
        ("tillwatch_pages_total", shard): 2,
        ("tillwatch_repeated_records_total", shard): 4,
        ("tillwatch_late_records_total", shard): 5,
        ("tillwatch_published_hours_total", shard): 6,
        ("tillwatch_commit_seconds_total", shard): 1.5,
        ("tillwatch_snapshot_bytes_total", shard): 7_000,
        ("tillwatch_snapshot_seconds_total", shard): 0.25,
        ("tillwatch_reports_dropped_total", shard): 1,
        ("tillwatch_rejections_total", shard, "parse", "amount_not_positive"): 8,
        ("tillwatch_rejections_total", shard, "other", "other"): 1,
        ("tillwatch_retries_total", shard, "opensearch"): 12,
        ("tillwatch_lag_seconds", shard): 15,
        ("tillwatch_checkpoint_age_seconds", shard): 14,
        ("tillwatch_commit_age_seconds", shard): 15,
        ("tillwatch_beat_age_seconds", shard): 10.5,
        ("tillwatch_child_resident_bytes", shard): 1_000,
        ("tillwatch_last_snapshot_bytes", shard): 800,
        ("tillwatch_last_snapshot_seconds", shard): 0.5,
        ("tillwatch_open_hours", shard): 2,
        ("tillwatch_staged_parts", shard): 3,
        ("tillwatch_waiting_pages", shard): 0,
        ("tillwatch_waiting", shard, "opensearch"): 1,
        ("tillwatch_halted", shard): 0,
        ("tillwatch_shards_held",): 1,
        ("tillwatch_daemon_up",): 1,
        ("tillwatch_daemon_restarts_total",): 0,
        ("tillwatch_children_replaced_total", "died"): 1,
        ("tillwatch_log_lines_dropped_total",): 13,
    }


def test_lag_is_what_the_daemon_said_and_the_time_since_or_the_age_of_a_commit() -> None:
    worker = Worker()
    worker.up()
    worker.children.receive(datagram(lag_seconds=2.0, lag_age=1.0))
    worker.clock.now += 10
    assert worker.samples()["tillwatch_lag_seconds", "shardId-0"] == 13
    worker.children.receive(datagram(sequence=2, lag_seconds=2.0, lag_age=1.0, commit_age=50.0))
    assert worker.samples()["tillwatch_lag_seconds", "shardId-0"] == 50


def test_a_shard_that_is_gone_keeps_its_counters_and_loses_its_gauges() -> None:
    worker = busy()
    worker.children.follow(None)
    worker.vitals.daemon_ended()
    found = worker.samples()
    assert found["tillwatch_records_total", "shardId-0"] == 100
    assert ("tillwatch_lag_seconds", "shardId-0") not in found
    assert found["tillwatch_shards_held",] == 0
    assert found["tillwatch_daemon_up",] == 0
    assert found["tillwatch_daemon_resident_bytes",] == 0
    worker.up()
    assert worker.samples()["tillwatch_daemon_restarts_total",] == 1


def test_what_a_young_child_cannot_say_is_not_made_up() -> None:
    worker = Worker()
    worker.up()
    worker.children.receive(datagram(doing=LISTENING))
    found = worker.samples()
    for name in ("lag_seconds", "checkpoint_age_seconds", "last_snapshot_bytes", "open_hours"):
        assert (f"tillwatch_{name}", "shardId-0") not in found
    assert found["tillwatch_commit_age_seconds", "shardId-0"] == 0
    assert found["tillwatch_records_total", "shardId-0"] == 0


def test_a_halted_shard_is_shown() -> None:
    worker = Worker()
    worker.up()
    worker.children.receive(datagram(doing=HALTED))
    assert worker.samples()["tillwatch_halted", "shardId-0"] == 1


def test_a_child_without_a_shard_shows_nowhere_in_the_metrics() -> None:
    worker = Worker()
    worker.up()
    worker.children.receive(datagram(shard_id=None))
    found = worker.samples()
    assert found["tillwatch_shards_held",] == 0
    assert not [key for key in found if "unknown" in key]


def test_every_metric_that_is_served_is_declared_and_every_declared_one_is_served() -> None:
    worker = busy()
    text = worker.metrics.text().decode()
    families = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in text_string_to_metric_families(text)
        if family.name.startswith("tillwatch_")
    }
    assert families == {(metric.name, metric.kind) for metric in METRICS}
    assert "process_resident_memory_bytes" in text or not Path("/proc").exists()


def test_metrics_are_named_by_convention() -> None:
    units = re.compile(r"^tillwatch_[a-z_]+$")
    for metric in METRICS:
        assert units.match(metric.name)
        assert metric.name.endswith("_total") == (metric.kind == "counter")
        assert not metric.name.endswith(("_ms", "_millis", "_count"))
        assert metric.help.endswith(".")
    names = [metric.name for metric in METRICS]
    assert len(set(names)) == len(names)


def test_docs_metrics_lists_every_metric_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(tillwatch_\w+)` \| (\w+) \| ([\w, ]*) \| (.+) \|$", DOCUMENT, re.MULTILINE
    )
    assert rows == [
        (metric.name, metric.kind, ", ".join(metric.labels), metric.help) for metric in METRICS
    ]
    named = set(re.findall(r"`(tillwatch_\w+?)(?:\[|\{|`)", DOCUMENT))
    assert named <= {metric.name for metric in METRICS}


def test_operations_names_only_metrics_that_there_are() -> None:
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    named = set(re.findall(r"\btillwatch_[a-z_]+", text))
    assert named <= {metric.name for metric in METRICS}
