"""Bytes to the wire types: one strict pass for most records, a slower one for the rest."""

import json
import re
from collections.abc import Collection
from typing import Any, Final

import msgspec

from events.parse_reason import ParseFault, ParseReason
from events.unknown import unknown_fields
from events.wire import (
    REQUIRED,
    SCHEMA_VERSION,
    SHOP_ID_MAX,
    StrictTransaction,
    WireTransaction,
)

NESTING_MAX: Final = 32
"""Objects and arrays inside each other, at most, anywhere in a record."""

CONTROL: Final = re.compile(r"[\x00-\x1f]")
"""What no identifier may hold; in JSON these can only be written with a backslash."""


class Fraction(str):
    """A number that is not whole, as its text: no value is ever a float.

    A type of its own, so that it is not taken for a string of the record.
    """

    __slots__ = ()


class _Probe(msgspec.Struct):
    schema: Any = None
    shop_id: Any = None


_STRICT: Final = msgspec.json.Decoder(StrictTransaction, float_hook=Fraction)
_LENIENT: Final = msgspec.json.Decoder(WireTransaction, float_hook=Fraction)
_PROBE: Final = msgspec.json.Decoder(_Probe, float_hook=str)

_STRING: Final = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_AS_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_SURROGATE: Final = re.compile(rb"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_SHOP_ID: Final = re.compile(rf"[^\x00-\x1f\ufffd]{{1,{SHOP_ID_MAX}}}")
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
    """The shop that a rejected record speaks of, where that can be read and is fit to be shown."""
    for readable in (data, _SURROGATE.sub(rb"\\ufffd", data)):
        try:
            shop_id = _PROBE.decode(readable).shop_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        if isinstance(shop_id, str) and _SHOP_ID.fullmatch(shop_id):
            return shop_id
    return None


def too_deep(data: bytes) -> bool:
    """Whether objects and arrays are nested deeper than `NESTING_MAX`.

    Counted in the bytes, so that the answer does not hang on the stack of whoever asks, as
    Python's recursion limit would. Linear in the length of `data`; of what is no JSON it says at
    least that it is not deep enough to harm.
    """
    if data.count(b"{") + data.count(b"[") <= NESTING_MAX:
        return False
    rest = _STRING.sub(b"", data).translate(_AS_SQUARE, _NO_BRACKETS)
    for _ in range(NESTING_MAX):
        before = len(rest)
        rest = rest.replace(b"[]", b"")  # takes exactly the innermost level away
        if len(rest) == before:
            break
    return b"[]" in rest or rest.count(b"[") > NESTING_MAX


def duplicate_of(data: bytes, keys: Collection[str]) -> str | None:
    """The first of `keys` that the object in `data`, valid and not too deep, has twice at its top.

    Escaped spellings of a key count as the key.
    """
    pairs = json.loads(data, object_pairs_hook=list, parse_int=str, parse_float=str)
    names = [name for name, _ in pairs]
    return next((key for key in keys if names.count(key) > 1), None)


def _decode_slowly(data: bytes) -> tuple[WireTransaction, bytes | None]:
    _check_text(data)
    try:
        wire = _LENIENT.decode(data)
    except msgspec.ValidationError as error:
        raise _fault(data, str(error)) from None
    except msgspec.DecodeError as error:
        raise ParseFault(ParseReason.NOT_JSON, note=str(error)) from None
    return wire, unknown_fields(data)


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
    if _SURROGATE.search(data):
        _check_surrogates(text)


def _check_surrogates(text: str) -> None:
    """Python's JSON takes lone surrogates where msgspec does not, and so can name the field."""
    try:
        document = json.loads(text, parse_int=str, parse_float=str)
    except ValueError:
        return  # not JSON, as the caller will find
    if not _encodable(document):
        fields = document if isinstance(document, dict) else {}
        at_fault = (
            key for key in WireTransaction.__struct_fields__ if not _encodable(fields.get(key))
        )
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
    if field in REQUIRED and "got `null`" in message:
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
