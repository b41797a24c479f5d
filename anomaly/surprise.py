"""How surprising a count is, in nats: the Chernoff exponents of three distributions.

The exponent bounds the tail, `P(at least observed) <= exp(-exponent)` (Chernoff 1952, doi:
10.1214/aoms/1177729330), is in closed form for counts that decay (and so are no whole numbers),
and adds up over independent evidence. All are one-sided: fewer than expected is no evidence, 0.0.
"""

from math import log, log1p

LEAST = 1e-9
"""Stands in for an expectation of nothing."""


def surprise_of_count(observed: float, expected: float, shape: float) -> float:
    """Exponent of a negative binomial: Poisson counts whose rate is Gamma with `shape`.

    `shape` says how well the rate is known (Gelman et al., Bayesian Data Analysis, section 2.6);
    the larger it is, the closer to Poisson. Units: events, events, pseudo-observations.
    """
    expected = max(expected, LEAST)
    if observed <= expected:
        return 0.0
    return observed * log(observed / expected) - (observed + shape) * log(
        (observed + shape) / (expected + shape)
    )


def surprise_of_share(hits: float, trials: float, share: float) -> float:
    """Exponent of a binomial: `hits` of `trials` where `share` of them is usual."""
    share = max(share, LEAST)
    if share >= 1.0 or hits <= max(trials * share, LEAST):
        return 0.0
    exponent = hits * log(hits / (trials * share))
    misses = trials - hits
    if misses > 0.0:
        exponent += misses * log(misses / (trials * (1.0 - share)))
    return exponent


def surprise_of_size(deviations: float, freedom: float) -> float:
    """Exponent of a Student t tail: a size `deviations` scales above the mean.

    The predictive distribution of a Normal with unknown mean and variance (Gelman et al., section
    3.2); `freedom` grows with what has been seen.
    """
    if deviations <= 0.0:
        return 0.0
    return 0.5 * (freedom + 1.0) * log1p(deviations * deviations / freedom)
