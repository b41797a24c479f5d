"""Sequential tests: whether refunds come faster than usual, at any pace, for however long.

Page's CUSUM (Page 1954, doi:10.1093/biomet/41.1-2.100) of the log likelihood ratio of a marked
Poisson process, which is optimal for what begins at an unknown time (Lorden 1971,
doi:10.1214/aoms/1177693055): usual refunds come as their exposure says; a thief adds `pace` times
as many, with a thief's marks. A refund adds `log(1 + pace * ratio)`, where `ratio` is how much
likelier its marks are with a thief, and each refund that was to be expected takes `pace` nats away.
A run ends when all that speaks for it is used up, so that a burst of minutes and a drip of weeks
are found by one and the same test.
"""

from collections.abc import Mapping
from math import log1p
from typing import Any

from river import base

from anomaly.state import RunsState, TestState
from events.instant import MINUTE, Instant

PACES = (0.7, 2.0, 6.0, 20.0)
"""How many times the usual a thief adds: a creeping rate, a drip, a burst, a burst in the quiet."""

COUNT = len(PACES)

UNIT = 1000.0
"""Nats and exposure are kept in thousandths, as whole numbers."""

STARTS_FROM = 0.5
"""A refund whose marks speak more strongly than this against a thief starts no run."""


class MarkedCusum(base.AnomalyDetector):  # type: ignore[misc]  # river has no types
    """The runs about one entity; memory is a few numbers per kind of thief and pace.

    `x` has `ratios` (by kind of thief, how much likelier the refund's marks are), `at`, and may
    have `hour` with `past` and `owed`: the refunds to be expected between the last hour with
    refunds and this one, and in it.
    """

    def __init__(self) -> None:
        self.state = RunsState()

    def learn_one(self, x: dict[str, Any]) -> None:
        """Count one refund; without `ratios` only its hour is taken note of."""
        hour = x.get("hour")
        if hour is not None and hour != self.state.hour:
            begin_hour(self.state, hour, x.get("past", 0.0), x.get("owed", 0.0))
        count(self.state, x.get("ratios", {}), x.get("at", 0))

    def score_one(self, x: dict[str, Any]) -> float:
        """Nats for a thief if the refund were counted now; 0.0 without `ratios`."""
        best = 0.0
        for kind, ratio in x.get("ratios", {}).items():
            for place, pace in enumerate(PACES):
                test = self.state.tests.get(kind * COUNT + place)
                nats = test.nats / UNIT if test else -pace * self.state.owed
                best = max(best, nats + log1p(pace * ratio))
        return best


def begin_hour(runs: RunsState, hour: int, past: float, owed: float) -> None:
    """Take what was to be expected until `hour`, then what is to be expected in it.

    Runs end between hours, never within: what is booked in one go at the start of an hour has all
    the hour's expectation against it.
    """
    runs.hour, runs.owed = hour, owed
    tests = runs.tests
    for key, test in list(tests.items()):
        test.nats -= int(UNIT * PACES[key % COUNT] * past)
        test.exposure += int(UNIT * past)
        if test.nats <= 0:
            del tests[key]
    charge(runs, owed)


def charge(runs: RunsState, exposure: float) -> None:
    """Hold refunds that were to be expected against the runs that are going on; none ends."""
    for key, test in runs.tests.items():
        test.nats -= int(UNIT * PACES[key % COUNT] * exposure)
        test.exposure += int(UNIT * exposure)


def cap(runs: RunsState, nats: float) -> None:
    """Leave no run more than `nats`; with none left, all end."""
    if nats <= 0.0:
        runs.tests.clear()
    for test in runs.tests.values():
        test.nats = min(test.nats, int(UNIT * nats))


def count(runs: RunsState, ratios: Mapping[int, float], at: Instant) -> None:
    """Count one refund, whose marks have the likelihood `ratios` by kind of thief."""
    tests, owed = runs.tests, runs.owed
    for kind, ratio in ratios.items():
        key = kind * COUNT
        for pace in PACES:
            test = tests.get(key)
            if test is not None:
                test.nats += int(UNIT * log1p(pace * ratio))
                test.n += 1
            elif ratio >= STARTS_FROM:
                nats = int(UNIT * (log1p(pace * ratio) - pace * owed))
                tests[key] = TestState(nats, 1, int(UNIT * owed), at // MINUTE)
            key += 1


def worst(runs: RunsState) -> dict[int, tuple[int, TestState]]:
    """Of each kind the run with the most nats, with the place of its pace; none below zero."""
    found: dict[int, tuple[int, TestState]] = {}
    for key, test in runs.tests.items():
        kind = key // COUNT
        other = found.get(kind)
        if test.nats > 0 and (other is None or test.nats > other[1].nats):
            found[kind] = (key % COUNT, test)
    return found
