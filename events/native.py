"""The C twins of the hot path, where they were compiled, and the word that leaves them aside.

A twin does what its Python does, for the usual records, and hands the unusual ones back to it. With
TILLWATCH_NATIVE=off in the environment, or where no C compiler was there at installation, Python
does it all: slower, with the same results bit by bit (docs/decisions/0018-native-twins.md).
"""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

SWITCH: Final = "TILLWATCH_NATIVE"

TWINS: Final = (
    "events._parse",
    "anomaly._forest",
    "consumer._sales",
    "sinks._bodies",
    "sinks._columns",
)
"""What hatch_build.py compiles."""


def native(name: str) -> Any:
    """The compiled module `name`, or None where Python is to do its work."""
    if switched_off():
        return None
    try:
        return import_module(name)
    except ImportError:
        return None


def switched_off() -> bool:
    """Whether the environment says that Python is to do it all."""
    return os.environ.get(SWITCH, "").strip().lower() in ("off", "0", "false", "no")


def not_compiled() -> tuple[str, ...]:
    """The twins that are not there."""
    return tuple(name for name in TWINS if find_spec(name) is None)


def in_words() -> str:
    """What runs the hot path, for a log."""
    if switched_off():
        return f"Python alone ({SWITCH} is off)"
    missing = not_compiled()
    return f"without {', '.join(missing)}" if missing else "compiled"
