"""Records and texts as they may be shown to a person: no contact data, no card tokens."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from events.decode import too_deep
from events.pseudonym import Pseudonymizer
from events.redaction import has_personal
from events.wire import WireLine, WireTransaction

SHOWN_CHARACTERS_MAX: Final = 120
"""Characters of one value that are shown; of a longer one, the beginning."""

NEIGHBOURHOOD_BYTES_MAX: Final = 80
"""Bytes around a fault that are shown by their kind."""

LINES_SHOWN_MAX: Final = 50
"""Lines of a receipt that are shown."""

_PERSONAL: Final = frozenset({"payment", "contact"})
_PLAIN: Final = frozenset(WireTransaction.__struct_fields__) - _PERSONAL - {"lines"}
_PLAIN_OF_LINE: Final = frozenset(WireLine.__struct_fields__)
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}")
_TELLING_CHARACTERS: Final = 3
_FAULT_BYTE: Final = re.compile(r"\bbyte (\d{1,9})\b")

_KNOWN_NAME: Final = re.compile(
    "|".join(
        sorted(
            {
                *WireTransaction.__struct_fields__,
                *WireLine.__struct_fields__,
                *("method", "card_token", "name", "email"),
            },
            key=lambda name: (-len(name), name),
        )
    )
    .join(("(?<![A-Za-z0-9_])(?:", ')(?="[ \t\r\n]*:)'))
    .encode()
)


def shown(
    text: str,
    secrets: frozenset[str] = frozenset(),
    *,
    characters_max: int = SHOWN_CHARACTERS_MAX,
) -> str:
    """`text` as it may be shown: printable, bounded, and masked where it looks personal.

    That is: what events/redaction.py takes out of texts, anything else with an `@`, or one of
    `secrets` in it.
    """
    if _looks_personal(text) or any(secret in text.casefold() for secret in secrets):
        return f"‹{len(text)} characters, masked›"
    if len(text) > characters_max:
        text = f"{text[:characters_max]}…"
    return "".join(sign if sign.isprintable() else _escaped(sign) for sign in text)


def masked_record(data: bytes, pseudonymize: Pseudonymizer) -> str | None:
    """The JSON object in `data`, laid out for a person and masked; None where there is none.

    Shown are the fields of the wire schema that are not personal. Card tokens, names and e-mail
    addresses show as the pseudonyms that OpenSearch knows them by; of everything else there is
    but the kind and the size. A value that holds what is masked elsewhere in the record is masked
    too. Of a key that stands twice, the last value shows, as it would count.
    """
    if too_deep(data):
        return None
    try:
        document = json.loads(data.decode(), parse_int=_Number, parse_float=_Number)
    except ValueError:
        return None
    if not isinstance(document, dict):
        return None
    secrets = _secrets(document)
    masked = {
        _name(name): _field(name, value, secrets, pseudonymize) for name, value in document.items()
    }
    return msgspec.json.format(msgspec.json.encode(masked), indent=2).decode()


def neighbourhood(data: bytes, detail: str) -> str | None:
    """What lies around the byte that `detail` names, by kind: letters as x, digits as 9.

    Names of the wire schema's fields stand as they are, and so do the signs of JSON. None where
    `detail` names no byte of `data`.
    """
    found = _FAULT_BYTE.search(detail)
    if found is None or int(found[1]) > len(data):
        return None
    at = int(found[1])
    begin = max(0, at - NEIGHBOURHOOD_BYTES_MAX // 2)
    part = data[begin : begin + NEIGHBOURHOOD_BYTES_MAX]
    kinds = [_kind(byte) for byte in part]
    for name in _KNOWN_NAME.finditer(part):
        kinds[name.start() : name.end()] = name.group().decode()
    # A byte that is no character says what the encoding was; one that is, is the customer's.
    odd = at < len(data) and not chr(data[at]).isascii()
    said = f"byte {at} is 0x{data[at]:02x}" if odd else f"byte {at}"
    return f"{said}, of bytes {begin} to {begin + len(part)}: {''.join(kinds)}"


class _Number(str):
    """A number as its text."""

    __slots__ = ()


def _field(name: str, value: Any, secrets: frozenset[str], pseudonymize: Pseudonymizer) -> object:
    if name in _PLAIN:
        return _plain(value, secrets)
    if name == "lines" and isinstance(value, list):
        lines: list[object] = [_line(line, secrets) for line in value[:LINES_SHOWN_MAX]]
        more = len(value) - LINES_SHOWN_MAX
        return [*lines, f"‹{more} more›"] if more > 0 else lines
    if name in _PERSONAL and isinstance(value, dict):
        return {
            _name(part): _personal(name, part, item, secrets, pseudonymize)
            for part, item in value.items()
        }
    return _size(value)


def _line(line: Any, secrets: frozenset[str]) -> object:
    if not isinstance(line, dict):
        return _size(line)
    return {
        _name(name): _plain(value, secrets) if name in _PLAIN_OF_LINE else _size(value)
        for name, value in line.items()
    }


def _personal(
    name: str, part: str, value: Any, secrets: frozenset[str], pseudonymize: Pseudonymizer
) -> object:
    if value is None:
        return None
    text = type(value) is str and value.strip() != ""
    if (name, part) == ("payment", "method"):
        return _plain(value, secrets)
    if text and (name, part) == ("payment", "card_token"):
        return pseudonymize.card_token(value)
    if text and (name, part) == ("contact", "name"):
        return pseudonymize.contact_name(value)
    if text and (name, part) == ("contact", "email"):
        return pseudonymize.contact_email(value)
    return _size(value)


def _plain(value: Any, secrets: frozenset[str]) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        text = shown(value, secrets)
        # A number stands there as a number: whether it is one may be what is wrong.
        return msgspec.Raw(value.encode()) if isinstance(value, _Number) and text == value else text
    return _size(value)


def _size(value: Any) -> object:
    """The kind and size of a value that is not shown."""
    if value is None or value == "":
        return value
    if isinstance(value, _Number):
        return f"‹number of {len(value)} characters, masked›"
    if isinstance(value, str):
        return f"‹{len(value)} characters, masked›"
    if isinstance(value, dict):
        return f"‹object of {len(value)} fields, masked›"
    if isinstance(value, list):
        return f"‹list of {len(value)}, masked›"
    return "‹true or false, masked›"


def _name(name: str) -> str:
    """A field's name, unless it may be more than a name."""
    fits = _NAME.fullmatch(name) is not None and not _looks_personal(name)
    return name if fits else f"‹name of {len(name)} characters, masked›"


def _secrets(document: dict[str, Any]) -> frozenset[str]:
    """The texts that are masked wherever they show: those of payment and contact, and their words.

    Words, since a cashier writes "Mrs Smith" where the contact is "Jane Smith".
    """
    payment, contact = document.get("payment"), document.get("contact")
    if isinstance(payment, dict):
        payment = [value for name, value in payment.items() if name != "method"]
    whole = {text.strip().casefold() for text in (*_texts(payment), *_texts(contact))}
    words = {word for text in _texts(contact) for word in text.casefold().split()}
    return frozenset(text for text in whole | words if len(text) >= _TELLING_CHARACTERS)


def _texts(value: Any) -> Iterator[str]:
    """Every text and number in `value`, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _texts(item)


def _looks_personal(text: str) -> bool:
    return "@" in text or has_personal(text)


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode()


def _kind(byte: int) -> str:
    sign = chr(byte)
    if not sign.isascii():
        return "·"
    if sign.isalpha():
        return "x"
    if sign.isdigit():
        return "9"
    return sign if sign.isprintable() else "·"
