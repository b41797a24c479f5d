"""Which of a shop's pages nobody is told of: its rules, as they are remembered and as they match.

Time is the shop's own event time, which never goes back; so the same stream gives the same answer.
"""

from typing import Final

import msgspec

from events.instant import Instant
from events.suppression import Lift, Suppression

RULES_MAX: Final = 16
"""Rules of one shop; beyond it the one that ends first makes room, so that more is told, not less.
"""


class RuleState(msgspec.Struct, array_like=True):
    """One rule; an empty text is any. A lifted one is kept to its end, so that it stays lifted."""

    rule_id: str
    until: Instant
    since: Instant = 0
    entity_kind: str = ""
    entity_id: str = ""
    reason: str = ""
    lifted: bool = False


def apply(rules: list[RuleState], said: Suppression | Lift, clock: Instant) -> bool:
    """Let `said` begin or end one of a shop's `rules`; False if it changed nothing.

    A rule counts once, however often it comes: the same again neither prolongs it nor brings it
    back once it was lifted. Rules that have ended by `clock` are forgotten.
    """
    known = next((rule for rule in rules if rule.rule_id == said.rule_id), None)
    if isinstance(said, Lift):
        if known is None or known.lifted:
            return False
        known.lifted = True
        return True
    if known is not None or said.until <= clock:
        return False
    rules[:] = [rule for rule in rules if clock < rule.until]
    entity = said.entity
    rules.append(
        RuleState(
            said.rule_id,
            said.until,
            clock if said.since is None else said.since,
            "" if entity is None else entity.kind,
            "" if entity is None else entity.id,
            said.reason or "",
        )
    )
    while len(rules) > RULES_MAX:
        rules.remove(min(rules, key=lambda rule: (not rule.lifted, rule.until)))
    return True


def holding(
    rules: list[RuleState], reason: str, entity_kind: str, entity_id: str, clock: Instant
) -> RuleState | None:
    """The rule that keeps such a page from being sent at `clock`: of several, the last to end."""
    found = None
    for rule in rules:
        if (
            rule.since <= clock < rule.until
            and not rule.lifted
            and rule.reason in ("", reason)
            and (
                not rule.entity_kind
                or (rule.entity_kind, rule.entity_id) == (entity_kind, entity_id)
            )
            and (found is None or rule.until > found.until)
        ):
            found = rule
    return found
