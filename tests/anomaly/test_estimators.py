"""What every estimator promises, whichever it is: the contract suite."""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from river import base

from anomaly.amounts import LogAmounts
from anomaly.baseline import HourOfWeek
from anomaly.cashiers import Cashiers
from anomaly.forest import FEATURES, Forest
from anomaly.marks import MarkShares
from anomaly.repeats import Repeats
from anomaly.state import (
    CARDS_MAX,
    AmountState,
    CashierState,
    ForestState,
    GroupState,
    MarkState,
    RateState,
    Recent,
    RepeatsState,
)
from events.instant import HOUR


class Case(NamedTuple):
    """One estimator: how it is made, what it is shown, how its state is kept and taken up."""

    make: Callable[[], Any]
    example: Callable[[Random, int], dict[str, Any]]
    kept: Callable[[Any], object]
    take_up: Callable[[Any, Any], None]
    state_type: object
    bytes_max: int


def _refund(rng: Random, number: int) -> Recent:
    return Recent(
        at=number * HOUR,
        total=rng.randrange(1, 9_999),
        id=f"t-{number}",
        cashier=None,
        card=None,
        marks=rng.randrange(8),
    )


def _hour(rng: Random, number: int) -> dict[str, Any]:
    hour = 500_000 + number - (3 if number % 50 == 49 else 0)
    return {"hour": hour, "sales": rng.randrange(30), "refunds": rng.random() * 3}


def _amount(rng: Random, _: int) -> dict[str, Any]:
    return {"amount": int(rng.lognormvariate(7, 1)) + 1, "weight": rng.uniform(0.1, 1)}


def _marks(rng: Random, _: int) -> dict[str, Any]:
    return {"marks": rng.choice((0, 0, 0, 1, 3, 4)), "weight": rng.uniform(0.1, 1)}


def _repeat(rng: Random, number: int) -> dict[str, Any]:
    key = rng.choice((f"new-{number}", f"known-{rng.randrange(20)}"))
    refund = _refund(rng, number)
    return {"key": key, "refund": refund, "at": refund.at, "weight": rng.uniform(0.1, 1)}


def _cashier(rng: Random, number: int) -> dict[str, Any]:
    name = rng.choice((f"new-{number}", f"c-{rng.randrange(9)}"))
    x: dict[str, Any] = {"cashier": name, "share": 0.04, "weight": rng.uniform(0.1, 1)}
    if rng.random() < 0.1:
        x["refund"] = _refund(rng, number)
    return x


def _features(rng: Random, _: int) -> dict[str, Any]:
    return {name: rng.betavariate(2, 5) for name in FEATURES}


def _set_state(estimator: Any, state: Any) -> None:
    estimator.state = state


def _take_up_hours(estimator: HourOfWeek, state: tuple[RateState, GroupState]) -> None:
    estimator._chain = state[1]
    estimator.restore(state[0])


CASES = {
    "HourOfWeek": Case(
        HourOfWeek,
        _hour,
        lambda one: [one.state, one._chain],
        _take_up_hours,
        tuple[RateState, GroupState],
        3_000,
    ),
    "LogAmounts": Case(LogAmounts, _amount, lambda one: one.state, _set_state, AmountState, 60),
    "MarkShares": Case(MarkShares, _marks, lambda one: one.state, _set_state, MarkState, 60),
    "Repeats": Case(
        lambda: Repeats(CARDS_MAX), _repeat, lambda one: one.state, _set_state, RepeatsState, 8_000
    ),
    "Cashiers": Case(
        Cashiers,
        _cashier,
        lambda one: one.state,
        _set_state,
        dict[str, CashierState],
        12_000,
    ),
    "Forest": Case(Forest, _features, Forest.dump, Forest.load, ForestState, 6_000),
}

every = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())


def _learnt(case: Case, count: int, seed: int = 5) -> Any:
    estimator, rng = case.make(), Random(seed)
    for number in range(count):
        estimator.learn_one(case.example(rng, number))
    return estimator


def _probes(case: Case) -> list[dict[str, Any]]:
    rng = Random(99)
    return [case.example(rng, 1_200 + number) for number in range(40)]


def _scores(case: Case, estimator: Any) -> list[float]:
    return [estimator.score_one(x) for x in _probes(case)]


def test_a_cashier_that_is_not_known_has_no_part_and_nothing_to_forgive() -> None:
    cashiers = Cashiers()
    assert cashiers.part("c-1", 10) == 0.0
    cashiers.forgive(_refund(Random(1), 1))
    assert cashiers.state == {}


def test_marks_that_gathered_count_no_more_than_the_refunds_that_carry_them() -> None:
    """Both fade, each rounded by itself."""
    marks = MarkShares()
    assert marks.parts([2.5, 3.0, 0.0], 2.0) == marks.parts([2.0, 2.0, 0.0], 2.0)


@every
def test_it_is_one_of_river_s(case: Case) -> None:
    assert isinstance(case.make(), base.AnomalyDetector)


@every
def test_it_scores_before_it_has_learnt_and_scores_never_fall_below_zero(case: Case) -> None:
    assert all(score >= 0.0 for score in _scores(case, case.make()))
    assert any(score > 0.0 for score in _scores(case, _learnt(case, 1_000)))


@every
def test_it_leaves_its_inputs_as_they_came(case: Case) -> None:
    estimator, rng = case.make(), Random(5)
    for number in range(300):
        x = case.example(rng, number)
        before = deepcopy(x)
        estimator.score_one(x)
        estimator.learn_one(x)
        assert x == before


@every
def test_scoring_changes_nothing(case: Case) -> None:
    estimator = _learnt(case, 700)
    before = msgspec.msgpack.encode(case.kept(estimator))
    first = _scores(case, estimator)
    assert _scores(case, estimator) == first
    assert msgspec.msgpack.encode(case.kept(estimator)) == before


@every
def test_the_order_of_features_makes_no_difference(case: Case) -> None:
    straight, turned = case.make(), case.make()
    rng = Random(5)
    for number in range(700):
        x = case.example(rng, number)
        straight.learn_one(x)
        turned.learn_one(dict(reversed(x.items())))
    assert _scores(case, straight) == _scores(case, turned)


@every
def test_any_feature_may_be_missing(case: Case) -> None:
    estimator, rng = _learnt(case, 50), Random(6)
    estimator.learn_one({})
    assert estimator.score_one({}) >= 0.0
    for number in range(200):
        x = case.example(rng, 60 + number)
        del x[rng.choice(list(x))]
        assert estimator.score_one(x) >= 0.0
        estimator.learn_one(x)


@every
def test_a_clone_has_the_parameters_and_none_of_the_learning(case: Case) -> None:
    estimator = _learnt(case, 1_000)
    clone = estimator.clone()
    assert type(clone) is type(estimator)
    assert _scores(case, clone) == _scores(case, case.make())
    before = _scores(case, estimator)
    clone.learn_one(case.example(Random(1), 3))
    assert _scores(case, estimator) == before


@every
def test_the_same_observations_give_the_same_scores(case: Case) -> None:
    assert _scores(case, _learnt(case, 900)) == _scores(case, _learnt(case, 900))


@every
def test_a_restored_state_gives_equal_scores_and_learns_on_alike(case: Case) -> None:
    estimator = _learnt(case, 900)
    data = msgspec.msgpack.encode(case.kept(estimator))
    restored = case.make()
    case.take_up(restored, msgspec.msgpack.decode(data, type=case.state_type))
    assert _scores(case, restored) == _scores(case, estimator)
    rng = Random(8)
    for number in range(900, 1_300):
        x = case.example(rng, number)
        restored.learn_one(x)
        estimator.learn_one(x)
    assert _scores(case, restored) == _scores(case, estimator)
    assert msgspec.msgpack.encode(case.kept(restored)) == msgspec.msgpack.encode(
        case.kept(estimator)
    )


@every
def test_memory_is_bounded(case: Case) -> None:
    estimator = _learnt(case, 12_000)
    assert len(msgspec.msgpack.encode(case.kept(estimator))) <= case.bytes_max
