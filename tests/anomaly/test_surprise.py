from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anomaly.surprise import evidence_of_share, surprise_of_count, surprise_of_size

_counts = st.floats(0, 1e6)


def test_no_more_than_expected_is_no_evidence() -> None:
    assert surprise_of_count(3.0, 3.0, 5.0) == 0.0
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


def test_a_bayes_factor_with_a_flat_prior_is_one_over_the_binomials_sum() -> None:
    binomial = 10 * 0.1**3 * 0.9**2
    assert exp(evidence_of_share(3.0, 5.0, 0.1, (1.0, 1.0))) == pytest.approx((1 / 6) / binomial)


def test_hits_speak_against_misses_for_and_no_trials_not_at_all() -> None:
    assert evidence_of_share(4.0, 4.0, 0.1, (1.4, 0.9)) > 3.0
    assert evidence_of_share(0.0, 4.0, 0.1, (1.4, 0.9)) < -0.5
    assert evidence_of_share(0.0, 0.0, 0.1, (1.4, 0.9)) == pytest.approx(0.0)


@given(_counts, _counts, st.floats(0.1, 100))
def test_counts_never_speak_for_the_refunds_nor_without_end(
    observed: float, expected: float, shape: float
) -> None:
    assert 0.0 <= surprise_of_count(observed, expected, shape) < inf


@given(st.floats(0, 1), st.floats(0, 1e4), st.floats(1e-4, 0.98))
def test_shares_never_speak_without_end(part: float, trials: float, share: float) -> None:
    assert -inf < evidence_of_share(part * trials, trials, share, (1.4, 0.9)) < inf
