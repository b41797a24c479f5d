"""Files of one record a line, compressed where their name says so."""

import gzip
from pathlib import Path
from typing import IO, cast


def open_jsonl(path: Path) -> IO[bytes]:
    """`path` for writing, packed if it ends in .gz; same lines and name, same bytes."""
    if path.suffix == ".gz":
        return cast("IO[bytes]", gzip.GzipFile(path, "wb", compresslevel=6, mtime=0))
    return path.open("wb")
