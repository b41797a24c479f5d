"""Bytes to the wire types: one strict pass for most records, a slower one for the rest."""

import json
import math
import re
from typing import Any, Final

import msgspec

from events.parse_reason import ParseFault, ParseReason
from events.wire import (
    SCHEMA_VERSION,
    SHOP_ID_MAX,
    StrictTransaction,
    WireLine,
    WireTransaction,
)

NESTING_MAX: Final = 32
"""Objects and arrays inside each other, at most, anywhere in a record."""

UNKNOWN_BYTES_MAX: Final = 16 * 1024
"""Bytes of unknown fields that are kept for one transaction, at most."""

NUMBER_TEXT_MAX: Final = 64
"""Characters of an unknown number that is kept as a number; a longer one becomes a text."""

CONTROL: Final = re.compile(r"[\x00-\x1f]")
"""What no identifier may hold; in JSON these can only be written with a backslash."""


class _Probe(msgspec.Struct):
    schema: Any = None
    shop_id: Any = None


class _Number(str):
    """A number with a fraction or exponent, as its text."""

    __slots__ = ()


# Numbers that are not whole come as text, so that none of them is ever a float.
_STRICT: Final = msgspec.json.Decoder(StrictTransaction, float_hook=str)
_LENIENT: Final = msgspec.json.Decoder(WireTransaction, float_hook=str)
_DOCUMENT: Final = msgspec.json.Decoder(dict[str, Any], float_hook=_Number)
_PROBE: Final = msgspec.json.Decoder(_Probe, float_hook=str)

_KNOWN: Final = frozenset(WireTransaction.__struct_fields__)
_KNOWN_OF_LINE: Final = frozenset(WireLine.__struct_fields__)
_REQUIRED: Final = frozenset(
    field.name for field in msgspec.structs.fields(WireTransaction) if field.required
)
_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_BRACKET: Final = re.compile(rb"[][{}]")
_SURROGATE: Final = re.compile(r"\\u[dD][89a-fA-F]")
_PATH: Final = re.compile(r" - at `\$\.?([\w.\[\]]*)`\Z")
_MISSING: Final = re.compile(r"Object missing required field `(\w+)`")
_BY_MESSAGE: Final = (
    ("Invalid enum value", ParseReason.UNKNOWN_TYPE),  # first: it alone quotes what came
    ("of length >= 1", ParseReason.EMPTY_TEXT),
    ("`array` of length <=", ParseReason.TOO_MANY_LINES),
    ("of length <=", ParseReason.TOO_LONG),
    ("RFC3339", ParseReason.TIME_INVALID),
    ("value out of range", ParseReason.AMOUNT_OUT_OF_RANGE),
)


def decode(data: bytes) -> tuple[WireTransaction, bytes | None]:
    """The wire transaction in `data`, and its unknown fields as a JSON object, if it has any.

    Raises:
        ParseFault: `data` is not a wire transaction of version 1.
    """
    try:
        return _STRICT.decode(data), None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _decode_slowly(data)


def shop_id_of(data: bytes) -> str | None:
    """The shop that a record speaks of, where it can be read although the record is rejected."""
    try:
        shop_id = _PROBE.decode(data).shop_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if isinstance(shop_id, str) and 0 < len(shop_id) <= SHOP_ID_MAX and not CONTROL.search(shop_id):
        return shop_id
    return None


def too_deep(data: bytes) -> bool:
    """Whether objects and arrays are nested deeper than `NESTING_MAX`.

    Counted in the bytes, so that the answer does not hang on the stack of whoever asks, as
    Python's recursion limit would. Linear in the length of `data`.
    """
    if data.count(b"{") + data.count(b"[") <= NESTING_MAX:
        return False
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub(b"", data)):
        depth += 1 if bracket[0] in b"{[" else -1
        if depth > NESTING_MAX:
            return True
    return False


def has_duplicate(data: bytes, key: str) -> bool:
    """Whether the object in `data`, which is valid and not too deep, has `key` twice at its top."""
    pairs = json.loads(data, object_pairs_hook=list, parse_int=str, parse_float=str)
    return [name for name, _ in pairs].count(key) > 1


def _decode_slowly(data: bytes) -> tuple[WireTransaction, bytes | None]:
    _check_text(data)
    try:
        wire = _LENIENT.decode(data)
    except msgspec.ValidationError as error:
        raise _fault(data, str(error)) from None
    except msgspec.DecodeError as error:
        raise ParseFault(ParseReason.NOT_JSON, note=str(error)) from None
    return wire, _unknown(data)


def _check_text(data: bytes) -> None:
    """Find what makes a record no JSON worth decoding."""
    if not data.strip(b" \t\r\n"):
        raise ParseFault(ParseReason.EMPTY_RECORD)
    if too_deep(data):
        raise ParseFault(ParseReason.TOO_DEEP)
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise ParseFault(ParseReason.NOT_UTF8, note=f"at byte {error.start}") from None
    if _SURROGATE.search(text):
        _check_surrogates(text)


def _check_surrogates(text: str) -> None:
    """Python's JSON takes lone surrogates where msgspec does not, and so can name the field."""
    try:
        document = json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        return  # not JSON, as the caller will find
    if not _encodable(document):
        fields = document if isinstance(document, dict) else {}
        at_fault = (key for key in _KNOWN if not _encodable(fields.get(key)))
        raise ParseFault(ParseReason.LONE_SURROGATE, min(at_fault, default=None))


def _encodable(value: object) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _fault(data: bytes, message: str) -> ParseFault:
    """What msgspec's `message` about `data` means in our words; tests pin its wordings."""
    if _has_other_schema(data):
        return ParseFault(ParseReason.SCHEMA_UNSUPPORTED, "schema")
    if missing := _MISSING.match(message):
        return ParseFault(ParseReason.MISSING_FIELD, missing[1])
    path = _PATH.search(message)
    if path is None:
        return ParseFault(ParseReason.NOT_OBJECT)
    field = path[1]
    if field in _REQUIRED and "got `null`" in message:
        return ParseFault(ParseReason.MISSING_FIELD, field)
    for words, reason in _BY_MESSAGE:
        if words in message:
            return ParseFault(reason, field)
    return ParseFault(ParseReason.WRONG_TYPE, field, message.removesuffix(path[0]))


def _has_other_schema(data: bytes) -> bool:
    """Whether a record says that it speaks another version, so that its other faults are none."""
    try:
        schema = _PROBE.decode(data).schema
    except msgspec.DecodeError:
        return False
    return type(schema) is int and schema != SCHEMA_VERSION


def _unknown(data: bytes) -> bytes | None:
    """The fields that the schema does not know, as one JSON object.

    Those of lines come under `lines` and the line's index. Those inside `payment` and `contact`
    are left out: whatever a source adds there may be card or contact data.
    """
    try:
        document = _DOCUMENT.decode(data)
    except msgspec.ValidationError as error:  # a whole number of more than 4,300 digits
        raise ParseFault(ParseReason.UNKNOWN_FIELDS_TOO_LARGE, note=str(error)) from None
    unknown = _without(document, _KNOWN)
    lines = {
        str(index): fields
        for index, line in enumerate(document.get("lines") or ())
        if (fields := _without(line, _KNOWN_OF_LINE))
    }
    if lines:
        unknown["lines"] = lines
    if not unknown:
        return None
    kept = msgspec.json.encode(unknown)
    if len(kept) > UNKNOWN_BYTES_MAX:
        raise ParseFault(ParseReason.UNKNOWN_FIELDS_TOO_LARGE)
    return kept


def _without(fields: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in fields.items() if name not in known}


def _plain(value: Any) -> Any:
    """`value` so that every reader of JSON takes it: numbers that few can hold become texts."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, _Number):
        usual = len(value) <= NUMBER_TEXT_MAX and math.isfinite(float(value))
        return msgspec.Raw(value.encode()) if usual else str(value)
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return str(value)
    return value
