"""What `tillwatch explain` says of a transaction, in words. Pure."""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import msgspec

from consumer.explain_found import Standing, Story
from consumer.masking import shown
from consumer.replaying import Replayed
from events.instant import Instant, to_iso
from events.money import EXPONENTS
from events.score import Reason, Score

_TAIL = 4
_HOW = {
    "opened it": "this transaction opened it",
    "evidence": "this transaction is among its evidence",
    "meanwhile": "the shop had it open then; it lists its 25 worst",
}


class Again(msgspec.Struct, frozen=True):
    """What a replay made of it. `same` is whether it is the score that stands, bit by bit."""

    same: bool
    exact: bool
    """Whether nothing speaks against the replay itself."""
    score: Score | None
    differs: list[str]
    replayed: Replayed


class Explained(msgspec.Struct, frozen=True, omit_defaults=True):
    """All of it, as `--json` gives it."""

    transaction_id: str
    where: str
    position: str
    shard_id: str
    occurred_at: str
    total: str
    fields: Mapping[str, Any]
    score: Score | None
    pages: list[Story]
    pages_asked: bool
    arrived_at: str | None = None
    again: Again | None = None


def explained(found: Standing, pages: list[Story] | None, again: Again | None = None) -> Explained:
    """`found` with what may not be shown masked."""
    fields = {
        name: shown(value) if isinstance(value, str) else value
        for name, value in found.fields.items()
        if name != "transaction_id"
    }
    if found.paid_by_card:
        fields["card"] = "masked"
    if found.has_contact:
        fields["contact"] = "masked"
    if again is not None and again.score is not None:
        again = msgspec.structs.replace(again, score=_masked(again.score))
    return Explained(
        transaction_id=found.fields["transaction_id"],
        where=found.where,
        position=found.position.slug,
        shard_id=found.position.shard_id,
        occurred_at=to_iso(found.occurred_at),
        arrived_at=_time(found.arrived_at),
        total=f"{Decimal(found.total):.{EXPONENTS.get(found.fields['currency'], 2)}f}",
        fields=fields,
        score=found.score and _masked(found.score),
        pages=pages or [],
        pages_asked=pages is not None,
        again=again,
    )


def compared(standing: Score | None, again: Score | None) -> list[str]:
    """Where two scores differ, in words; empty where every bit is the same."""
    if standing is None or again is None:
        return [] if standing is again else [f"one is scored and the other is not: {again}"]
    differs = []
    if standing.value != again.value:
        differs.append(f"the score is {standing.value!r}, and {again.value!r} in the replay")
    if standing.model_version != again.model_version:
        differs.append(f"the model was {standing.model_version}, and is {again.model_version}")
    before, after = (
        {(r.kind, r.entity_kind, r.entity_id): r for r in it.reasons} for it in (standing, again)
    )
    for key in {**before, **after}:
        one, other = before.get(key), after.get(key)
        if one != other:
            kind = f"{key[0]} of the {key[1]}"
            differs.append(f"{kind}: {_figures(one)}, and {_figures(other)} in the replay")
    if not differs and standing.reasons != again.reasons:
        differs.append("the reasons come in another order")
    return differs


def lines(it: Explained) -> Iterator[str]:
    """What an analyst reads."""
    kind = it.fields.get("type", "transaction")
    currency = str(it.fields.get("currency", ""))
    yield f"{it.transaction_id}: {kind} of {it.total} {currency} at {it.fields['shop_id']}"
    yield f"  occurred {it.occurred_at}, arrived {it.arrived_at or 'at an unknown time'}"
    rest = {
        name: value
        for name, value in it.fields.items()
        if name not in {"type", "currency", "shop_id"}
    }
    if rest:
        yield "  " + ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in rest.items())
    yield f"  found in {it.where}; {it.shard_id}, {it.position}"
    yield from _score_lines(it.score, currency)
    if not it.pages_asked:
        yield "Pages: not asked for, since OpenSearch was not"
    elif not it.pages:
        yield "Pages: none tells of it"
    for page in it.pages:
        yield f"Page {page.page_id} ({page.status}, severity {page.severity}): {page.summary}"
        yield f"  opened {page.opened_at} for {page.reason}; {_HOW[page.how]}"
    if it.again is not None:
        yield from _again_lines(it.again)


def _score_lines(score: Score | None, currency: str) -> Iterator[str]:
    if score is None:
        yield "Score: none; refunds are scored, and nothing else"
        return
    yield f"Score: {score.value!r} (0 is usual, 1 is not), by {score.model_version}"
    if not score.reasons:
        yield "  nothing about it was unusual"
    for reason in score.reasons:
        observed, expected, unit = _measured(reason, currency)
        yield (
            f"  {reason.share:6.1%}  {reason.kind}, {reason.entity_kind} {reason.entity_id}: "
            f"observed {observed}, expected {expected} {unit}"
        )


def _again_lines(again: Again) -> Iterator[str]:
    done = again.replayed
    yield (
        f"Replay: began from {done.start}, {done.warm_up_records:,} records on the way, "
        f"from {' and '.join(done.sources) or 'nowhere'}"
    )
    for words in done.lacking:
        yield f"  {words}"
    if again.same:
        yield "  the score and every reason are the same, bit for bit"
    for words in again.differs:
        yield f"  differs: {words}"
    if again.differs and not again.exact:
        yield "  which was to be expected: the state of then could not be had"


def _measured(reason: Reason, currency: str) -> tuple[str, str, str]:
    if reason.unit == "minor units":
        scale = 10 ** EXPONENTS.get(currency, 2)
        return f"{reason.observed / scale:,.2f}", f"{reason.expected / scale:,.2f}", currency
    return f"{reason.observed:g}", f"{reason.expected:.3g}", reason.unit


def _figures(reason: Reason | None) -> str:
    if reason is None:
        return "not there"
    return (
        f"observed {reason.observed!r}, expected {reason.expected!r}, share {reason.share!r} "
        f"({reason.unit})"
    )


def _masked(score: Score) -> Score:
    """Cards show by their pseudonym's last digits; they are told apart by these."""
    reasons = tuple(
        msgspec.structs.replace(reason, entity_id=_entity(reason)) for reason in score.reasons
    )
    return msgspec.structs.replace(score, reasons=reasons)


def _entity(reason: Reason) -> str:
    if reason.entity_kind == "card":
        return f"…{reason.entity_id[-_TAIL:]}"
    return shown(reason.entity_id)


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else to_iso(instant)
