"""Keeps the KCL daemon running: starts it, watches its children, restarts it, ends it well."""

import logging
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from consumer.children import Children, Ill, session
from consumer.relay import RELAY_SECONDS_MAX, Out, Relay
from consumer.vitals import Vitals

_log = logging.getLogger("tillwatch.supervisor")
_BACKOFF_SECONDS_MAX = 30.0
_DOUBLINGS_MAX = 10
HEALTHY_SECONDS = 180.0
"""A daemon that ran for so long had started well; the count of failed starts begins anew."""
_POLL_SECONDS = 0.2
_TOLD_SECONDS = 1.0
"""How long a daemon that ends by itself waits for its cause: longer than a death is doubted."""
LAST_WORDS_SECONDS_MAX = 15.0
"""How long the other children have for a last checkpoint when one of them is replaced."""


class Supervisor:
    """One worker: a daemon with its children, for as long as it is wanted.

    The daemon notices a dead child only when it has something for it, and a hung one never. So
    children report here too (consumer/telemetry.py), and one that is ill is replaced: it is killed,
    the others make their last checkpoints, and the daemon, which would wait for the dead one, is
    started anew.
    """

    def __init__(
        self,
        command: list[str],
        directory: Path,
        *,
        restarts_max: int,
        shutdown_seconds_max: float,
        out: Out,
        children: Children,
        vitals: Vitals,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._command = command
        self._relay = Relay(directory, out, children.receive, self._note_ending)
        self._restarts_max = restarts_max
        self._shutdown_seconds_max = shutdown_seconds_max
        self._children = children
        self._vitals = vitals
        self._clock = clock
        self._jitter = jitter
        # Not an Event: its set() takes a lock, which the thread that a signal interrupts may hold.
        self._stop = False
        self._ending = False

    def request_stop(self) -> None:
        """End the worker in good order: last checkpoints first. Safe in a signal handler."""
        self._stop = True
        self._vitals.stopping = True

    def _note_ending(self) -> None:
        self._ending = True

    def run(self) -> int:
        """Run until stopped (0) or until the daemon failed too often in a row (1)."""
        with self._relay:
            return self._run()

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
            self._wait(pause, lambda: self._stop)
        return 0

    def _wait(self, seconds: float, over: Callable[[], object]) -> bool:
        """Wait so long, or until `over` is; whether it is."""
        while not over():
            self._vitals.turn()
            if seconds <= 0:
                return False
            time.sleep(min(seconds, _POLL_SECONDS))
            seconds -= _POLL_SECONDS
        return True

    def _run_daemon(self) -> int:
        """Run the daemon once, to its end; it and its children are gone when this returns."""
        self._ending = False
        process = subprocess.Popen(  # noqa: S603 -- a command of our own making
            [sys.executable, "-m", "consumer.tether", str(os.getpid()), *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # A session of its own: a terminal's Ctrl-C reaches the supervisor alone, and what is
            # in the session is the daemon's.
            start_new_session=True,
            env=os.environ | self._relay.environment,
        )
        _log.info("started the KCL daemon", extra={"daemon_pid": process.pid})
        self._children.follow(process.pid)
        self._vitals.daemon_started(process.pid)
        assert process.stdout is not None  # noqa: S101 -- it was asked for
        relay = self._relay.daemon(process.stdout)
        try:
            self._watch(process)
            return process.wait()
        finally:
            # Children whose daemon died read the end of their input and leave; none may linger.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            self._vitals.daemon_ended()
            self._children.follow(None)
            relay.join(timeout=RELAY_SECONDS_MAX)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Return when the daemon has ended, by itself or because it had to."""
        while not self._stop:
            if self._wait(_POLL_SECONDS, lambda: process.poll() is not None or self._stop):
                break
            ill = self._children.ill()
            if ill is not None:
                self._replace(process, ill)
                return
            if self._ending and self._hasten(process):
                return
        if process.poll() is None:
            self._end(process)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        _log.info("stopping: waiting for the last checkpoints")
        process.send_signal(signal.SIGTERM)
        if not self._wait(
            self._shutdown_seconds_max, lambda: process.poll() is not None or self._all_halted()
        ):
            _log.warning(
                "the daemon did not end within %.0f s and is killed; the next start redoes what "
                "was not checkpointed",
                self._shutdown_seconds_max,
            )
        process.kill()

    def _all_halted(self) -> bool:
        """Whether the daemon waits for nobody but children that stand still on purpose."""
        return bool(self._children.living()) and not self._children.working()

    def _replace(self, process: subprocess.Popen[bytes], ill: Ill) -> None:
        """End the ill child, and the daemon behind it; the others' work is checkpointed first."""
        _log.warning(
            "the child of %s %s; it is replaced: the daemon is started anew, and the shard goes "
            "on from its last checkpoint",
            ill.shard_id,
            ill.what,
            extra={"shard_id": ill.shard_id, "child_pid": ill.pid, "cause": ill.cause},
        )
        self._vitals.replaced[ill.cause] += 1
        if session(ill.pid) == process.pid:  # a process id may have found another owner
            with suppress(ProcessLookupError):
                os.kill(ill.pid, signal.SIGKILL)
        self._children.forget(ill.pid)
        process.send_signal(signal.SIGTERM)
        # The daemon itself would wait for the dead child, as long as shutdownGraceMillis.
        self._wait(
            LAST_WORDS_SECONDS_MAX,
            lambda: process.poll() is not None or not self._children.working(),
        )
        process.kill()

    def _hasten(self, process: subprocess.Popen[bytes]) -> bool:
        """Shorten the end of a daemon that nobody told to end; whether it is over.

        It ends when it meets a dead child, and waits for that one all the same. A child that had
        reported is found ill by then; of one that died before its first report only this tells.
        """

        def told() -> object:
            return process.poll() is not None or self._stop

        if self._wait(_TOLD_SECONDS, lambda: told() or self._children.ill()):
            return False
        _log.warning(
            "the KCL daemon ends by itself, most likely over a child that died before its first "
            "report; it is started anew when the others have made their last checkpoints"
        )
        self._wait(LAST_WORDS_SECONDS_MAX, lambda: told() or not self._children.working())
        if self._stop:
            return False
        process.kill()
        return True
