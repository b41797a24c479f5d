"""Arrow without what comes with it: a worker that makes Arrow arrays of its own needs no more."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

_LEFT_OUT = frozenset(
    {
        "pandas",
        # Stores go through sinks/s3.py.
        *("pyarrow._azurefs", "pyarrow._gcsfs", "pyarrow._hdfs", "pyarrow._s3fs"),
    }
)


class _Hidden(MetaPathFinder):
    """Says of what is left out that it is not there."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> None:
        """Refuse what is left out; leave everything else to the finders behind."""
        del path, target
        if fullname in _LEFT_OUT:
            raise ModuleNotFoundError(f"{fullname} is left out here", name=fullname)


def import_lean_arrow() -> None:
    """Have Arrow make up its mind that parts of it are not there; call before any use of it.

    Arrow looks for pandas once, at its first array, and imports it where it is installed: 53 MB and
    most of a second for a process that never makes a data frame. Its Parquet module brings clients
    of four file systems in the same way, 3 MB. Other importers of pandas are not affected.
    """
    import pyarrow as pa

    hidden = _Hidden()
    sys.meta_path.insert(0, hidden)
    try:
        pa.array([None])
        import pyarrow.fs  # noqa: F401 -- it looks for its file systems now
    finally:
        sys.meta_path.remove(hidden)
