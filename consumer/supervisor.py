"""Keeps the KCL daemon running: starts it, relays its logs, restarts it, ends it in good order."""

import json
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from consumer.logs import LINE_BYTES_MAX, SOCKET_VARIABLE

_log = logging.getLogger("tillwatch.supervisor")
_BACKOFF_SECONDS_MAX = 30.0
_DOUBLINGS_MAX = 10
HEALTHY_SECONDS = 180.0
"""A daemon that ran for so long had started well; the count of failed starts begins anew."""
_POLL_SECONDS = 0.2
_RELAY_SECONDS_MAX = 10.0
"""How long the end waits for the last log lines to be written out."""


class Supervisor:
    """One worker: a daemon with its children, for as long as it is wanted."""

    def __init__(
        self,
        command: list[str],
        directory: Path,
        *,
        restarts_max: int,
        shutdown_seconds_max: float,
        out: IO[str] = sys.stderr,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._command = command
        self._directory = directory
        self._restarts_max = restarts_max
        self._shutdown_seconds_max = shutdown_seconds_max
        self._out = out
        self._out_lock = threading.Lock()
        self._clock = clock
        self._jitter = jitter
        # Not an Event: its set() takes a lock, which the thread that a signal interrupts may hold.
        self._stop = False

    def request_stop(self) -> None:
        """End the worker in good order: last checkpoints first. Safe in a signal handler."""
        self._stop = True

    def run(self) -> int:
        """Run until stopped (0) or until the daemon failed too often in a row (1)."""
        log_socket = self._open_log_socket()
        relay = threading.Thread(target=self._relay_children, args=(log_socket,), daemon=True)
        relay.start()
        try:
            return self._run()
        finally:
            # An empty datagram behind all others: what children said last is still written out.
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, suppress(OSError):
                sender.settimeout(_RELAY_SECONDS_MAX)
                sender.sendto(b"", str(self._socket_path))
            relay.join(timeout=_RELAY_SECONDS_MAX)
            log_socket.close()
            self._socket_path.unlink()

    def _run(self) -> int:
        failures = 0
        while not self._stop:
            began = self._clock()
            status = self._run_daemon()
            if self._stop:
                break
            failures = 1 if self._clock() - began >= HEALTHY_SECONDS else failures + 1
            if failures > self._restarts_max:
                _log.error(
                    "the KCL daemon ended %d times in a row, the last time with status %s; giving "
                    "up. The lines above say why; nothing that was not checkpointed is lost, and "
                    "the next start goes on from the last checkpoint",
                    failures,
                    status,
                )
                return 1
            ceiling = min(_BACKOFF_SECONDS_MAX, 2.0 ** min(failures, _DOUBLINGS_MAX))
            pause = self._jitter(0, ceiling)
            _log.warning(
                "the KCL daemon ended with status %s; start %d of %d in %.1f s",
                status,
                failures + 1,
                self._restarts_max + 1,
                pause,
                extra={"failures": failures},
            )
            self._wait(pause)
        return 0

    def _wait(self, seconds: float) -> None:
        """Wait so long, or until a stop is asked for."""
        while seconds > 0 and not self._stop:
            time.sleep(min(seconds, _POLL_SECONDS))
            seconds -= _POLL_SECONDS

    def _run_daemon(self) -> int:
        """Run the daemon once, to its end; it and its children are gone when this returns."""
        process = subprocess.Popen(  # noqa: S603 -- a command of our own making
            [sys.executable, "-m", "consumer.tether", str(os.getpid()), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A session of its own: a terminal's Ctrl-C reaches the supervisor alone.
            start_new_session=True,
            env=os.environ | {SOCKET_VARIABLE: str(self._socket_path)},
        )
        _log.info("started the KCL daemon", extra={"daemon_pid": process.pid})
        relay = threading.Thread(target=self._relay_daemon, args=(process.stdout,), daemon=True)
        relay.start()
        try:
            while process.poll() is None and not self._stop:
                self._wait(_POLL_SECONDS)
            if process.poll() is None:
                self._end(process)
            return process.wait()
        finally:
            # Children whose daemon died read the end of their input and leave; none may linger.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            relay.join(timeout=_RELAY_SECONDS_MAX)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        _log.info("stopping: waiting for the last checkpoints")
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=self._shutdown_seconds_max)
        except subprocess.TimeoutExpired:
            _log.warning(
                "the daemon did not end within %.0f s and is killed; the next start redoes what "
                "was not checkpointed",
                self._shutdown_seconds_max,
            )
            process.kill()

    # -- logs -------------------------------------------------------------------------------------

    @property
    def _socket_path(self) -> Path:
        return self._directory / "log"

    def _open_log_socket(self) -> socket.socket:
        receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiver.bind(str(self._socket_path))
        return receiver

    def _relay_children(self, receiver: socket.socket) -> None:
        """Write out what children send, whole JSON lines, until an empty one."""
        while line := receiver.recv(LINE_BYTES_MAX):
            self._write(line.decode(errors="replace"))

    def _relay_daemon(self, stream: IO[bytes]) -> None:
        """Turn the daemon's lines into JSON with their own level and shard."""
        with stream:
            for raw in _lines(stream):
                text = raw.decode(errors="replace").rstrip()
                if text:
                    now = datetime.now(UTC).isoformat(timespec="milliseconds")
                    self._write(json.dumps({"time": now} | daemon_line(text), ensure_ascii=False))

    def _write(self, line: str) -> None:
        # Where nobody reads the log any more the worker goes on: the pipes behind it must not fill.
        with self._out_lock, suppress(OSError, ValueError):
            self._out.write(line + "\n")
            self._out.flush()


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """The lines of `stream`, of each the first `LINE_BYTES_MAX` bytes."""
    while line := stream.readline(LINE_BYTES_MAX):
        rest = line
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(LINE_BYTES_MAX)
        yield line


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
