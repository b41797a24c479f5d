"""How surprising a count is, in nats; nats of independent evidence add up.

In closed form for counts that decay, and so are no whole numbers.
"""

from math import log

LEAST = 1e-9
"""Stands in for an expectation of nothing."""


def surprise_of_count(observed: float, expected: float, shape: float) -> float:
    """Chernoff exponent of a negative binomial: Poisson counts whose rate is Gamma with `shape`.

    It bounds the tail, `P(at least observed) <= exp(-exponent)` (Chernoff 1952, doi:
    10.1214/aoms/1177729330). Fewer than expected is no evidence, 0.0.
    `shape` says how well the rate is known (Gelman et al., Bayesian Data Analysis, section 2.6);
    the larger it is, the closer to Poisson. Units: events, events, pseudo-observations.
    """
    if expected < LEAST:  # noqa: PLR1730 -- a call of max() for every suspicion
        expected = LEAST
    if observed <= expected:
        return 0.0
    return observed * log(observed / expected) - (observed + shape) * log(
        (observed + shape) / (expected + shape)
    )
