"""The rules that OpenSearch has: what is asked of it, and what its answers say. Pure."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import msgspec

from anomaly.suppression import RuleState, holding
from events.instant import SECOND, Instant, from_datetime
from events.page import Entity

RULES: Final = "suppressions"
RULES_READ_MAX: Final = 500
"""Rules that are shown of all shops together, the newest first."""

_TIMEOUT: Final = "3s"

Json = dict[str, Any]


class Rule(msgspec.Struct, frozen=True):
    """One rule as a person reads it."""

    rule_id: str
    shop_id: str
    since: Instant
    until: Instant
    given_at: Instant
    entity: Entity | None = None
    reason: str | None = None
    by: str | None = None
    note: str | None = None
    lifted: bool = False


class _Source(msgspec.Struct):
    rule_id: str
    shop_id: str
    until: datetime
    given_at: datetime
    since: datetime | None = None
    entity: Entity | None = None
    reason: str | None = None
    by: str | None = None
    note: str | None = None


def given(after: Instant, shop_id: str | None = None) -> Json:
    """The rules that do not end before `after`, lifted ones included."""
    filters: list[Json] = [
        {"term": {"action": "suppress"}},
        {
            "range": {
                "until": {
                    "gt": after // (SECOND // 1_000),
                    "format": "epoch_millis",
                }
            }
        },
    ]
    if shop_id is not None:
        filters.append({"term": {"shop_id": shop_id}})
    return {
        "timeout": _TIMEOUT,
        "size": RULES_READ_MAX,
        "track_total_hits": True,
        "query": {"bool": {"filter": filters}},
        "sort": [{"given_at": {"order": "desc", "unmapped_type": "date"}}],
    }


def lifts(rules: Iterable[Rule]) -> Json:
    """Which of `rules` were lifted."""
    return {
        "timeout": _TIMEOUT,
        "size": RULES_READ_MAX,
        "track_total_hits": False,
        "_source": ["rule_id"],
        "query": {
            "bool": {
                "filter": [
                    {"term": {"action": "lift"}},
                    {"terms": {"rule_id": [rule.rule_id for rule in rules]}},
                ]
            }
        },
    }


def rule(rule_id: str) -> Json:
    """The rule of that id."""
    return {
        "timeout": _TIMEOUT,
        "size": 1,
        "track_total_hits": False,
        "query": {
            "bool": {"filter": [{"term": {"action": "suppress"}}, {"term": {"rule_id": rule_id}}]}
        },
    }


def rules(answer: Json) -> tuple[Rule, ...]:
    """The rules of an answer to `given` or `rule`, in its order."""
    made = []
    for hit in answer.get("hits", {}).get("hits", []):
        source = msgspec.convert(hit["_source"], _Source)
        given_at = from_datetime(source.given_at)
        made.append(
            Rule(
                source.rule_id,
                source.shop_id,
                given_at if source.since is None else from_datetime(source.since),
                from_datetime(source.until),
                given_at,
                source.entity,
                source.reason,
                source.by,
                source.note,
            )
        )
    return tuple(made)


def with_lifts(found: Iterable[Rule], answer: Json) -> tuple[Rule, ...]:
    """`found`, each with whether it was lifted, as an answer to `lifts` says."""
    lifted = {hit["_source"]["rule_id"] for hit in answer.get("hits", {}).get("hits", [])}
    return tuple(
        msgspec.structs.replace(one, lifted=True) if one.rule_id in lifted else one for one in found
    )


def rule_over(
    found: Iterable[Rule], shop_id: str, reason: str, entity: Entity, at: Instant
) -> Rule | None:
    """The rule for which nobody is told of such a page at `at`, as the detector finds it."""
    of_shop = {one.rule_id: one for one in found if one.shop_id == shop_id}
    states = [
        RuleState(
            one.rule_id,
            one.until,
            # A rule holds from where it stands on the stream on, whatever the clocks say.
            0 if one.since == one.given_at else one.since,
            "" if one.entity is None else one.entity.kind,
            "" if one.entity is None else one.entity.id,
            one.reason or "",
            one.lifted,
        )
        for one in of_shop.values()
    ]
    holds = holding(states, reason, entity.kind, entity.id, at)
    return None if holds is None else of_shop[holds.rule_id]
