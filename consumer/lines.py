"""Lines of a pipe, some of them megabytes long, read in large pieces."""

from contextlib import suppress
from typing import Protocol

PIECE_BYTES = 2**20
"""What is asked for at once, and the size of the buffer that is always there."""
LINE_BYTES_MAX = 2**30
"""More than ten megabytes of the smallest aggregated records become."""
_FORESEEN_BYTES = 16 * 2**20
_PIPE_BYTES = 2**18


class LineTooLongError(Exception):
    """The other side wrote more than `LINE_BYTES_MAX` bytes without an end of line."""


class Source(Protocol):
    """What is read from: a raw file, which gives what one read of the system gives.

    Not a BufferedReader: asked for more than it has, it reads until something comes, although the
    end of the line may be what it has.
    """

    def readinto(self, buffer: memoryview, /) -> int | None:
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
        self._foreseen = 0

    def next_line(self) -> memoryview | None:
        """The next line, without its end, until this is called again; None at the end.

        What follows the last end of line is no line: who wrote it died before it was done.

        Raises:
            LineTooLongError: it does not end.
        """
        seen = 0
        while (at := self._buffer.find(b"\n", self._start + seen, self._end)) < 0:
            seen = self._end - self._start
            if not self._fill():
                return None
        line = memoryview(self._buffer)[self._start : at]
        self._start = at + 1
        if self._start == self._end and len(self._buffer) > PIECE_BYTES:
            # The next long line is likely to be about as long; the bound forgets a single giant.
            self._foreseen = min(len(line) + PIECE_BYTES, _FORESEEN_BYTES)
            self._buffer = bytearray(PIECE_BYTES)
            self._start = self._end = 0
        return line

    def _fill(self) -> bool:
        """Read once; whether there was anything. The line that has begun moves to the front."""
        begun = self._end - self._start
        if begun == len(self._buffer):
            if begun >= LINE_BYTES_MAX:
                raise LineTooLongError(f"no end of line within {begun:,} bytes")
            larger = bytearray(self._foreseen if self._foreseen > begun else 2 * begun)
            larger[:begun] = self._buffer
            self._buffer = larger
        elif begun and self._start:
            self._buffer[:begun] = self._buffer[self._start : self._end]
        self._start, self._end = 0, begun
        with memoryview(self._buffer) as whole, whole[begun:] as free:
            read = self._source.readinto(free) or 0
        self._end += read
        return read > 0


def widen(pipe: int) -> None:
    """Let the pipe hold 256 KiB rather than 64, where the system can and allows it.

    Who writes into it then waits less often for who reads. Not more: what all pipes of one user
    hold is bounded too.
    """
    with suppress(ImportError, AttributeError, OSError):  # not Linux, no pipe, or not allowed
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
