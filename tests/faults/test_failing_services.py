"""S3, SQS, DynamoDB and SNS fail in turn before a real worker: it waits, says so, catches up."""

import pytest

from local.failing_phases import PHASES, FailingReport, failing_text
from local.failing_services import failing_services
from local.stack import Stack

pytestmark = pytest.mark.integration


def held(report: FailingReport, records: int) -> None:
    assert report.faults == [], failing_text(report)
    assert report.records == records
    assert report.accepted == report.documents == report.rows
    assert report.rejections >= records // 100
    assert report.pages_sent > 0
    assert report.pages_sent_again == report.staged_left == 0
    assert [one.name for one in report.fared] == [phase.name for phase in PHASES]
    assert all(one.refused > 0 and one.early > 0 for one in report.fared)
    assert report.fared[-1].refused_daemon > 0, "KCL's own requests failed as well"


@pytest.mark.timeout(500)
def test_each_service_away_for_seconds(stack: Stack) -> None:
    stack.renew()
    held(failing_services(stack, seed=5, records=9_000, seconds=6.0, tell=print), 9_000)


@pytest.mark.thorough
@pytest.mark.timeout(1_500)
def test_each_service_away_in_every_way_and_longer_than_the_timeouts(stack: Stack) -> None:
    stack.renew()
    held(failing_services(stack, seed=6, records=60_000, seconds=170.0, tell=print), 60_000)
