"""How surprising a count, a share or a size is, in nats; nats of independent evidence add up.

All are in closed form for counts that decay, and so are no whole numbers.
"""

from functools import lru_cache
from math import lgamma, log, log1p

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


def evidence_of_share(
    hits: float, trials: float, share: float, prior: tuple[float, float]
) -> float:
    """Logarithm of a Bayes factor: `hits` of `trials` if a thief is at work, against if none is.

    Without a thief it is a binomial with `share`; with one, the share is unknown, Beta-distributed
    with `prior` (a Beta–Binomial; Gelman et al., section 2.4). It can speak for the refunds too.
    """
    misses = trials - hits if trials > hits else 0.0
    alpha, beta = prior
    with_thief = lgamma(hits + alpha) + lgamma(misses + beta) - lgamma(hits + misses + alpha + beta)
    with_thief -= _log_beta(alpha, beta)
    return with_thief - hits * log(share) - misses * log1p(-share)


@lru_cache(maxsize=16)  # there are a few priors, and each refund asks for them several times
def _log_beta(alpha: float, beta: float) -> float:
    return lgamma(alpha) + lgamma(beta) - lgamma(alpha + beta)


def surprise_of_size(deviations: float, freedom: float) -> float:
    """Exponent of a Student t tail: a size `deviations` scales above the mean; 0.0 below it.

    The predictive distribution of a Normal with unknown mean and variance (Gelman et al., section
    3.2); `freedom` grows with what has been seen.
    """
    if deviations <= 0.0:
        return 0.0
    return 0.5 * (freedom + 1.0) * log1p(deviations * deviations / freedom)
