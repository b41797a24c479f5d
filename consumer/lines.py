"""Lines of a pipe, some of them megabytes long, read in large pieces."""

from contextlib import suppress
from typing import Protocol

PIECE_BYTES = 2**20
"""What is asked for at once: as much as a pipe holds, where the system lets it be enlarged."""
LINE_BYTES_MAX = 2**30
"""More than ten megabytes of the smallest aggregated records become."""


class LineTooLongError(Exception):
    """The other side wrote more than `LINE_BYTES_MAX` bytes without an end of line."""


class Source(Protocol):
    """What is read from; io.BufferedReader and io.BytesIO are such."""

    def readinto1(self, buffer: memoryview, /) -> int:
        """Fill `buffer` with what one read gives; 0 at the end."""
        ...


class Lines:
    """Reads `source` line by line.

    readline() collects a long line from pieces of eight kilobytes, each of them a wait for other
    threads, and holds it twice in the end. Here it takes a few reads, and is held once, by who uses
    it: a buffer that grew for a line is let go of with it.
    """

    def __init__(self, source: Source) -> None:
        self._source = source
        self._buffer = bytearray(PIECE_BYTES)
        self._start = self._end = 0
        self._grown = 0

    def next_line(self) -> memoryview | None:
        """The next line, without its end, until this is called again; None at the end.

        What follows the last end of line counts as a line, if there is anything.

        Raises:
            LineTooLongError: it does not end.
        """
        seen = 0
        while (at := self._buffer.find(b"\n", self._start + seen, self._end)) < 0:
            seen = self._end - self._start
            if not self._fill():
                if not seen:
                    return None
                return self._taken(self._end, self._end)
        return self._taken(at, at + 1)

    def _taken(self, end: int, following: int) -> memoryview:
        line = memoryview(self._buffer)[self._start : end]
        self._start = following
        if following == self._end and len(self._buffer) > PIECE_BYTES:
            self._grown = len(self._buffer)
            self._buffer = bytearray(PIECE_BYTES)
            self._start = self._end = 0
        return line

    def _fill(self) -> bool:
        """Read once; whether there was anything. The line that has begun moves to the front."""
        begun = self._end - self._start
        if begun == len(self._buffer):
            if begun >= LINE_BYTES_MAX:
                raise LineTooLongError(f"no end of line within {begun:,} bytes")
            # At once as large as for the line before: what is not written to takes no memory.
            larger = bytearray(max(2 * begun, self._grown))
            larger[:begun] = self._buffer
            self._buffer = larger
        elif begun and self._start:
            self._buffer[:begun] = self._buffer[self._start : self._end]
        self._start, self._end = 0, begun
        with memoryview(self._buffer) as whole, whole[begun:] as free:
            read = self._source.readinto1(free)
        self._end += read
        return read > 0


def widen(pipe: int) -> None:
    """Let the pipe hold `PIECE_BYTES` rather than 64 KiB, where the system can and allows it.

    Who writes into it then waits sixteen times less often for who reads.
    """
    with suppress(ImportError, AttributeError, OSError):  # not Linux, no pipe, or not allowed
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIECE_BYTES)
