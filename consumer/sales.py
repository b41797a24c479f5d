"""Plain sales, most of what comes: one call of the C twin takes as many as stand in a row."""

from typing import Any, Final

from anomaly.detector import Detector
from consumer.duplicates import Duplicates
from consumer.scorer import Scorer
from events.native import native

_native = native("consumer._sales")

take_sales: Final[Any] = getattr(_native, "take", None)
"""`take` of _sales.pyi, for where there is a `learner`."""


def learner(scorer: Scorer, duplicates: Duplicates) -> Detector | None:
    """The detector that learns from plain sales by the twin; None where Python shows it each.

    That is where the twin was not compiled, and where another has a hand in what is observed.
    """
    if _native is None or type(scorer) is not Scorer or type(duplicates) is not Duplicates:
        return None
    detector = scorer.detector
    if type(detector) is not Detector or scorer.observe != detector.observe:
        return None
    return detector
