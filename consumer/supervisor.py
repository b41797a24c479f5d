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
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from consumer.logs import LINE_BYTES_MAX, SOCKET_VARIABLE

_log = logging.getLogger("tillwatch.supervisor")
_BACKOFF_SECONDS_MAX = 30.0
HEALTHY_SECONDS = 60.0
"""A daemon that ran for so long had started well; the count of failed starts begins anew."""
_POLL_SECONDS = 0.2
_KILL_SECONDS_MAX = 10.0


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
    ) -> None:
        self._command = command
        self._directory = directory
        self._restarts_max = restarts_max
        self._shutdown_seconds_max = shutdown_seconds_max
        self._out = out
        self._out_lock = threading.Lock()
        self._clock = clock
        self._stop = threading.Event()

    def request_stop(self) -> None:
        """End the worker in good order: last checkpoints first. Safe in a signal handler."""
        self._stop.set()

    def run(self) -> int:
        """Run until stopped (0) or until the daemon failed too often in a row (1)."""
        log_socket = self._open_log_socket()
        try:
            return self._run()
        finally:
            log_socket.close()

    def _run(self) -> int:
        failures = 0
        while not self._stop.is_set():
            began = self._clock()
            status = self._run_daemon()
            if self._stop.is_set():
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
            pause = random.uniform(0, min(_BACKOFF_SECONDS_MAX, 2.0**failures))
            _log.warning(
                "the KCL daemon ended with status %s; start %d of %d in %.1f s",
                status,
                failures + 1,
                self._restarts_max + 1,
                pause,
                extra={"failures": failures},
            )
            self._stop.wait(pause)
        return 0

    def _run_daemon(self) -> int:
        """Run the daemon once, to its end; it and its children are gone when this returns."""
        process = subprocess.Popen(  # noqa: S603 -- a command of our own making
            self._command,
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
            while process.poll() is None and not self._stop.is_set():
                self._stop.wait(_POLL_SECONDS)
            if process.poll() is None:
                self._end(process)
            return process.wait()
        finally:
            # Children whose daemon died read the end of their input and leave; none may linger.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            relay.join(timeout=_KILL_SECONDS_MAX)

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
        threading.Thread(target=self._relay_children, args=(receiver,), daemon=True).start()
        return receiver

    def _relay_children(self, receiver: socket.socket) -> None:
        """Write out what children send: whole JSON lines, as they are."""
        with suppress(OSError):  # the socket is closed when the supervisor ends
            while True:
                self._write(receiver.recv(LINE_BYTES_MAX).decode(errors="replace"))

    def _relay_daemon(self, stream: IO[bytes]) -> None:
        """Turn the daemon's lines into JSON with their own level and shard."""
        for raw in stream:
            text = raw.decode(errors="replace").rstrip()
            if text:
                self._write(json.dumps(daemon_line(text), ensure_ascii=False))

    def _write(self, line: str) -> None:
        with self._out_lock:
            self._out.write(line + "\n")
            self._out.flush()


_DAEMON_FIELDS = 4


def daemon_line(text: str) -> dict[str, str]:
    """One line of the daemon's log, laid out by properties/logback.xml, as JSON fields."""
    fields = text.split("\t", _DAEMON_FIELDS - 1)
    if len(fields) < _DAEMON_FIELDS:
        # Not the logger's: the JVM itself, or a stack trace that escaped it.
        return {"level": "WARNING", "logger": "kcl", "message": text}
    level, logger, shard, message = fields
    line = {"level": "WARNING" if level == "WARN" else level, "logger": f"kcl.{logger}"}
    if shard:
        line["shard_id"] = shard
    return line | {"message": message}
