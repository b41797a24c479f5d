"""What people said of pages moves what a further page of that shop and reason needs."""

from typing import Final

from anomaly.state import VERDICT_PAGES_MAX, VERDICT_REASONS_MAX, ShopState, VerdictState
from events.instant import DAY, Instant
from events.verdict import Verdict

STEP: Final[dict[str, float]] = {"fraud": -0.5, "ok": 1.0, "policy": 2.0}
"""Nats by which one verdict moves the threshold; "ok" asks for e times rarer things."""

SHIFT_MIN, SHIFT_MAX = -1.5, 6.0
"""However many verdicts there are, a threshold moves no farther, in nats."""

HALF_LIFE: Final[Instant] = 90 * DAY
"""Verdicts are about how things were: half of what they moved is gone after so much event time."""


def judge(state: ShopState, verdict: Verdict) -> bool:
    """Let `verdict` move the threshold of its reason at that shop; False if it changed nothing.

    The last verdict on a page is the one that counts: it takes the place of an earlier one, as long
    as the page is among the last `VERDICT_PAGES_MAX` judged of its shop and reason. The same one
    twice counts once.
    """
    of_reason = state.verdicts.get(verdict.reason)
    if of_reason is None:
        if len(state.verdicts) >= VERDICT_REASONS_MAX:
            return False
        of_reason = state.verdicts[verdict.reason] = VerdictState(at=state.clock)
    pages = of_reason.pages
    before = pages.pop(verdict.page_id, None)
    pages[verdict.page_id] = verdict.finding
    if before == verdict.finding:
        return False
    moved = _faded(of_reason, state.clock) + STEP[verdict.finding]
    if before is not None:
        moved -= STEP[before]
    of_reason.shift = min(max(moved, SHIFT_MIN), SHIFT_MAX)
    of_reason.at = max(state.clock, of_reason.at)
    while len(pages) > VERDICT_PAGES_MAX:
        del pages[next(iter(pages))]
    return True


def shift(state: ShopState, reason: str) -> float:
    """Nats that a suspicion of `reason` needs beyond its threshold at that shop now."""
    of_reason = state.verdicts.get(reason)
    return 0.0 if of_reason is None else _faded(of_reason, state.clock)


def _faded(of_reason: VerdictState, clock: Instant) -> float:
    passed = max(clock - of_reason.at, 0)
    fraction: float = 0.5 ** (passed / HALF_LIFE)
    return of_reason.shift * fraction
