"""River's HalfSpaceTrees without the rest of river.

`import river.anomaly` runs every model of the package and of `river.tree`, and with them pandas or
scipy.stats: 80 MB more per process for one class, and KCL starts a process per shard; `river.utils`
brings narwhals, 5 MB, for what the trees do not call. The packages' initialisers are therefore
stood in for while the one module is loaded. Nothing of that stays behind: the modules loaded are
river's own under their own names, a later `import river.anomaly` runs as ever and finds the same
class, and what is asked of `utils` after all comes from the real one.
"""

import importlib
import sys
from types import ModuleType
from typing import Any

import river

_PACKAGES = ("river.tree", "river.anomaly", "river.utils")


class _Package(ModuleType):
    """Has a package's modules and not yet its names: asked for one, it imports the package."""

    def __getattr__(self, name: str) -> Any:
        if sys.modules.get(self.__name__) is self or name.startswith("__"):
            raise AttributeError(name)
        return getattr(importlib.import_module(self.__name__), name)


def _load() -> Any:
    missing = [name for name in _PACKAGES if name not in sys.modules]
    for name in missing:
        package = _Package(name)
        package.__path__ = [f"{place}/{name.partition('.')[2]}" for place in river.__path__]
        sys.modules[name] = package
    try:
        return importlib.import_module("river.anomaly.hst").HalfSpaceTrees
    finally:
        for name in missing:
            del sys.modules[name]


HalfSpaceTrees = _load()
