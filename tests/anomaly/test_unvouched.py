"""More refunds than usual that nothing speaks for, however many refunds there are."""

import pytest

from anomaly.detector import Detector, DetectorConfig
from anomaly.sequential import COUNT, SHARE, begin_hour, charge, count, runs_in
from anomaly.state import RunsState
from anomaly.unvouched import PACES, steps
from events.instant import DAY, HOUR, MINUTE
from tests.anomaly.trade import MONDAY, trade, transaction, watch

THIEVES = 0.6


def _ratios(usual: float) -> tuple[float, float]:
    """How much likelier a refund without receipt is with a thief, and one with it."""
    return THIEVES / usual, (1.0 - THIEVES) / (1.0 - usual)


@pytest.mark.parametrize("usual", [0.05, 0.2, 0.5])
def test_usual_refunds_lower_every_run_and_thieves_raise_it(usual: float) -> None:
    bare, vouched = map(steps, _ratios(usual))
    for without, with_receipt, pace in zip(bare, vouched, PACES, strict=True):
        assert usual * without + (1.0 - usual) * with_receipt < 0.0
        marked = (usual + pace * THIEVES) / (1.0 + pace)
        assert marked * without + (1.0 - marked) * with_receipt > 0.0


def test_no_expectation_is_held_against_a_run_and_it_ends_at_a_refund() -> None:
    runs = RunsState()
    for number in range(4):
        count(runs, {0: 1.0}, number * MINUTE, (900, 1_200))
    begin_hour(runs, 9, 1_000.0, 1_000.0)
    charge(runs, 1_000.0)
    assert [test.key for test in runs_in(runs)] == [SHARE * COUNT, SHARE * COUNT + 1]
    assert [(test.nats, test.n) for test in runs_in(runs)] == [(3_600, 4), (4_800, 4)]
    count(runs, {}, 5 * MINUTE, (-4_000, -1_000))
    assert [(test.key, test.n) for test in runs_in(runs)] == [(SHARE * COUNT + 1, 5)]
    count(runs, {}, 6 * MINUTE, (-4_000, -4_000))
    assert not runs_in(runs)
    count(runs, {}, 7 * MINUTE, (-1, 5))
    assert [(test.key, test.since) for test in runs_in(runs)] == [(SHARE * COUNT + 1, 7)]


def _first_told(*without: str, bare: bool) -> int | None:
    """After how many of 18 refunds a page opens; they are as many as ever, over three days.

    Nothing speaks for any of them if `bare`.
    """
    detector = Detector(DetectorConfig(key_groups=1, without=without))
    watch(detector, [one for one in trade(5, days=31) if one.occurred_at < MONDAY + 28 * DAY])
    refunds = 0
    for day in range(3):
        for number in range(60):
            back = number % 10 == 5
            refunds += back
            seen = detector.observe(
                transaction(
                    80_000 + 100 * day + number,
                    "REFUND" if back else "SALE",
                    MONDAY + (28 + day) * DAY + 10 * HOUR + number * 8 * MINUTE,
                    2_500 + 10 * number,
                    cashier_id=f"c-0-{number % 3}",
                    original_transaction_id=f"old-{number}" if back and not bare else None,
                )
            )
            if seen is not None and any(page.status == "open" for page in seen.pages):
                return refunds
    return None


def test_as_many_refunds_as_ever_are_told_of_when_nothing_speaks_for_them() -> None:
    told = _first_told(bare=True)
    without = _first_told("unvouched", bare=True)
    assert told is not None
    assert without is None or told < without
    assert _first_told(bare=False) is None
