"""Known ways to find refund fraud, made of river and of textbooks: what the detector stands beside.

Each scores refunds (or hours of refunds) as they come; whoever passes its threshold opens a page,
and the shop's further alarms of the next 24 hours join it.
"""

import math
from collections.abc import Callable
from typing import Any

import msgspec

from benchmarks.detection_features import Watched
from events.instant import DAY, HOUR, Instant
from events.transaction import Transaction


class Alarm(msgspec.Struct, gc=False):
    """A score that is worth remembering: higher is worse. `after` is the refund that gave it."""

    score: float
    shop_id: str
    at: Instant
    after: str
    evidence: tuple[str, ...]


class Way:
    """One known way. Shops are watched alike by all of them; a subclass says how odd it finds what.

    What the constructor makes is untrained; `alarm` is called for every transaction in order.
    """

    def __init__(self) -> None:
        self._shops: dict[str, Watched] = {}

    def alarm(self, transaction: Transaction) -> Alarm | None:
        """See one transaction; the alarm it raises, if it is a refund or ends an hour."""
        shop = self._shops.get(transaction.shop_id)
        if shop is None:
            shop = self._shops[transaction.shop_id] = Watched()
        raised = None
        for hour, refunds, members in shop.enter(transaction):
            odd = self.of_hour(transaction.shop_id, hour, refunds)
            if odd is not None and members:
                raised = Alarm(
                    odd, transaction.shop_id, hour * HOUR, members[-1], tuple(members[-25:])
                )
        shop.see(transaction)
        if transaction.is_refund:
            found = self.of_refund(shop, transaction)
            shop.learn_amount(transaction.total)
            if found is not None:
                score, evidence = found
                raised = Alarm(
                    score,
                    transaction.shop_id,
                    transaction.occurred_at,
                    transaction.transaction_id,
                    evidence,
                )
        return raised

    def of_refund(
        self, shop: Watched, transaction: Transaction
    ) -> tuple[float, tuple[str, ...]] | None:
        """How odd a refund is, and of which refunds that speaks; None: says nothing of refunds."""
        del shop, transaction
        return None

    def of_hour(self, shop_id: str, hour: int, refunds: int) -> float | None:
        """How odd an hour that ended was; None: says nothing of hours."""
        del shop_id, hour, refunds
        return None


class _OfRefunds(Way):
    """A river anomaly detector for the whole chain, of some features of each refund."""

    def __init__(self, model: Any, features: Callable[[Watched, Transaction], Any]) -> None:
        super().__init__()
        self._model = model
        self._features = features

    def of_refund(
        self, shop: Watched, transaction: Transaction
    ) -> tuple[float, tuple[str, ...]] | None:
        x = self._features(shop, transaction)
        score = float(self._model.score_one(x))
        self._model.learn_one(x)
        return score, (transaction.transaction_id,)


def _amount_and_hour(shop: Watched, transaction: Transaction) -> dict[str, float]:
    del shop
    local = transaction.occurred_at + transaction.utc_offset_minutes * 60_000_000
    return {"amount": transaction.total / 100, "hour": local % DAY / HOUR}


def _twelve(shop: Watched, transaction: Transaction) -> dict[str, float]:
    return shop.twelve(transaction)


def forest_of_two() -> Way:
    """What everyone does first: HalfSpaceTrees, 10 by 8, on scaled amount and hour."""
    from river import anomaly, preprocessing

    trees = preprocessing.MinMaxScaler() | anomaly.HalfSpaceTrees(n_trees=10, height=8, seed=1)
    return _OfRefunds(trees, _amount_and_hour)


def forest_of_twelve() -> Way:
    """HalfSpaceTrees, 25 by 8, on twelve features."""
    from river import anomaly

    return _OfRefunds(anomaly.HalfSpaceTrees(n_trees=25, height=8, seed=1), _twelve)


def loda() -> Way:
    """LODA (Pevný, 2016): sparse random projections, on twelve features."""
    from river import anomaly

    return _OfRefunds(anomaly.LODA(seed=1), _twelve)


class Gaussian(Way):
    """river's GaussianScorer on the logarithm of the amount, one for each shop."""

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[str, Any] = {}

    def of_refund(
        self, shop: Watched, transaction: Transaction
    ) -> tuple[float, tuple[str, ...]] | None:
        """How far the amount lies out, where it is large; the score saturates, so z breaks ties."""
        from river import anomaly

        del shop
        model = self._models.get(transaction.shop_id)
        if model is None:
            model = anomaly.GaussianScorer(grace_period=50)
            self._models[transaction.shop_id] = model
        size = math.log(max(transaction.total, 1))
        mean, sigma = model.gaussian.mu, model.gaussian.sigma
        score = float(model.score_one(None, size)) if size > mean else 0.0
        score += 1e-3 * max(size - mean, 0.0) / (sigma or 1.0) if score else 0.0
        model.learn_one(None, size)
        return score, (transaction.transaction_id,)


class Forecast(Way):
    """river's PredictiveAnomalyDetection over SNARIMAX, refunds by the hour of each shop.

    Its score ends at 1 and is as high for too few: here it goes on, and only too many count.
    """

    def __init__(self) -> None:
        super().__init__()
        self._models: dict[str, Any] = {}

    def of_hour(self, shop_id: str, hour: int, refunds: int) -> float | None:
        """The squared error against what errors usually are."""
        from river import anomaly, time_series

        del hour
        model = self._models.get(shop_id)
        if model is None:
            series = time_series.SNARIMAX(p=2, d=0, q=1, m=24, sp=2, sq=0)
            model = anomaly.PredictiveAnomalyDetection(series, n_std=3.0, warmup_period=7 * 24)
            self._models[shop_id] = model
        expected = model.predictive_model.forecast(1)[0]
        usual = model.dynamic_mae.get() + 3.0 * math.sqrt(max(model.dynamic_se_variance.get(), 0.0))
        model.score_one(None, float(refunds))
        model.learn_one(None, float(refunds))
        if refunds <= expected or usual <= 0.0 or model.iter <= model.warmup_period:
            return None
        return float((refunds - expected) ** 2 / usual)


class SeasonalZ(Way):
    """The z-score of the hour's refunds against that hour of the week, as the hour goes on."""

    def of_refund(
        self, shop: Watched, transaction: Transaction
    ) -> tuple[float, tuple[str, ...]] | None:
        """Poisson's deviation from the seasonal mean."""
        del transaction
        expected = shop.refunds_by_hour.expected(shop.hour or 0)
        z = (shop.refunds - expected) / math.sqrt(expected + 0.25)
        return z, tuple(shop.members[-25:])


class GammaPoisson(Way):
    """Too many refunds in two hours, a day or a week, by the Gamma–Poisson tail of a seasonal mean.

    `SHAPE` is how firmly the mean is believed: a negative binomial of that many pseudo-refunds.
    """

    SHAPE = 6.0
    HOURS = (2, 24, 168)

    def of_refund(
        self, shop: Watched, transaction: Transaction
    ) -> tuple[float, tuple[str, ...]] | None:
        """Nats against the most surprising of the three windows being usual."""
        best = 0.0
        evidence: tuple[str, ...] = (transaction.transaction_id,)
        for hours in self.HOURS:
            since = transaction.occurred_at - hours * HOUR
            inside = [one[4] for one in shop.recent if one[0] > since]
            nats = _upper_tail_nats(len(inside), max(shop.expected(hours), 0.1), self.SHAPE)
            if nats > best:
                best, evidence = nats, tuple(inside[-25:])
        return best, evidence


def _upper_tail_nats(count: int, mean: float, shape: float) -> float:
    """-log P(N >= count) of a negative binomial with that mean and Gamma shape."""
    if count <= mean:
        return 0.0
    part = mean / (mean + shape)
    term = math.exp(
        math.lgamma(count + shape)
        - math.lgamma(shape)
        - math.lgamma(count + 1)
        + shape * math.log(1 - part)
        + count * math.log(part)
    )
    tail, number = 0.0, count
    while term > tail * 1e-9 and number < count + 1_000:
        tail += term
        term *= part * (number + shape) / (number + 1)
        number += 1
    return -math.log(tail) if tail > 0.0 else 700.0


WAYS: dict[str, Callable[[], Way]] = {
    "HalfSpaceTrees 10×8, amount and hour": forest_of_two,
    "GaussianScorer, log amount per shop": Gaussian,
    "PredictiveAnomalyDetection, SNARIMAX per shop": Forecast,
    "seasonal z-score of the hour's refunds": SeasonalZ,
    "HalfSpaceTrees 25×8, 12 features": forest_of_twelve,
    "LODA, 12 features": loda,
    "Gamma–Poisson per shop, 2 h, 1 d, 1 w": GammaPoisson,
}
"""By the name that the tables have for it."""
