"""How unusual one refund is, and why."""

import msgspec


class Reason(msgspec.Struct, frozen=True):
    """One piece of evidence behind a score.

    `kind` names the evidence (volume, amount, cashier, card, receipt, …), `entity_kind` and
    `entity_id` whom it speaks of (shop, cashier, card, receipt), `expected` and `observed` are in
    `unit`, `share` is its part of the score; the shares of one score add up to 1.
    """

    kind: str
    entity_kind: str
    entity_id: str
    expected: float
    observed: float
    unit: str
    share: float


class Score(msgspec.Struct, frozen=True):
    """The score of one refund, 0 (usual) to 1, with its reasons, the weightiest first."""

    value: float
    reasons: tuple[Reason, ...]
    model_version: str
