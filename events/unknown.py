"""The fields of a record that the wire schema does not know: kept aside, not refused."""

import math
from typing import Any, Final

import msgspec

from events.parse_reason import ParseFault, ParseReason
from events.redaction import kept_fields
from events.wire import WireLine, WireTransaction

UNKNOWN_BYTES_MAX: Final = 16 * 1024
"""Bytes of unknown fields that are kept for one transaction, at most."""

NUMBER_TEXT_MAX: Final = 64
"""Characters of an unknown number that is kept as a number; a longer one becomes a text."""


class _Number(str):
    """A number with a fraction or exponent, as its text."""

    __slots__ = ()


_DOCUMENT: Final = msgspec.json.Decoder(dict[str, Any], float_hook=_Number)
_KNOWN: Final = frozenset(WireTransaction.__struct_fields__)
_KNOWN_OF_LINE: Final = frozenset(WireLine.__struct_fields__)


def unknown_fields(data: bytes) -> bytes | None:
    """The fields that the schema does not know, as one JSON object.

    Those of lines come under `lines` and the line's index. Those inside `payment` and `contact`
    are left out: whatever a source adds there may be card or contact data. What is personal by its
    name or its looks is taken out (events/redaction.py). `data` is a valid wire transaction, not
    too deep.

    Raises:
        ParseFault: they take more than `UNKNOWN_BYTES_MAX`.
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
    # Before anybody looks through it.
    if len(data) > UNKNOWN_BYTES_MAX and len(msgspec.json.encode(unknown)) > UNKNOWN_BYTES_MAX:
        raise ParseFault(ParseReason.UNKNOWN_FIELDS_TOO_LARGE)
    encoded = msgspec.json.encode(kept_fields(unknown))
    if len(encoded) > UNKNOWN_BYTES_MAX:
        raise ParseFault(ParseReason.UNKNOWN_FIELDS_TOO_LARGE)
    return encoded


def _without(fields: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    return {name: _plain(value) for name, value in fields.items() if name not in known}


def _plain(value: Any) -> Any:
    """`value` so that every reader of JSON takes it: numbers that few can hold become texts."""
    if isinstance(value, dict | list) and len(value) > UNKNOWN_BYTES_MAX:
        raise ParseFault(ParseReason.UNKNOWN_FIELDS_TOO_LARGE)
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
