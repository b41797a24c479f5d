"""Arrow without pandas: what a worker that makes only Arrow arrays can do without."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType


class _Hidden(MetaPathFinder):
    """Says of pandas that it is not there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Refuse pandas; leave everything else to the finders behind."""
        del path, target
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out here", name=fullname)


def leave_pandas_out() -> None:
    """Have Arrow make up its mind that there is no pandas; call before the first array is made.

    Arrow looks for pandas once, at its first array, and imports it where it is installed: 53 MB and
    most of a second for a process that never makes a data frame. Other importers are not affected.
    """
    import pyarrow as pa

    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([None])
    finally:
        sys.meta_path.remove(hidden)
