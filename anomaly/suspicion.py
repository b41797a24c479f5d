"""One explanation of why a refund is not usual, with what speaks for it."""

from collections.abc import Callable

import msgspec

from anomaly.marks import Part
from anomaly.state import Recent
from events.instant import Instant
from events.score import Reason


class Suspicion(msgspec.Struct):
    """That something goes on with one entity of a shop.

    `channel` is one of state.CHANNELS, `reason` its first word. `parts` say what the evidence is
    made of; it adds up to `nats`. `refunds` are those it speaks of, the newest last; `window` is
    how far back it looks. `usual` gives what the summary is to say of the expectation; few
    suspicions become a page, so it is put into words only then.
    """

    channel: str
    reason: str
    entity_kind: str
    entity_id: str
    window: Instant
    observed: float
    expected: float
    refunds: list[Recent]
    parts: list[Part]
    usual: Callable[[], str] = str
    nats: float = 0.0
    needed: float = 0.0
    """Nats at which it would be a page."""

    def add_up(self) -> None:
        """Set `nats` from the parts, once they are complete."""
        self.nats = sum([part[1] for part in self.parts])

    def reasons(self) -> tuple[Reason, ...]:
        """What speaks against, the weightiest first; shares add up to 1, or there are none."""
        parts = [part for part in self.parts if part[1] > 0.0]
        parts.sort(key=lambda part: (-part[1], part[0]))
        total = sum([part[1] for part in parts])
        reasons = [
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
        ]
        return tuple(reasons)
