from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly.surprise import surprise_of_count, surprise_of_share, surprise_of_size

_counts = st.floats(0, 1e6)


def test_no_more_than_expected_is_no_evidence() -> None:
    assert surprise_of_count(3.0, 3.0, 5.0) == 0.0
    assert surprise_of_share(1.0, 10.0, 0.1) == 0.0
    assert surprise_of_size(-2.0, 10.0) == 0.0


def test_the_exponent_bounds_the_tail_of_a_poisson_count() -> None:
    tail = 1.0 - sum(exp(-2.0) * 2.0**k / _factorial(k) for k in range(9))
    nats = surprise_of_count(9.0, 2.0, 1e9)
    assert tail <= exp(-nats)
    assert nats == pytest.approx(6.54, abs=0.01)


def _factorial(k: int) -> int:
    return 1 if k == 0 else k * _factorial(k - 1)


def test_a_badly_known_rate_makes_a_count_less_surprising() -> None:
    assert surprise_of_count(9.0, 2.0, 1.0) < surprise_of_count(9.0, 2.0, 8.0)


def test_all_hits_where_few_are_usual() -> None:
    assert exp(-surprise_of_share(4.0, 4.0, 0.1)) == pytest.approx(0.1**4)


def test_what_is_always_so_says_nothing() -> None:
    assert surprise_of_share(4.0, 4.0, 1.0) == 0.0
    assert surprise_of_share(4.0, 3.0, 1.0) == 0.0
    assert surprise_of_share(0.0, 0.0, 0.5) == 0.0


@given(_counts, _counts, st.floats(0.1, 100))
def test_counts_never_speak_for_the_refunds_nor_without_end(
    observed: float, expected: float, shape: float
) -> None:
    assert 0.0 <= surprise_of_count(observed, expected, shape) < inf


@given(st.floats(0, 1), st.floats(0, 1e4), st.floats(0, 1))
def test_shares_never_speak_for_the_refunds_nor_without_end(
    part: float, trials: float, share: float
) -> None:
    assert -1e-6 <= surprise_of_share(part * trials, trials, share) < inf
