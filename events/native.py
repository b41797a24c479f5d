"""The C twins of the hot path, where they were compiled, and the word that leaves them aside.

A twin does what its Python does, for the usual records, and hands the unusual ones back to it. With
TILLWATCH_NATIVE=off in the environment, or where no C compiler was there at installation, Python
does it all: slower, with the same results bit by bit (docs/decisions/0018-native-twins.md).
"""

import os
from importlib import import_module
from typing import Any, Final

SWITCH: Final = "TILLWATCH_NATIVE"


def native(name: str) -> Any:
    """The compiled module `name`, or None where Python is to do its work."""
    if os.environ.get(SWITCH, "").strip().lower() in ("off", "0", "false", "no"):
        return None
    try:
        return import_module(name)
    except ImportError:
        return None
