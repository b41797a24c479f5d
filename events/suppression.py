"""Rules of which pages nobody is told for a while: a record of its own kind on the stream.

Like a verdict, a rule stands among its shop's transactions and replays with them. It never changes
what is scored or opened, only whether a page is sent.
"""

import json
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from events.instant import DAY, SECOND, Instant, from_datetime, to_iso
from events.page import Entity
from events.verdict import ID_MAX, NOTE_MAX
from events.wire import ID_BYTES_MAX, SCHEMA_VERSION, ShopId

SPAN_MAX: Final[Instant] = 366 * DAY
"""How long one rule may hold, from when it was given, or from when it is to begin; and how long
after it was given that may be."""

_MARK: Final = b'"SUPPRESS'

SCHEMA_PATH: Final = Path("docs/suppression-schema.json")


class Suppression(msgspec.Struct, frozen=True):
    """One rule: of such pages of the shop nobody is told from `since` until `until`.

    Both are event time; `since` None is at once. `entity` and `reason` None are any. `by` and
    `note` are for people alone, as is `given_at`.
    """

    rule_id: str
    shop_id: str
    until: Instant
    given_at: Instant
    entity: Entity | None = None
    reason: str | None = None
    since: Instant | None = None
    by: str | None = None
    note: str | None = None


class Lift(msgspec.Struct, frozen=True):
    """The end of a rule before its time, from where it stands on the stream."""

    rule_id: str
    shop_id: str
    given_at: Instant
    by: str | None = None
    note: str | None = None


def suppression(
    shop_id: str,
    until: Instant,
    *,
    given_at: Instant,
    entity: Entity | None = None,
    reason: str | None = None,
    since: Instant | None = None,
    by: str | None = None,
    note: str | None = None,
) -> Suppression:
    """A rule with an id of its own, which follows from all that it says."""
    until, given_at = _whole(until), _whole(given_at)
    since = None if since is None else _whole(since)
    said = (shop_id, until, given_at, entity, reason, since, by, note)
    digest = blake2b(msgspec.json.encode(said), digest_size=6).hexdigest()
    return Suppression(f"s-{digest}", shop_id, until, given_at, entity, reason, since, by, note)


_RuleId = Annotated[str, Meta(min_length=1, max_length=ID_MAX, pattern=r"^[^\x00-\x1f]+$")]
_Moment = Annotated[datetime, Meta(tz=True, extra_json_schema={"format": "date-time"})]
_By = Annotated[str, Meta(max_length=ID_MAX)]
_Note = Annotated[str, Meta(max_length=NOTE_MAX)]


class WireEntity(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whom pages are about, in the words of a page's own `entity`."""

    kind: Annotated[str, Meta(pattern="^[a-z_]{1,32}$")]
    id: Annotated[str, Meta(min_length=1, max_length=ID_BYTES_MAX, pattern=r"^[^\x00-\x1f]+$")]


class WireSuppression(
    msgspec.Struct,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
    tag="SUPPRESSION",
):
    """One rule: of such pages of the shop nobody is told from `since` until `until`, in event time.

    Without `entity` it is about any, without `reason` likewise. Its partition key is the shop, so
    that it stands among the shop's transactions.
    """

    rule_id: _RuleId
    shop_id: ShopId
    until: _Moment
    given_at: _Moment
    schema: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    entity: WireEntity | None = None
    reason: Annotated[str, Meta(pattern="^[a-z_ ]{1,32}$")] | None = None
    since: _Moment | None = None
    by: _By | None = None
    note: _Note | None = None


class WireLift(
    msgspec.Struct,
    forbid_unknown_fields=True,
    omit_defaults=True,
    tag_field="type",
    tag="SUPPRESSION_LIFTED",
):
    """The end of a rule before its time; the shop is the rule's own."""

    rule_id: _RuleId
    shop_id: ShopId
    given_at: _Moment
    schema: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    by: _By | None = None
    note: _Note | None = None


_DECODER: Final = msgspec.json.Decoder(WireSuppression | WireLift)


def suppression_of(data: bytes) -> Suppression | Lift | None:
    """The rule in a record, or its end; None where it is anything else, or not whole.

    Meant for what is no transaction: it costs a search for nine bytes then.
    """
    if _MARK not in data:
        return None
    try:
        return _event(_DECODER.decode(data))
    except (ValueError, UnicodeDecodeError, RecursionError):  # a DecodeError is a ValueError
        return None


def wire_suppression(said: Suppression | Lift) -> bytes:
    """The record of `said`.

    Raises:
        ValueError: a field is longer than the schema allows, or empty where it may not be; or the
            rule ends before it begins, or holds for longer than `SPAN_MAX`.
    """
    fields: dict[str, object] = {
        "schema": SCHEMA_VERSION,
        "type": "SUPPRESSION" if isinstance(said, Suppression) else "SUPPRESSION_LIFTED",
        **msgspec.structs.asdict(said),
    }
    for name in ("since", "until", "given_at"):
        moment = fields.get(name)
        if isinstance(moment, int):
            fields[name] = to_iso(moment)
    data = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    _event(_DECODER.decode(data))
    return data


def suppression_schema() -> str:
    """The JSON Schema (draft 2020-12) of a rule and of its end, as the text of its file."""
    (root,), definitions = msgspec.json.schema_components(
        [WireSuppression | WireLift], ref_template="#/$defs/{name}"
    )
    for definition in definitions.values():
        definition["description"] = " ".join(definition["description"].split())
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tillwatch wire suppression, version 1",
        **root,
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _event(wire: WireSuppression | WireLift) -> Suppression | Lift:
    given_at = from_datetime(wire.given_at)
    if isinstance(wire, WireLift):
        return Lift(wire.rule_id, wire.shop_id, given_at, wire.by, wire.note)
    until = from_datetime(wire.until)
    since = None if wire.since is None else from_datetime(wire.since)
    if since is not None and until <= since:
        raise ValueError("until is not after since")
    if since is not None and since - given_at > SPAN_MAX:
        raise ValueError("a rule begins within 366 days")
    if until - max(given_at, since or given_at) > SPAN_MAX:
        raise ValueError("a rule holds for 366 days at most")
    entity = None if wire.entity is None else Entity(wire.entity.kind, wire.entity.id)
    return Suppression(
        wire.rule_id,
        wire.shop_id,
        until,
        given_at,
        entity,
        wire.reason,
        since,
        wire.by,
        wire.note,
    )


def _whole(instant: Instant) -> Instant:
    """`instant` as the wire holds it, in whole milliseconds."""
    return instant - instant % (SECOND // 1_000)


if __name__ == "__main__":
    SCHEMA_PATH.write_text(suppression_schema(), encoding="utf-8")
