"""Logs as JSON lines with their true level, shard and position.

A child cannot log to standard output (the protocol's) nor to standard error (the daemon logs each
line as an error of its own, twice), so it sends each line as a datagram to its supervisor's socket,
and the supervisor writes it out. A full socket drops the line and counts it: logs never hold up
records.
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
        text = json.dumps(line, ensure_ascii=False, default=str)
        return text if len(text) <= LINE_BYTES_MAX // 4 else text[: LINE_BYTES_MAX // 4] + '…"}'


_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


class DatagramHandler(logging.Handler):
    """Sends each formatted record to the supervisor; drops it rather than wait."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
        self._path = path
        self.dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Send `record`; a line that cannot be sent is counted."""
        try:
            self._socket.sendto(self.format(record).encode(), self._path)
        except OSError:
            self.dropped += 1

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def configure(level: str, **context: Any) -> JsonFormatter:
    """Log this process as JSON lines: to its supervisor where there is one, else to stderr."""
    path = os.environ.get(SOCKET_VARIABLE)
    handler = DatagramHandler(path) if path else logging.StreamHandler(sys.stderr)
    formatter = JsonFormatter(**context)
    handler.setFormatter(formatter)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("botocore", "boto3", "urllib3", "opensearch"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    return formatter
