"""What every estimator promises, whichever it is: the contract suite."""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest
from river import base

from anomaly.amounts import SEEN_MAX, LogAmounts
from anomaly.baseline import HourOfWeek
from anomaly.cashiers import LATELY_KEEPS, LIFT_MAX, Cashiers
from anomaly.forest import FEATURES, Forest
from anomaly.marks import RATIO_MAX, MarkShares
from anomaly.misfits import Misfits
from anomaly.numbering import Numbering
from anomaly.repeats import Repeats
from anomaly.sale_state import (
    TENDERS_MAX,
    ChainMisfitState,
    MarkState,
    NumberingState,
    SoldState,
    TenderState,
)
from anomaly.sequential import NUMBER_MAX, MarkedCusum, charge, runs_in
from anomaly.sold import SaleMemory
from anomaly.state import (
    CARDS_MAX,
    TRAIL_MAX,
    AmountState,
    CashierState,
    ForestState,
    GroupState,
    MisfitState,
    RateState,
    Recent,
    RepeatsState,
    RunsState,
)
from anomaly.tenders import OTHER_TENDER, SAME_TENDER, TENDERS_MIN, Tenders
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


def _paid(rng: Random, number: int) -> dict[str, Any]:
    if rng.random() < 0.7:
        return {"receipt": f"t-{number % 99}", "tender": f"k-{number % 99}"}
    sale = rng.randrange(99)
    tender = rng.choice(("CASH", f"k-{sale}"))
    weight = rng.uniform(0.1, 1)
    return {"receipt": f"t-{sale}", "tender": tender, "refund": True, "weight": weight}


def _run(rng: Random, number: int) -> dict[str, Any]:
    return {
        "hour": number // 3,
        "past": rng.random() * 3,
        "owed": rng.random(),
        "ratios": {0: rng.uniform(0.4, 1.6), 1: rng.choice((0.3, 5.0))},
        "at": number * HOUR,
    }


def _features(rng: Random, _: int) -> dict[str, Any]:
    return {name: rng.betavariate(2, 5) for name in FEATURES}


def _sale(rng: Random, number: int) -> dict[str, Any]:
    return {"receipt": f"s-{number % 97}", "amount": rng.randrange(1, 9_999)}


def _receipt(rng: Random, number: int) -> dict[str, Any]:
    place = number - 260 if 1_200 <= number < 1_300 else number  # the probes are old receipts
    return {"receipt": f"s-{1_000 + place}", "days": rng.choice((0, 1, 1, 3))}


def _misfit(rng: Random, number: int) -> dict[str, Any]:
    return {
        "times": rng.choice((0.0, 0.5, 1.0, 1.0, 2.5, 9.0)),
        "days": rng.choice((None, 0, 1, 5, 9, 40, 95)),
        "weight": rng.uniform(0.1, 1),
        "refund": _refund(rng, number),
    }


def _take_up_misfits(estimator: Misfits, state: tuple[MisfitState, ChainMisfitState]) -> None:
    estimator.state, estimator._chain = state


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
    "LogAmounts": Case(LogAmounts, _amount, lambda one: one.state, _set_state, AmountState, 120),
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
        14_000,
    ),
    "Tenders": Case(Tenders, _paid, lambda one: one.state, _set_state, TenderState, 300),
    "MarkedCusum": Case(MarkedCusum, _run, lambda one: one.state, _set_state, RunsState, 300),
    "SaleMemory": Case(SaleMemory, _sale, lambda one: one.state, _set_state, SoldState, 2_000),
    "Numbering": Case(Numbering, _receipt, lambda one: one.state, _set_state, NumberingState, 400),
    "Misfits": Case(
        Misfits,
        _misfit,
        lambda one: [one.state, one._chain],
        _take_up_misfits,
        tuple[MisfitState, ChainMisfitState],
        700,
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


def test_a_mark_that_all_refunds_carry_says_nothing() -> None:
    marks = MarkShares()
    for _ in range(5):
        marks.learn_one({"marks": 1})
    assert marks.ratio(0, 1) == marks.ratio(0, 0) == 1.0
    for _ in range(3):
        marks.learn_one({"marks": 0})
    assert marks.ratio(0, 1) > 1.0 > marks.ratio(0, 0)


def test_a_mark_that_is_next_to_unheard_of_is_no_proof_by_itself() -> None:
    marks = MarkShares()
    for _ in range(600):
        marks.learn_one({"marks": 0})
    assert marks.ratio(2, 4) == RATIO_MAX


def test_half_of_what_is_known_of_the_largest_amounts_is_forgotten_in_time() -> None:
    amounts = LogAmounts()
    for number in range(SEEN_MAX - 1):
        amounts.learn(1_000 + number % 100)
    assert amounts.state.seen == SEEN_MAX - 1
    amounts.learn(5_000)
    assert amounts.state.seen == SEEN_MAX // 2
    assert amounts.state.top[-1] == 5_000
    assert amounts.state.large == 0
    assert amounts.score(10**6) == 0.0


def test_an_amount_is_the_rarer_the_larger_it_is_and_never_falls_where_its_tail_begins() -> None:
    amounts, rng = LogAmounts(), Random(3)
    for _ in range(5_000):
        amounts.learn(int(rng.lognormvariate(8, 0.8)))
    at = [1, 1_000, 9_000, amounts.state.large, amounts.state.large + 1, 10**6]
    scores = [amounts.score(amount) for amount in at]
    assert scores == sorted(scores)
    assert scores[-1] > scores[-2] + 2.0


def test_a_run_ends_between_hours_never_within() -> None:
    cusum = MarkedCusum()
    cusum.learn_one({"hour": 1, "owed": 4.0, "ratios": {0: 1.0}, "at": 0})
    assert all(test.nats < 0 for test in runs_in(cusum.state))
    cusum.learn_one({"hour": 1, "owed": 4.0, "ratios": {0: 1.0}, "at": 0})
    assert {test.n for test in runs_in(cusum.state)} == {2}
    cusum.learn_one({"hour": 2, "owed": 0.1, "ratios": {0: 0.3}, "at": 0})
    assert cusum.state.tests == b""


def test_a_drip_and_a_burst_are_found_by_the_same_test() -> None:
    for expected, refunds in ((3.0, (1,) * 60), (0.1, (8,))):
        cusum = MarkedCusum()
        for hour, count in enumerate(refunds):
            x = {"hour": hour + 1, "past": expected / 9, "owed": 0.01}
            for _ in range(count):
                cusum.learn_one({**x, "ratios": {0: 1.0}, "at": hour * HOUR})
        assert max(test.nats for test in runs_in(cusum.state)) > 8_000


def test_a_key_is_counted_beyond_the_refunds_that_are_remembered_of_it() -> None:
    cards, rng = Repeats(CARDS_MAX), Random(1)
    refund = msgspec.structs.replace(_refund(rng, 0), at=HOUR)
    for _ in range(3 * TRAIL_MAX):
        cards.learn_one({"key": "k-1", "refund": refund})
    assert len(cards.trail("k-1")) == TRAIL_MAX
    assert cards.count("k-1", HOUR) == 3 * TRAIL_MAX
    assert cards.count("k-1", HOUR + cards.half_life) == 1.5 * TRAIL_MAX


def test_a_cashier_is_lifted_by_what_the_others_take_back_never_by_his_own() -> None:
    cashiers = Cashiers()
    for name, sales, refunds in (("c-1", 50, 20), ("c-2", 50, 2), ("c-3", 50, 2)):
        one = cashiers.arrive(name)
        one.today, one.refunds_today = sales, refunds
    lifts = {
        name: cashiers.lift(one, 0.04, *cashiers.lately()) for name, one in cashiers.state.items()
    }
    assert lifts["c-1"] == 1.0
    assert lifts["c-2"] == lifts["c-3"] == LIFT_MAX
    cashiers.next_day(1, 0.04)
    assert cashiers.lately() == (150 * LATELY_KEEPS, 24 * LATELY_KEEPS)


def test_a_run_keeps_its_numbers_within_what_it_is_packed_in() -> None:
    cusum = MarkedCusum()
    cusum.learn_one({"ratios": {0: 1.0}, "at": 2**80, "hour": 1, "owed": 0.1})
    for _ in range(3):
        charge(cusum.state, 1e12)
    assert {abs(test.nats) for test in runs_in(cusum.state)} == {NUMBER_MAX}
    assert {test.exposure for test in runs_in(cusum.state)} == {NUMBER_MAX}
    assert {test.since for test in runs_in(cusum.state)} == {NUMBER_MAX}


def test_a_returns_desk_is_learnt_as_its_cashier_s_habit() -> None:
    cashiers = Cashiers()
    for day in range(30):
        for number in range(10):
            cashiers.learn_one({"cashier": "desk", "refund": _refund(Random(1), number)})
        for _ in range(50):
            cashiers.learn_one({"cashier": "till"})
        cashiers.next_day(1 if day % 7 else 2, 0.04)
    assert cashiers.desk(cashiers.state["desk"], 0.04) > 5.0
    assert cashiers.desk(cashiers.state["till"], 0.04) == 0.0


def _till(sales: int) -> Tenders:
    """Sales on cards of their own, after a first refund that shows a receipt."""
    tenders = Tenders()
    tenders.learn_one({"receipt": "first", "tender": "CASH", "refund": True})
    for number in range(sales):
        tenders.learn_one({"receipt": f"t-{number}", "tender": f"k-{number}"})
    return tenders


def test_how_a_sale_was_paid_is_known_again() -> None:
    tenders = _till(60)
    same = [tenders.marks(f"t-{number}", f"k-{number}") for number in range(60)]
    other = [tenders.marks(f"t-{number}", "CASH") for number in range(60)]
    strangers = [tenders.marks(f"x-{number}", "CASH") for number in range(60)]
    assert same.count(SAME_TENDER) > 45
    assert same.count(OTHER_TENDER) < 4
    assert other.count(OTHER_TENDER) > 40
    assert strangers.count(0) > 50


def test_the_table_grows_with_the_shop_to_its_bound_and_forgets_nothing_by_it() -> None:
    tenders = _till(60)
    before = [tenders.marks(f"t-{number}", f"k-{number}") for number in range(60)]
    sizes = []
    for _ in range(5):
        tenders.grow(10_000.0)
        sizes.append(len(tenders.state.paid))
        after = [tenders.marks(f"t-{number}", f"k-{number}") for number in range(60)]
        assert after == before
    assert sizes[0] == 2 * TENDERS_MIN
    assert sizes[-1] == TENDERS_MAX
    quiet = _till(1)
    quiet.grow(10.0)
    assert len(quiet.state.paid) == TENDERS_MIN


def test_where_no_receipt_is_ever_shown_no_sale_is_kept() -> None:
    tenders = Tenders()
    tenders.keep("t-1", "CASH")
    tenders.learn(None, 0, 1.0)
    tenders.grow(10_000.0)
    assert tenders.state.paid == b""
    assert tenders.marks("t-1", "CARD") == 0


def test_a_tender_that_nobody_tells_says_nothing() -> None:
    tenders = _till(5)
    tenders.keep("t-9", None)
    assert tenders.marks("t-9", "CASH") == 0
    assert tenders.marks("t-4", None) == 0
    assert tenders.marks(None, "CASH") == 0
    assert tenders.ratio(0) == 1.0


def test_where_refunds_usually_go_another_way_that_says_nothing() -> None:
    strict, lax = _till(0), _till(0)
    for _ in range(2_000):
        strict.learn("t", SAME_TENDER, 1.0)
        lax.learn("t", OTHER_TENDER, 1.0)
    assert strict.ratio(OTHER_TENDER) > 15.0
    assert lax.ratio(OTHER_TENDER) < 1.0
    assert strict.ratio(SAME_TENDER) < 0.2


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
