from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly.surprise import surprise_of_count

_counts = st.floats(0, 1e6)


def test_no_more_than_expected_is_no_evidence() -> None:
    assert surprise_of_count(3.0, 3.0, 5.0) == 0.0


def test_the_exponent_bounds_the_tail_of_a_poisson_count() -> None:
    tail = 1.0 - sum(exp(-2.0) * 2.0**k / _factorial(k) for k in range(9))
    nats = surprise_of_count(9.0, 2.0, 1e9)
    assert tail <= exp(-nats)
    assert nats == pytest.approx(6.54, abs=0.01)


def _factorial(k: int) -> int:
    return 1 if k == 0 else k * _factorial(k - 1)


def test_a_badly_known_rate_makes_a_count_less_surprising() -> None:
    assert surprise_of_count(9.0, 2.0, 1.0) < surprise_of_count(9.0, 2.0, 8.0)


@given(_counts, _counts, st.floats(0.1, 100))
def test_counts_never_speak_for_the_refunds_nor_without_end(
    observed: float, expected: float, shape: float
) -> None:
    assert 0.0 <= surprise_of_count(observed, expected, shape) < inf
