"""E-mail addresses, telephone numbers and card numbers in texts that people typed: taken out.

The same text gives the same answer at any time: no key, no list, no memory. What it mistakes, and
what it misses, is told in docs/privacy.md.
"""

import re
from functools import lru_cache
from typing import Any, Final

from events.personal_fields import is_personal

NAMES_CACHED_MAX: Final = 1_024
"""Names of unknown fields whose answer is remembered."""

EMAIL: Final = "‹email›"
PHONE: Final = "‹phone›"
CARD: Final = "‹card›"
WITHHELD: Final = "‹withheld›"
"""What stands in place of what is taken out; the last for a whole value."""

_SEPARATOR: Final = r"[ .\-\u00a0\u2009\u202f\u200b\u2010-\u2015]"
_GAP: Final = rf"(?:{_SEPARATOR}|[()]){{0,3}}"
_DATE: Final = r"\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d(?!\d)|(?:19|20)\d\d-\d\d-\d\d(?!\d)"

SIGNS_MIN: Final = 6
"""Nothing personal is shorter, or has fewer digits where it has no other sign."""

_NO_SIGN: Final = frozenset("@%([")
_NO_DIGITS: Final = bytes(set(range(256)) - set(b"0123456789"))
# Anything that the three below could find has one of these.
_HINT: Final = re.compile(rf"[@＠]|%40|[\[(]\s?at\s?[\])]|\d(?:{_GAP}\d){{5}}", re.IGNORECASE)

# Bounded repetitions: no text makes this slow.
_EMAIL: Final = re.compile(
    r"""[^\s@＠<>()\[\],;:"'\\/|‹›]{1,64}
        \ ?(?:[@＠]|%40|[\[(]\s?at\s?[\])])\ ?
        (?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,6}[^\W\d_]{2,24}""",
    re.VERBOSE | re.IGNORECASE,
)
_PHONE: Final = re.compile(
    rf"""(?P<date>(?<!\d){_DATE})
       | (?:\b(?:tel|telephone|telefon|phone|mobile|mob|cell|fax|sms|whatsapp)s?
            [.:\#]{{0,2}}\s{{0,2}}\(?\+?\d(?:{_GAP}\d){{5,14}})
       | (?:(?<![\d+])\+\ ?\(?\d(?:{_GAP}\d){{7,14}}(?!\d))
       | (?:(?<![\w-])(?:
              00[1-9]\d{{0,2}}{_SEPARATOR}\(?\d(?:{_GAP}\d){{6,12}}
            | 0[1-9](?:{_GAP}\d){{8,9}}
            | (?:\(0[1-9]\d{{0,4}}\)|0[1-9]\d{{0,4}}){_SEPARATOR}{{0,2}}(?<!\d)\d(?:{_GAP}\d){{5,8}}
            | (?:1[ .-])?(?:\([2-9]\d\d\)[ .-]?|[2-9]\d\d[ .-]{{1,2}})\d{{3}}[ .-]\d{{4}}
          )(?!\d))""",
    re.VERBOSE | re.IGNORECASE,
)
_DIGITS: Final = re.compile(rf"\d(?:{_SEPARATOR}{{0,2}}\d){{13,}}")
_GROUP: Final = re.compile(r"\d+")
_CARD_DIGITS: Final = range(14, 20)
"""Of cards in use; articles have barcodes of twelve and thirteen."""

GROUPS_MAX: Final = 6
"""Groups that the digits of one card's number are written in: 4-4-4-4-3 is the most in use."""

_ISSUER: Final = re.compile(r"3[0-9]|4|5[0-9]|6|2(?:20[0-4]|2[2-9]|[3-6]|7[0-2])|8[12]|9792")
"""What cards begin with: times and counters in micro- and milliseconds begin otherwise."""


def redacted(text: str) -> str:
    """`text` without e-mail addresses, telephone numbers and card numbers."""
    if len(text) < SIGNS_MIN:
        return text
    if text.isascii() and _NO_SIGN.isdisjoint(text):
        if len(text.encode().translate(None, _NO_DIGITS)) < SIGNS_MIN:
            return text  # most texts: 0.4 µs
    elif _HINT.search(text) is None:
        return text
    text = _DIGITS.sub(_without_cards, _EMAIL.sub(EMAIL, text))
    return _PHONE.sub(lambda found: found["date"] or PHONE, text)


def has_personal(text: str) -> bool:
    """Whether `redacted` would take something out of `text`."""
    return redacted(text) != text


def kept(name: str, value: Any) -> Any:  # noqa: PLR0911 -- one line for each kind of value
    """The JSON `value` of a field that nobody declared, as it may be kept.

    Where `name` says that it is about a person nothing of it is; elsewhere texts, names inside and
    whole numbers are redacted. An absent value stays absent.
    """
    if value is None or isinstance(value, bool):
        return value
    if _judged(name)[1]:
        return WITHHELD
    if type(value) is str:
        return redacted(value)
    if isinstance(value, dict):
        return kept_fields(value)
    if isinstance(value, list):
        return [kept(name, item) for item in value]
    if isinstance(value, int) and is_card_number(str(value)):
        return CARD
    return value


def kept_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of an object that nobody declared, as they may be kept; names are redacted too."""
    result: dict[str, Any] = {}
    alike: dict[str, int] = {}
    for name, value in fields.items():
        clean = shown = _judged(name)[0]
        while shown != name and (shown in result or shown in fields):
            # Two addresses as names are two fields still; counted on, not from the start each time.
            alike[clean] = alike.get(clean, 1) + 1
            shown = f"{clean} {alike[clean]}"
        result[shown] = kept(name, value)
    return result


@lru_cache(maxsize=NAMES_CACHED_MAX)
def _judged(name: str) -> tuple[str, bool]:
    """A field's name as it may be kept, and whether it speaks of a person; a source has few."""
    return redacted(name), is_personal(name)


def is_card_number(digits: str) -> bool:
    """Whether `digits`, nothing else, check out as ISO/IEC 7812 has it (Luhn's sum)."""
    if len(digits) not in _CARD_DIGITS or not digits.isdecimal():
        return False
    values = [int(digit) for digit in digits]
    if _ISSUER.match("".join(map(str, values[:4]))) is None:
        return False
    doubled = sum(sum(divmod(2 * value, 10)) for value in values[-2::-2])
    return (sum(values[-1::-2]) + doubled) % 10 == 0


def _without_cards(found: re.Match[str]) -> str:
    """A run of digits in groups, without the groups that are a card's number together."""
    text = found.group()
    groups = [(group.start(), group.end()) for group in _GROUP.finditer(text)]
    pieces: list[str] = []
    done = first = 0
    while first < len(groups):
        last = _card_from(text, groups, first)
        if last is None:
            first += 1
            continue
        pieces += [text[done : groups[first][0]], CARD]
        done = groups[last][1]
        first = last + 1
    return "".join([*pieces, text[done:]])


def _card_from(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """The group that a card's number ends with which begins with the group `first`."""
    digits = ""
    for last in range(first, min(first + GROUPS_MAX, len(groups))):
        begin, end = groups[last]
        if end - begin >= _CARD_DIGITS.stop:
            return None
        digits += text[begin:end]
        if len(digits) >= _CARD_DIGITS.stop:
            return None
        if is_card_number(digits):
            return last
    return None
