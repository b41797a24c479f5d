"""Logs as JSON lines with their true level, shard and position.

A child cannot log to standard output (the protocol's) nor to standard error (the daemon logs each
line as an error of its own, twice), so it sends each line as a datagram to its supervisor's socket,
and the supervisor writes it out. A full socket drops the line and counts it, and the next line that
gets through says how many are missing: logs never hold up records.
"""

import json
import logging
import os
import socket
import sys
from datetime import UTC, datetime
from typing import Any

SOCKET_VARIABLE = "TILLWATCH_LOG_SOCKET"
LINE_BYTES_MAX = 32_768
"""Bytes of one line; what would be longer has its longest texts cut."""

_TEXT_CHARACTERS_MAX = (4_096, 512, 64)
"""How long a text of a line that is too long may be: at first, and where that does not do."""

_ALWAYS = ("time", "level", "logger", "message")


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and whatever `extra` gave."""

    def __init__(self, **context: Any) -> None:
        super().__init__()
        self.context = context

    def format(self, record: logging.LogRecord) -> str:
        """The line for `record`."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **self.context,
        }
        line.update(
            (name, value) for name, value in record.__dict__.items() if name not in _STANDARD
        )
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _bounded(line)


def _bounded(line: dict[str, Any]) -> str:
    """`line` as JSON of at most `LINE_BYTES_MAX` bytes, whatever it holds."""
    text = _dumped(line)
    for characters_max in _TEXT_CHARACTERS_MAX:
        if _size(text) <= LINE_BYTES_MAX:
            return text
        line = {name: _cut(value, characters_max) for name, value in line.items()}
        text = _dumped(line)
    if _size(text) > LINE_BYTES_MAX:  # so many fields that each has to be short
        text = _dumped({name: line[name] for name in _ALWAYS})
    return text


def _dumped(line: dict[str, Any]) -> str:
    try:
        return json.dumps(line, ensure_ascii=False, default=str, allow_nan=False)
    except (TypeError, ValueError, RecursionError):  # NaN, keys that are no text, a circle
        return json.dumps({name: str(value) for name, value in line.items()}, ensure_ascii=False)


def _size(text: str) -> int:
    # Half a surrogate pair goes out as its escape, as on standard error.
    return len(text.encode(errors=_ENCODE_ERRORS))


def _cut(value: Any, characters_max: int) -> Any:
    text = value if isinstance(value, str) else _dumped({"": value})
    return value if len(text) <= characters_max else f"{text[:characters_max]}…"


_ENCODE_ERRORS = "backslashreplace"
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class DatagramHandler(logging.Handler):
    """Sends each formatted record to the supervisor; drops it rather than wait."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
        self._path = path
        self.dropped = 0
        """Lines that did not get through, since the process began."""
        self._told = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send `record`; a line that cannot be sent is counted, and never raises."""
        try:
            if self.dropped > self._told:
                record.__dict__["lines_dropped"] = self.dropped
            line = self.format(record).encode(errors=_ENCODE_ERRORS)
        except Exception:  # noqa: BLE001 -- a line that cannot be made must not end the shard
            self.handleError(record)
            return
        try:
            self._socket.sendto(line, self._path)
            self._told = self.dropped
        except OSError:
            self.dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def configure(level: str, stream: Any = None, **context: Any) -> JsonFormatter:
    """Log this process as JSON lines: to its supervisor where there is one, else to `stream`.

    Without either, lines go to standard error, and wait for whoever reads it.
    """
    path = os.environ.get(SOCKET_VARIABLE)
    handler = DatagramHandler(path) if path else logging.StreamHandler(stream or sys.stderr)
    formatter = JsonFormatter(**context)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("botocore", "boto3", "urllib3", "opensearch"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return formatter
