"""What the supervisor knows of itself and its daemon, and what follows for health."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from consumer.children import UNKNOWN, Children
from consumer.heartbeat import Bounds, Cause, judge
from consumer.telemetry import HALTED, RESTORING, STARTING

TURN_SECONDS_MAX = 30.0
"""The supervisor's loop turns several times a second; one that has not for so long hangs."""
BEAT_LATE_SECONDS = 10.0
"""Children say something once a second; one that has not for so long is not ready."""
FIRST_SHARD_SECONDS = 120.0
"""How long a daemon may take to get its first shard. Later, others may hold them all: ready."""


class Vitals:
    """Written by the supervisor's loop, read by whoever asks for health and metrics."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.bounds = bounds
        self.turned_at = clock()
        self.stopping = False
        self.daemon_pid: int | None = None
        self.daemon_since = clock()
        self.daemon_starts = 0
        self.replaced: Counter[Cause] = Counter()

    def turn(self) -> None:
        """The supervisor's loop goes round."""
        self.turned_at = self.clock()

    def daemon_started(self, pid: int) -> None:
        """A daemon was started."""
        self.daemon_pid = pid
        self.daemon_since = self.clock()
        self.daemon_starts += 1

    def daemon_ended(self) -> None:
        """It is gone, with its children."""
        self.daemon_pid = None
        self.daemon_since = self.clock()

    def lives(self) -> tuple[bool, dict[str, Any]]:
        """Whether the supervisor's loop turns; a false one is to be killed and started anew."""
        age = self.clock() - self.turned_at
        return age <= TURN_SECONDS_MAX, {"loop_age_seconds": round(age, 3)}

    def ready(self, children: Children) -> tuple[bool, dict[str, Any]]:
        """Whether the daemon runs and every child beats; what is amiss is listed under `why`."""
        now = self.clock()
        why = []
        if self.stopping:
            why.append("the worker was told to stop")
        elif self.daemon_pid is None:
            why.append("the daemon is not running")
        known = children.known()
        if not known and now - self.daemon_since < FIRST_SHARD_SECONDS:
            why.append("no shard yet")
        shards = {}
        for child in known:
            report, since = child.report, now - child.received_at
            name = report.shard_id or f"{UNKNOWN} ({report.pid})"
            verdict = judge(report, since, self.bounds)
            if child.gone_since is not None:
                why.append(f"{name}: its process ended")
            elif verdict is not None:
                why.append(f"{name}: {verdict[1]}")
            elif since > BEAT_LATE_SECONDS:
                why.append(f"{name}: has said nothing for {since:.0f} s")
            elif report.doing in {STARTING, RESTORING, HALTED}:
                why.append(f"{name}: {report.doing}")
            shards[name] = {
                "pid": report.pid,
                "doing": report.doing,
                "beat_age_seconds": round(report.beat_age + since, 3),
                "waiting_for": report.waiting_for,
                "position": report.position,
            }
        body = {
            "ready": not why,
            "why": why,
            "daemon": {"pid": self.daemon_pid, "starts": self.daemon_starts},
            "shards": shards,
        }
        return not why, body
