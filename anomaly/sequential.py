"""Sequential tests: whether refunds come faster than usual, at any pace, for however long.

Page's CUSUM (Page 1954, doi:10.1093/biomet/41.1-2.100) of the log likelihood ratio of a marked
Poisson process, which is optimal for what begins at an unknown time (Lorden 1971,
doi:10.1214/aoms/1177693055): usual refunds come as their exposure says; a thief adds `pace` times
as many, with a thief's marks. A refund adds `log(1 + pace * ratio)`, where `ratio` is how much
likelier its marks are with a thief, and each refund that was to be expected takes `pace` nats away.
A run ends when all that speaks for it is used up, so that a burst of minutes and a drip of weeks
are found by one and the same test.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from math import log1p
from struct import Struct, error
from typing import Any, NamedTuple, Protocol

from river import base

from anomaly.state import RunsState
from events.instant import MINUTE, Instant

PACES = (0.7, 2.0, 6.0, 20.0)
"""How many times the usual a thief adds: a creeping rate, a drip, a burst, a burst in the quiet."""

COUNT = len(PACES)

UNIT = 1000.0
"""Nats and exposure are kept in thousandths, as whole numbers."""

STARTS_FROM = 0.5
"""A refund whose marks speak more strongly than this against a thief starts no run."""

NUMBER_MAX = 2**31 - 1
REFUNDS_MAX = 2**16 - 1
"""What a run's numbers end at: two million nats, and refunds; years until 6053."""

_PACKED = Struct("<BiHii")

KINDS_MAX = 8
"""Kinds of thief that runs may be about."""

SHARE = 4
"""The kind whose runs are of refunds alone (anomaly/unvouched.py): no expectation is held against
them, and they end at a refund."""

_CHARGED = PACES * SHARE + (0.0,) * (KINDS_MAX - SHARE) * COUNT
"""What each refund that was to be expected takes of a run, by its key."""

Numbers = tuple[int, int, int, int, int]
"""What a `Test` is made of."""


class Test(NamedTuple):
    """One run: nats and exposure (refunds expected) in thousandths, `since` in minutes.

    `key` is the kind of thief times COUNT, plus the place of the pace.
    """

    key: int
    nats: int
    n: int
    exposure: int
    since: int


class Runs(Protocol):
    """What a test goes on with: a state that has this, a shop's or a cashier's."""

    hour: int
    owed: float
    tests: bytes


def runs_in(runs: Runs) -> list[Test]:
    """The runs that are going on."""
    return [Test(*numbers) for numbers in _PACKED.iter_unpack(runs.tests)]


@lru_cache(maxsize=KINDS_MAX * COUNT + 1)
def _packer(count: int) -> Struct:
    """`count` runs at a time: one call instead of so many."""
    return Struct("<" + "BiHii" * count)


def _keep(runs: Runs, tests: Collection[Numbers]) -> Collection[Numbers]:
    """Pack `tests` into `runs`; the numbers as they are kept."""
    pack = _packer(len(tests)).pack
    try:
        runs.tests = pack(*chain.from_iterable(tests))
    except error:  # one of them is beyond what there is room for
        tests = [_within(*test) for test in tests]
        runs.tests = pack(*chain.from_iterable(tests))
    return tests


def _within(key: int, nats: int, n: int, exposure: int, since: int) -> Numbers:
    return (
        key,
        max(min(nats, NUMBER_MAX), -NUMBER_MAX),
        min(n, REFUNDS_MAX),
        min(exposure, NUMBER_MAX),
        max(min(since, NUMBER_MAX), -NUMBER_MAX),
    )


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
        nats_of = {test.key: test.nats / UNIT for test in runs_in(self.state)}
        for kind, ratio in x.get("ratios", {}).items():
            for place, pace in enumerate(PACES):
                nats = nats_of.get(kind * COUNT + place, -pace * self.state.owed)
                best = max(best, nats + log1p(pace * ratio))
        return best


def begin_hour(runs: Runs, hour: int, past: float, owed: float) -> None:
    """Take what was to be expected until `hour`, then what is to be expected in it.

    Runs end between hours, never within: what is booked in one go at the start of an hour has all
    the hour's expectation against it.
    """
    runs.hour, runs.owed = hour, owed
    if not runs.tests:
        return
    kept = []
    for key, nats, n, exposure, since in _PACKED.iter_unpack(runs.tests):
        left = nats - int(UNIT * _CHARGED[key] * past)
        if left > 0:
            left -= int(UNIT * _CHARGED[key] * owed)
            expected = exposure + int(UNIT * past) + int(UNIT * owed)
            kept.append((key, left, n, expected, since))
    _keep(runs, kept)


def charge(runs: Runs, exposure: float) -> None:
    """Hold refunds that were to be expected against the runs that are going on; none ends."""
    more = int(UNIT * exposure)
    charged = [
        (key, nats - int(UNIT * _CHARGED[key] * exposure), n, before + more, since)
        for key, nats, n, before, since in _PACKED.iter_unpack(runs.tests)
    ]
    _keep(runs, charged)


def cap(runs: Runs, nats: float) -> None:
    """Leave no run more than `nats`; with none left, all end."""
    most, tests = int(UNIT * nats), runs.tests
    if nats <= 0.0:
        runs.tests = b""
    elif max(_packer(len(tests) // _PACKED.size).unpack(tests)[1::5], default=most) > most:
        capped = [(key, min(one, most), *rest) for key, one, *rest in _PACKED.iter_unpack(tests)]
        _keep(runs, capped)


def count(
    runs: Runs, ratios: Mapping[int, float], at: Instant, steps: Sequence[int] = ()
) -> Collection[Numbers]:
    """Count one refund, whose marks have the likelihood `ratios` by kind of thief; all runs now.

    `steps` are what the runs of the kind `SHARE` gain or lose by it, in thousandths of a nat.
    """
    owed, since = runs.owed, at // MINUTE
    tests = {numbers[0]: numbers for numbers in _PACKED.iter_unpack(runs.tests)}
    for kind, ratio in ratios.items():
        key = kind * COUNT
        for pace in PACES:
            test = tests.get(key)
            if test is not None:
                _, nats, n, exposure, began = test
                more = int(UNIT * log1p(pace * ratio))
                tests[key] = key, nats + more, n + 1, exposure, began
            elif ratio >= STARTS_FROM:
                nats = int(UNIT * (log1p(pace * ratio) - pace * owed))
                tests[key] = key, nats, 1, int(UNIT * owed), since
            key += 1
    key = SHARE * COUNT
    for step in steps:
        test = tests.get(key)
        if test is not None:
            _, nats, n, exposure, began = test
            if nats + step > 0:
                tests[key] = key, nats + step, n + 1, exposure, began
            else:
                del tests[key]
        elif step > 0:
            tests[key] = key, step, 1, 0, since
        key += 1
    return _keep(runs, tests.values())


def worst(tests: Collection[Numbers]) -> dict[int, Numbers]:
    """Of each kind the run with the most nats; none below zero."""
    found: dict[int, Numbers] = {}
    for test in tests:
        nats = test[1]
        if nats > 0:
            kind = test[0] // COUNT
            other = found.get(kind)
            if other is None or nats > other[1]:
                found[kind] = test
    return found
