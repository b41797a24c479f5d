"""Golden scores: what encoded state gives for a fixed refund, to see it is still read alike."""

from anomaly.detector import Detector, DetectorConfig
from consumer.snapshot import State
from events.key_group import key_group
from events.transaction import Transaction

SHOPS_MAX = 2
"""Shops of one snapshot that are asked."""


class GoldenScores:
    """Scores one refund of a fixed amount at a few shops, from nothing but a part of the state.

    The configuration is the default one: a user who turns a setting does not make old snapshots
    unreadable, but a river or a program that computes otherwise does.
    """

    def __init__(self, key_groups: int) -> None:
        self._config = DetectorConfig(key_groups=key_groups)

    def __call__(self, written: State) -> dict[str, float]:
        """The score by shop; of the first shops by name whose key group is there too.

        Raises:
            anomaly.state.StateError: bytes that this detector cannot read.
        """
        at = written.hours.watermark or 0
        scores: dict[str, float] = {}
        for shop_id in sorted(written.shops):
            group = key_group(shop_id, self._config.key_groups)
            if group not in written.groups:
                continue
            detector = Detector(
                self._config,
                {shop_id: written.shops[shop_id]},
                {group: written.groups[group]},
            )
            observed = detector.observe(
                Transaction(
                    transaction_id="golden",
                    shop_id=shop_id,
                    type="REFUND",
                    occurred_at=at,
                    utc_offset_minutes=0,
                    currency="GBP",
                    total=5_000,
                )
            )
            if observed is not None and observed.score is not None:
                scores[shop_id] = observed.score.value
            if len(scores) == SHOPS_MAX:
                break
        return scores
