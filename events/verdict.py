"""What a person says of a page: a record of its own kind on the stream, which replays with it."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from events.instant import Instant, from_datetime, to_iso
from events.wire import SCHEMA_VERSION, ShopId

Finding = Literal["fraud", "ok", "policy"]
"""It was fraud; it was nothing; it is how things are done now."""

NOTE_MAX: Final = 500
ID_MAX: Final = 128
_MARK: Final = b'"VERDICT"'

SCHEMA_PATH: Final = Path("docs/verdict-schema.json")


class Verdict(msgspec.Struct, frozen=True):
    """One person's verdict on one page.

    `reason` is the page's; with the shop it says which thresholds move. `by` and `note` are for
    people alone.
    """

    page_id: str
    shop_id: str
    reason: str
    finding: Finding
    given_at: Instant
    by: str | None = None
    note: str | None = None


_Id = Annotated[str, Meta(min_length=1, max_length=ID_MAX, pattern=r"^[^\x00-\x1f]+$")]


class WireVerdict(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """One verdict. Its partition key is the shop, so that it stands among the shop's transactions.

    A record of this kind has no transaction_id, and none of its fields is a transaction's but
    schema, type and shop_id.
    """

    type: Literal["VERDICT"]
    page_id: _Id
    shop_id: ShopId
    reason: Annotated[str, Meta(pattern="^[a-z_ ]{1,32}$")]
    verdict: Finding
    given_at: Annotated[datetime, Meta(tz=True, extra_json_schema={"format": "date-time"})]
    schema: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    by: Annotated[str, Meta(max_length=ID_MAX)] | None = None
    note: Annotated[str, Meta(max_length=NOTE_MAX)] | None = None


_DECODER: Final = msgspec.json.Decoder(WireVerdict)


def verdict_of(data: bytes) -> Verdict | None:
    """The verdict in a record; None where it is anything else, or a verdict that is not whole.

    Meant for what is no transaction: it costs a search for eight bytes then.
    """
    if _MARK not in data:
        return None
    try:
        wire = _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return Verdict(
        wire.page_id,
        wire.shop_id,
        wire.reason,
        wire.verdict,
        from_datetime(wire.given_at),
        wire.by,
        wire.note,
    )


def wire_verdict(verdict: Verdict) -> bytes:
    """The record of `verdict`.

    Raises:
        ValueError: a field is longer than the schema allows, or empty where it may not be.
    """
    fields = {
        "schema": SCHEMA_VERSION,
        "type": "VERDICT",
        "page_id": verdict.page_id,
        "shop_id": verdict.shop_id,
        "reason": verdict.reason,
        "verdict": verdict.finding,
        "given_at": to_iso(verdict.given_at),
        "by": verdict.by,
        "note": verdict.note,
    }
    data = msgspec.json.encode({name: value for name, value in fields.items() if value is not None})
    _DECODER.decode(data)  # its ValidationError is a ValueError
    return data


def verdict_schema() -> str:
    """The JSON Schema (draft 2020-12) of a verdict, as the text of its file."""
    (root,), definitions = msgspec.json.schema_components(
        [WireVerdict], ref_template="#/$defs/{name}"
    )
    for definition in definitions.values():
        definition["description"] = " ".join(definition["description"].split())
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tillwatch wire verdict, version 1",
        **root,
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    SCHEMA_PATH.write_text(verdict_schema(), encoding="utf-8")
