"""When a child is taken for hung."""

from typing import Any

import pytest

from consumer.heartbeat import Bounds, judge
from consumer.telemetry import HALTED, LISTENING, RESTORING, STARTING
from tests.consumer.reports import report

BOUNDS = Bounds(heartbeat_seconds_max=60, stalled_seconds_max=600)


@pytest.mark.parametrize(
    ("said", "since", "cause"),
    [
        ({}, 60, None),
        ({}, 61, "silent"),
        ({"doing": LISTENING}, 61, "silent"),
        ({"doing": RESTORING}, 61, "silent"),
        ({"beat_age": 60}, 0, None),
        ({"beat_age": 59}, 2, "hung"),
        ({"beat_age": 61, "waiting_for": "opensearch"}, 0, "hung"),
        # The stream is silent, or Kinesis is away: nothing is wrong with the child.
        ({"doing": LISTENING, "beat_age": 599}, 1, None),
        ({"doing": LISTENING, "beat_age": 599}, 2, "daemon_silent"),
        # The bucket is away: each new try is progress.
        ({"doing": RESTORING, "beat_age": 9_000, "progress_age": 100}, 0, None),
        ({"doing": RESTORING, "beat_age": 9_000, "progress_age": 601}, 0, "stalled"),
        ({"doing": RESTORING, "beat_age": 1, "progress_age": 9_000}, 0, None),
        ({"doing": STARTING, "beat_age": 601, "progress_age": 601}, 0, "stalled"),
        # OpenSearch is away: the main thread waits and beats, the commit tries again and again.
        ({"commit_age": 9_000, "progress_age": 100}, 0, None),
        ({"commit_age": 9_000, "progress_age": 599}, 2, "stalled"),
        ({"commit_age": 9_000, "progress_age": 601, "doing": LISTENING}, 0, "stalled"),
        # It stands still on purpose, in the middle of a commit at that.
        ({"doing": HALTED, "beat_age": 9_000, "commit_age": 9_000, "progress_age": 9_000}, 0, None),
        ({"doing": HALTED}, 61, "silent"),
        # No commit is on its way: nothing has to go forward.
        ({"progress_age": 9_000}, 0, None),
    ],
)
def test_who_is_hung_and_who_waits(said: dict[str, Any], since: float, cause: str | None) -> None:
    verdict = judge(report(**said), since, BOUNDS)
    assert (verdict and verdict[0]) == cause
