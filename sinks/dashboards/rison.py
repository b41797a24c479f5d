"""Rison, the form in which Dashboards keeps its state in addresses. Pure.

It is JSON for addresses: `(a:1,b:!(x,'y z'),c:!t,d:!n)`. A string stands bare where it can be read
as nothing else, and in quotes otherwise, with ! before ! and '.
"""

import re
from typing import Any

_BARE = re.compile(r"[^-0-9 '!:(),*@$][^ '!:(),*@$]*")


def rison(value: Any) -> str:
    """`value` as Rison: None, booleans, whole numbers, strings, lists, and dicts by strings.

    Raises:
        TypeError: it is, or holds, something else.
    """
    match value:
        case None:
            return "!n"
        case bool():
            return "!t" if value else "!f"
        case int():
            return str(value)
        case str():
            return _text(value)
        case list() | tuple():
            return f"!({','.join(map(rison, value))})"
        case dict():
            pairs = (f"{_text(key)}:{rison(inner)}" for key, inner in value.items())
            return f"({','.join(pairs)})"
    raise TypeError(f"Rison has no {type(value).__name__}")


def _text(value: str) -> str:
    if _BARE.fullmatch(value):
        return value
    escaped = value.replace("!", "!!").replace("'", "!'")
    return f"'{escaped}'"
