"""What the supervisor knows of its children: their last reports, their totals, and who is ill."""

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from consumer.heartbeat import Bounds, Cause, judge
from consumer.telemetry import HALTED, Report, Totals

CHILDREN_MAX = 1_024
"""Children, and shards with totals, that are known at a time; what comes later is not counted."""
_GONE_SECONDS = 0.5
"""A child that is gone may have said goodbye in a report that is still to be read."""
_PAUSE_SECONDS = 10.0
"""A supervisor that was stopped for longer has itself not listened, and begins to wait anew."""
UNKNOWN = "unknown"
"""What a child is called that was not told its shard yet."""


class Child(msgspec.Struct):
    """One child as it last told of itself."""

    report: Report
    received_at: float
    gone_since: float | None = None


class Ill(msgspec.Struct, frozen=True):
    """A child that must be replaced, and why, in words for the log."""

    pid: int
    shard_id: str
    cause: Cause
    what: str


class Shard(msgspec.Struct):
    """One shard: its totals over all children that it had, and the one that has it now, if any."""

    totals: Totals
    child: Child | None = None


class Children:
    """The daemon's children by process id. Every method may be called from any thread.

    Ages are judged between reports too: what a report said, plus the time since it came.
    `session_of` gives a process's session, None where it has ended.
    """

    def __init__(
        self,
        bounds: Bounds,
        *,
        clock: Callable[[], float] = time.monotonic,
        session_of: Callable[[int], int | None] | None = None,
    ) -> None:
        self.clock = clock
        self._bounds = bounds
        self._session_of = session_of or session
        self._lock = threading.Lock()
        self._session: int | None = None
        self._known: dict[int, Child] = {}
        self._ended: dict[str, Totals] = {}
        self._judged_at = clock()
        self._listening_since = clock()
        self._decoder = msgspec.msgpack.Decoder(Report)

    def follow(self, daemon: int | None) -> None:
        """From now on children are those of this daemon, which leads a session; None: it ended."""
        with self._lock:
            for child in self._known.values():
                self._fold(child)
            self._known = {}
            self._session = daemon

    def receive(self, data: bytes) -> None:
        """Take in one datagram; what is no report, or not of a child of ours, is passed over."""
        try:
            report = self._decoder.decode(data)
        except msgspec.DecodeError:
            return
        with self._lock:
            known = self._known.get(report.pid)
            if known is None:
                ours = self._session is not None and self._session_of(report.pid) == self._session
                if not ours or len(self._known) >= CHILDREN_MAX:
                    return
            elif known.report.sequence >= report.sequence:
                return
            child = Child(report, self.clock())
            self._known[report.pid] = child
            if report.ended is not None:
                self._fold(self._known.pop(report.pid))

    def living(self) -> list[Child]:
        """The children that have neither said goodbye nor are gone."""
        with self._lock:
            known = list(self._known.values())
        return [child for child in known if self._runs(child.report.pid)]

    def working(self) -> list[Child]:
        """Those of them that may still commit something."""
        return [child for child in self.living() if child.report.doing != HALTED]

    def known(self) -> list[Child]:
        """The children that have not said goodbye, by shard."""
        with self._lock:
            return sorted(self._known.values(), key=lambda child: shard_of(child.report))

    def shards(self) -> dict[str, Shard]:
        """Every shard that this supervisor's children have had, with what they did in all.

        A child that does not know its shard yet has done nothing, and is left out.
        """
        with self._lock:
            found = {name: Shard(added(Totals(), totals)) for name, totals in self._ended.items()}
            for child in self._known.values():
                if child.report.shard_id is None:
                    continue
                shard = found.setdefault(child.report.shard_id, Shard(Totals()))
                shard.totals = added(shard.totals, child.report.totals)
                # Where two are known the one that heard of the shard last has it.
                if shard.child is None or shard.child.received_at <= child.received_at:
                    shard.child = child
            return dict(sorted(found.items()))

    def ill(self) -> Ill | None:
        """The first child that must be replaced, if any; asked again and again, in short turns."""
        now = self.clock()
        with self._lock:
            if now - self._judged_at > _PAUSE_SECONDS:
                self._listening_since = now
            self._judged_at = now
            verdicts = [(child.report, self._judge(child, now)) for child in self._known.values()]
        for report, verdict in verdicts:
            if verdict is not None:
                return Ill(report.pid, shard_of(report), *verdict)
        return None

    def forget(self, pid: int) -> None:
        """The child is known to be gone; its totals stay."""
        with self._lock:
            child = self._known.pop(pid, None)
            if child is not None:
                self._fold(child)

    def _judge(self, child: Child, now: float) -> tuple[Cause, str] | None:
        report = child.report
        if not self._runs(report.pid):
            if child.gone_since is None:
                child.gone_since = now
            if now - child.gone_since >= _GONE_SECONDS:
                return "died", "ended without a goodbye"
            return None
        since = now - max(child.received_at, self._listening_since)
        return judge(report, since, self._bounds)

    def _runs(self, pid: int) -> bool:
        return self._session is not None and self._session_of(pid) == self._session

    def _fold(self, child: Child) -> None:
        shard_id = child.report.shard_id
        if shard_id is not None and (shard_id in self._ended or len(self._ended) < CHILDREN_MAX):
            before = self._ended.get(shard_id, Totals())
            self._ended[shard_id] = added(before, child.report.totals)


def shard_of(report: Report) -> str:
    """The name of the report's shard."""
    return report.shard_id or UNKNOWN


def added(one: Totals, other: Totals) -> Totals:
    """The sum of both, as a new value."""
    total = Totals()
    for name in Totals.__struct_fields__:
        left, right = getattr(one, name), getattr(other, name)
        if isinstance(left, dict):
            both = {key: left.get(key, 0) + right.get(key, 0) for key in [*left, *right]}
            setattr(total, name, both)
        else:
            setattr(total, name, left + right)
    return total


def session(pid: int) -> int | None:
    """The session of a running process; None where it has ended, be it not yet waited for."""
    try:
        found = os.getsid(pid)
    except ProcessLookupError:
        return None
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return found  # not Linux, where getsid() has to do; or it ended this moment
    return None if state in {"Z", "X"} else found
