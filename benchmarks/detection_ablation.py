"""The detector with one piece of evidence silenced at a time: whether any is there for show."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

import anomaly.detector
from anomaly.detector import Detector, DetectorConfig
from anomaly.group import Group
from anomaly.suspicion import Suspicion
from benchmarks.detection_streams import Spec, load

PATTERN = "pattern"
"""The forest's part, which the detector adds to every suspicion itself."""

_LOOK_SEED = 90_001
"""A small stream that is looked at for the names of all evidence, and judged by nobody."""


def evidence_names() -> list[str]:
    """Every kind of evidence that the detector weighs on an ordinary stream, by name."""
    names = {PATTERN}

    def note(found: list[Suspicion]) -> None:
        for one in found:
            names.add(one.reason)
            names.update(part[0] for part in one.parts)

    look = Spec(_LOOK_SEED, shops=16, days=21, campaigns_per_shop_week=2.0)
    with _heard(note):
        detector = Detector(DetectorConfig())
        for transaction in load(look).transactions:
            detector.observe(transaction)
    return sorted(names)


@contextmanager
def silenced(name: str) -> Iterator[None]:
    """Inside, evidence of that name weighs nothing, and what it alone would be told of neither."""

    def hush(found: list[Suspicion]) -> None:
        for one in found:
            whole = one.reason == name
            one.parts = [
                (part[0], 0.0, *part[2:]) if whole or part[0] == name else part
                for part in one.parts
            ]

    score = Group.score_then_learn

    def nothing(self: Group, *arguments: Any) -> float:
        score(self, *arguments)
        return 0.0

    pattern = mock.patch.object(Group, "score_then_learn", nothing)
    with _heard(hush), pattern if name == PATTERN else nullcontext():
        yield


@contextmanager
def _heard(listen: Callable[[list[Suspicion]], None]) -> Iterator[None]:
    """Inside, every refund's suspicions pass by `listen` before they are weighed."""
    original = vars(anomaly.detector)["suspicions"]

    def passing(*arguments: Any, **named: Any) -> list[Suspicion]:
        found: list[Suspicion] = original(*arguments, **named)
        listen(found)
        return found

    with mock.patch.object(anomaly.detector, "suspicions", passing):
        yield
