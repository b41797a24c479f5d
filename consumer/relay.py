"""Takes in what the daemon and its children say: log lines to write out, and reports."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Protocol, Self

from consumer import logs, telemetry

RELAY_SECONDS_MAX = 10.0
"""How long the end waits for the last log lines."""


class Out(Protocol):
    """Where log lines go: consumer/log_writer.py, which returns at once."""

    def write(self, text: str, /) -> None:
        """Take one line."""
        ...


class Relay:
    """Two sockets in `directory`, each with a thread that reads it, while the context lasts.

    Args:
        directory: has a short path; a socket's has a bound of about 100 characters.
        out: where log lines go.
        receive: what a child's report is given to.
        ending: called when the daemon says that it is about to end.
    """

    def __init__(
        self,
        directory: Path,
        out: Out,
        receive: Callable[[bytes], None],
        ending: Callable[[], None] = lambda: None,
    ) -> None:
        self._out = out
        self._ending = ending
        self._logs = directory / "log"
        self._reports = directory / "telemetry"
        self._receive = receive
        self._stack = ExitStack()

    @property
    def environment(self) -> dict[str, str]:
        """What the children have to know to find the sockets."""
        return {
            logs.SOCKET_VARIABLE: str(self._logs),
            telemetry.SOCKET_VARIABLE: str(self._reports),
        }

    def __enter__(self) -> Self:
        self._open(self._logs, logs.LINE_BYTES_MAX, self._write)
        self._open(self._reports, telemetry.REPORT_BYTES_MAX, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stack.close()

    def daemon(self, stream: IO[bytes]) -> threading.Thread:
        """Turn the daemon's lines into JSON with their own level and shard, to the end."""
        thread = threading.Thread(target=self._relay_daemon, args=(stream,), daemon=True)
        thread.start()
        return thread

    def _open(self, path: Path, bytes_max: int, take: Callable[[bytes], None]) -> None:
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(str(path))

        def read() -> None:
            while data := receiver.recv(bytes_max):
                take(data)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()

        def close() -> None:
            # An empty datagram behind all others: what children said last is still taken.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
                sender.settimeout(RELAY_SECONDS_MAX)
                sender.sendto(b"", str(path))
            reader.join(RELAY_SECONDS_MAX)
            receiver.close()
            path.unlink()

        self._stack.callback(close)

    def _write(self, line: bytes) -> None:
        self._out.write(line.decode(errors="replace") + "\n")

    def _relay_daemon(self, stream: IO[bytes]) -> None:
        with stream:
            for raw in _lines(stream):
                text = raw.decode(errors="replace").rstrip()
                if text:
                    now = datetime.now(UTC).isoformat(timespec="milliseconds")
                    line = {"time": now} | daemon_line(text)
                    self._out.write(json.dumps(line, ensure_ascii=False) + "\n")
                    if line["message"] == _ENDING and line["logger"].endswith(".MultiLangDaemon"):
                        self._ending()


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of `stream`, of each the first `LINE_BYTES_MAX` bytes."""
    while line := stream.readline(logs.LINE_BYTES_MAX):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(logs.LINE_BYTES_MAX)
        yield line


_ENDING = "Process terminated, will initiate shutdown."
"""The daemon's first words at its end, be it asked to end or over a child that died."""
_DAEMON_FIELDS = 4
_DAEMON_LEVELS = {
    "ERROR": "ERROR",
    "WARN": "WARNING",
    "INFO": "INFO",
    "DEBUG": "DEBUG",
    "TRACE": "DEBUG",
}


def daemon_line(text: str) -> dict[str, str]:
    """One line of the daemon's log, laid out by properties/logback.xml, as JSON fields."""
    fields = text.split("\t", _DAEMON_FIELDS - 1)
    if len(fields) < _DAEMON_FIELDS or fields[0] not in _DAEMON_LEVELS:
        # Not the logger's: the JVM itself, or a stack trace that escaped it.
        return {"level": "WARNING", "logger": "kcl", "message": text}
    level, logger, shard, message = fields
    line = {"level": _DAEMON_LEVELS[level], "logger": f"kcl.{logger}"}
    if shard:
        line["shard_id"] = shard
    return line | {"message": message}
