"""One explanation of why a refund is not usual, with what speaks for it."""

import msgspec

from anomaly.state import Recent
from events.instant import Instant
from events.score import Reason


class Suspicion(msgspec.Struct):
    """That something goes on with `entity` of a shop; `nats` is the evidence, added up.

    `parts` say what the evidence is made of: kind, nats, expected, observed, unit. `refunds` are
    those it speaks of, the newest last, `window` is how far back they were looked for.
    """

    reason: str
    entity_kind: str
    entity_id: str
    nats: float
    observed: float
    expected: float
    parts: list[tuple[str, float, float, float, str]]
    refunds: list[Recent]
    usual: str
    window: Instant

    def reasons(self) -> tuple[Reason, ...]:
        """The parts as reasons of a score, the weightiest first; their shares add up to 1."""
        parts = sorted(
            (part for part in self.parts if part[1] > 0.0), key=lambda part: (-part[1], part[0])
        )
        total = sum(part[1] for part in parts)
        return tuple(
            Reason(
                kind=kind,
                entity_kind=self.entity_kind,
                entity_id=self.entity_id,
                expected=expected,
                observed=observed,
                unit=unit,
                share=nats / total,
            )
            for kind, nats, expected, observed, unit in parts
        )
