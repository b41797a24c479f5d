"""Faults on real parts, a short run of `make soak`: nothing lost, nothing twice."""

from collections import Counter
from pathlib import Path

import pytest

from local.soak import text
from local.soaking import Options, soak

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]


def test_killed_at_random_moments_everything_comes_out_once(tmp_path: Path) -> None:
    options = Options(seed=3, records=16_000, kills=4, outages=1, freezes=1)
    report = soak(tmp_path, options, print)
    assert report.faults == [], text(report)
    assert report.records == options.records
    assert report.accepted == report.documents == report.rows
    assert report.pages > 0
    assert report.pages_sent > 0
    kinds = Counter(one.kind for one in report.injected)
    assert report.kills == 4
    assert kinds["freeze"] == 1
    assert kinds["worker for good"] == kinds["stop search"] == kinds["start search"] == 1
    assert all(one.pids for one in report.injected)
