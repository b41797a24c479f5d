"""What a lake holds of pages that people were told of, and of what they said of them."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

from consumer.told import Told
from events.instant import from_datetime
from events.money import EXPONENTS
from events.page import Entity
from sinks.sns import SENT

if TYPE_CHECKING:
    from consumer.lake import Lake

_PAGES = (
    "SELECT page_id, revision, status, suppressed_by, shard_id, model_version, shop_id, reason, "
    "entity_kind, entity_id, severity, opened_at, refunds, refunded_total, currency, summary, "
    "evidence FROM page_states ORDER BY page_id, revision, shard_id"
)
_VERDICTS = "SELECT page_id, finding FROM verdicts ORDER BY given_at, finding"


class ToldPage(msgspec.Struct, frozen=True):
    """A page as it stood last, with the evidence of all its states, and who opened it where."""

    told: Told
    shard_id: str
    model_version: str


def pages_in(lake: Lake) -> list[ToldPage]:
    """Every page of which somebody was told, or would have been, were it not a shadow's.

    A page that a rule kept back in all of its states is none.

    Raises:
        LakeError: the files cannot be read.
    """
    answer = lake.ask(_PAGES)
    states: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in answer.rows():
        state = dict(zip(answer.names, row, strict=True))
        states[state["page_id"]].append(state)
    return [_page(some) for some in states.values() if any(map(_is_sent, some))]


def findings_in(lake: Lake) -> dict[str, str]:
    """What was said last of each page that somebody judged.

    Raises:
        LakeError: the files cannot be read.
    """
    return dict(lake.ask(_VERDICTS).rows())


def _is_sent(state: dict[str, Any]) -> bool:
    return state["status"] in SENT and state["suppressed_by"] is None


def _page(states: list[dict[str, Any]]) -> ToldPage:
    """One page of its states, oldest first; what left the list of evidence was evidence too."""
    last = states[-1]
    evidence = dict.fromkeys(one for state in reversed(states) for one in state["evidence"])
    unit = Decimal(1).scaleb(-EXPONENTS[last["currency"]])
    told = Told(
        page_id=last["page_id"],
        shop_id=last["shop_id"],
        reason=last["reason"],
        entity=Entity(last["entity_kind"], last["entity_id"]),
        severity=last["severity"],
        opened_at=from_datetime(last["opened_at"]),
        refunds=last["refunds"],
        refunded=last["refunded_total"].quantize(unit),
        currency=last["currency"],
        summary=last["summary"],
        evidence=tuple(evidence),
    )
    return ToldPage(told, states[0]["shard_id"], last["model_version"])
