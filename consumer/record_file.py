"""A file of wire records, one a line, packed or not, as records of a stream."""

import gzip
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click

from events.position import Position
from events.record import Record


class RecordFile:
    """An open file of records; `read_bytes` is how many bytes of the file were read so far."""

    def __init__(self, lines: IO[bytes], tell: Callable[[], int]) -> None:
        self._lines = lines
        self._tell = tell

    def records(self, shard_id: str = "file") -> Iterator[Record]:
        """Each line as a record; its sequence number is its line number, from 1."""
        for number, line in enumerate(self._lines, 1):
            yield Record(Position(shard_id, str(number)), line.rstrip(b"\r\n"), "", None)

    @property
    def read_bytes(self) -> int:
        """Bytes of the file, packed as they are there, that were read so far."""
        return self._tell()


@contextmanager
def open_records(path: Path) -> Iterator[RecordFile]:
    """Open the records in `path`; a name that ends in .gz is unpacked.

    Raises:
        click.ClickException: inside the block, a .gz file that is damaged or ends too early.
    """
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw) as lines:
                    yield RecordFile(lines, raw.tell)  # type: ignore[arg-type]  # it has byte lines
            else:
                yield RecordFile(raw, raw.tell)
    except (gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise click.ClickException(f"{path} is not a whole .gz file: {error}") from error
