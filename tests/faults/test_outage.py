"""OpenSearch away while records arrive: memory stays flat, nothing is dropped, all catches up."""

from pathlib import Path

import pytest

from local.outage import outage, outage_text
from local.soaking import Options

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

OUTAGE_SECONDS = 24.0


def test_memory_stays_flat_and_everything_comes_out_once(tmp_path: Path) -> None:
    options = Options(seed=4, records=20_000, shards=1)
    report = outage(tmp_path, options, OUTAGE_SECONDS, print)
    assert report.faults == [], outage_text(report)
    assert report.accepted == report.documents == report.rows
    memory = {one.kind: one for one in report.memory}
    assert set(memory) == {"child", "daemon", "supervisor"}
    for one in memory.values():
        assert one.early > 0
        assert one.late < 1.25 * one.early, outage_text(report)
