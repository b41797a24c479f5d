"""The detector of one shard, and the way back from a transaction that it cannot score."""

from collections.abc import Callable, Iterable, Mapping

from anomaly.detector import Changes, Detector, DetectorConfig, Observation
from events.suppression import Lift, Suppression
from events.transaction import Transaction
from events.verdict import Verdict


class Scorer:
    """Scores with a detector that never keeps the half of a transaction.

    When `observe` raises, the detector may have learnt a part of what it was shown. `put_back` then
    makes it anew from its last encoded state and shows it what came since, which by the detector's
    own promise gives bit by bit what it was before: the failed transaction leaves no trace, however
    records were batched.

    Args:
        config: the same for the life of the state.
        shops: encoded state by shop, as the detector takes it.
        groups: likewise by key group.

    Raises:
        StateError: bytes that the detector cannot go on from.
    """

    def __init__(
        self,
        config: DetectorConfig,
        shops: Mapping[str, bytes] | None = None,
        groups: Mapping[int, bytes] | None = None,
    ) -> None:
        # The bytes are those that the committer keeps too: only the tables are there twice.
        self._shops = dict(shops or {})
        self._groups = dict(groups or {})
        self._changed = Changes({}, {})
        self.model_version = config.model_version()
        self.detector = Detector(config, self._shops, self._groups)
        self.observe: Callable[[Transaction], Observation | None] = self.detector.observe
        """The detector's own."""

    def put_back(self, learnt: Iterable[Transaction]) -> None:
        """Go back to the state behind `learnt`.

        That is all that was observed without fail since the last `put_back` or `take_changes`, in
        order.
        """
        self.detector.put_back(self._shops, self._groups)
        for transaction in learnt:
            self.observe(transaction)
        # So that the next time what lies before needs not be shown again.
        self._keep(self.detector.take_changes())

    def hear(self, said: Verdict | Suppression | Lift) -> bool:
        """Let a verdict move its thresholds, or a rule of whom to tell begin or end.

        For good: `put_back` begins behind it from here on.
        """
        if isinstance(said, Verdict):
            moved = self.detector.judge(said)
        else:
            moved = self.detector.suppress(said)
        self._keep(self.detector.take_changes())
        return moved

    def take_changes(self) -> Changes:
        """The encoded state of what changed since the last call."""
        self._keep(self.detector.take_changes())
        taken, self._changed = self._changed, Changes({}, {})
        return taken

    def _keep(self, changes: Changes) -> None:
        for kept in (self._changed, Changes(self._shops, self._groups)):
            kept.shops.update(changes.shops)
            kept.groups.update(changes.groups)
