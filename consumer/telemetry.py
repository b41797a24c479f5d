"""The child's side of metrics and heartbeat: what it says of itself to its supervisor.

A thread of its own sends one small datagram a second, and one more at each commit. A datagram says
everything (totals since the process began, not differences), so one that is lost loses nothing. It
is never waited for: where the supervisor does not read, the report is dropped and counted.

Because the thread reports whatever the main one does, silence means that the process is stopped or
gone, and the age of the main thread's last beat means that it hangs. A child that waits for a
service goes on beating, and is left alone.
"""

import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

SOCKET_VARIABLE = "TILLWATCH_TELEMETRY_SOCKET"
REPORT_BYTES_MAX = 32_768
"""Bytes of one report; `LABELS_MAX` and `LABEL_BYTES_MAX` keep it below."""
LABELS_MAX = 64
"""Reasons of rejections (with their stage), and services, that are counted apart."""
LABEL_BYTES_MAX = 100
REPORT_SECONDS = 1.0
_BYE_SECONDS_MAX = 1.0
WAITING_SECONDS = 120.0
"""More than lies between two tries: a pause, and a request that is not answered."""
OTHER = "other"
"""What is counted here came after `LABELS_MAX` others."""

STARTING = "starting"
RESTORING = "restoring"
"""`beat(RESTORING)`: reading the snapshot, which takes as long as the store needs."""
LISTENING = "listening"
"""`beat(LISTENING)`: waiting for the daemon, which takes as long as the stream is silent."""
HALTED = "halted"
"""`beat(HALTED)`: standing still over an error that a person has to see to."""


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """What one commit did, and what the shard holds behind it. Bytes, seconds, numbers of."""

    position: str
    records: int = 0
    record_bytes: int = 0
    transactions: int = 0
    refunds: int = 0
    pages: int = 0
    rejections: Mapping[str, int] = {}
    """By stage and reason, as `stage/reason`; the sinks' own included."""
    repeated: int = 0
    late: int = 0
    hours_published: int = 0
    seconds: float = 0.0
    """The whole commit."""
    snapshot_bytes: int = 0
    snapshot_seconds: float = 0.0
    hours_open: int = 0
    parts_staged: int = 0
    pages_waiting: int = 0


class Totals(msgspec.Struct):
    """What a child has done since it began. Only ever grows."""

    commits: int = 0
    records: int = 0
    record_bytes: int = 0
    transactions: int = 0
    refunds: int = 0
    pages: int = 0
    repeated: int = 0
    late: int = 0
    hours_published: int = 0
    commit_seconds: float = 0.0
    snapshot_bytes: int = 0
    snapshot_seconds: float = 0.0
    reports_dropped: int = 0
    rejections: dict[str, int] = {}
    retries: dict[str, int] = {}


class Report(msgspec.Struct):
    """One datagram. Ages are seconds at the moment of sending."""

    pid: int
    sequence: int
    shard_id: str | None
    doing: str
    beat_age: float
    progress_age: float
    """Since a commit, a service's answer or a new try."""
    commit_age: float | None
    """Since the commit on its way began, or None."""
    checkpoint_age: float | None
    """Since the last checkpoint of this process, or None."""
    position: str | None
    lag_seconds: float | None
    lag_age: float
    waiting_for: str | None
    resident_bytes: int
    last: Commit | None
    totals: Totals
    ended: str | None = None
    """Why the child says goodbye; its end is then nothing to be mended."""


class Telemetry:
    """What one child tells of itself. Every method may be called from any thread, and never waits.

    Without a supervisor (`path` None) it sends nothing.
    """

    def __init__(self, path: str | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._sending = threading.Lock()
        self._socket: socket.socket | None = None
        self._closed = threading.Event()
        self._sequence = 0
        now = clock()
        # Replaced whole, so that a reader without the lock sees one moment.
        self._beat = (STARTING, now)
        self._progress_at = now
        self._lag: tuple[float | None, float] = (None, now)
        self._shard_id: str | None = None
        self._position: str | None = None
        self._commit_began: float | None = None
        self._checkpoint_at: float | None = None
        self._waiting: tuple[str | None, float] = (None, now)
        self._last: Commit | None = None
        self._pages_waiting: Callable[[], int] | None = None
        self._ended: str | None = None
        self._totals = Totals()
        self._rejections: Counter[str] = Counter()
        self._retries: Counter[str] = Counter()

    @classmethod
    def of_this_process(cls) -> "Telemetry":
        """To the supervisor that started this process, where there is one; reports from now on."""
        telemetry = cls(os.environ.get(SOCKET_VARIABLE))
        telemetry.start()
        return telemetry

    def start(self) -> None:
        """Report once a second from now on, until `bye`."""
        if self._path is None or self._socket is not None:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
        threading.Thread(target=self._run, name="telemetry", daemon=True).start()

    @property
    def heard(self) -> bool:
        """Whether there is a supervisor to report to."""
        return self._path is not None

    # -- the main thread --------------------------------------------------------------------------

    def took(self, shard_id: str, position: str | None) -> None:
        """The shard is known, and where it goes on from; called at the daemon's first action."""
        self._shard_id = shard_id
        self._position = position
        self.progress()

    def beat(self, doing: str) -> None:
        """The main thread lives; called at every action, and again and again while it waits.

        `LISTENING` goes before each wait for the daemon's next action, `RESTORING` before the
        snapshot is read; anything else is work, in a few words, which must beat again within
        TILLWATCH_HEARTBEAT_SECONDS_MAX. Costs less than a microsecond.
        """
        self._beat = (doing, self._clock())

    def lag(self, behind_millis: int | None) -> None:
        """How far behind the tip the daemon says the shard is; called for each of its actions."""
        if behind_millis is not None:
            self._lag = (behind_millis / 1_000, self._clock())

    def bye(self, why: str) -> None:
        """The last word of a child that ends as it should: given back, lease lost, shard ended.

        One that ends without it died, and is replaced. The one call that may wait, a second at
        most: this report must not be dropped.
        """
        self._closed.set()
        self._ended = _label(why)
        with self._sending:
            if self._socket is not None:
                self._socket.settimeout(_BYE_SECONDS_MAX)
                self._send(self._socket)
                self._socket.close()
                self._socket = None

    # -- the committing thread --------------------------------------------------------------------

    def commit_began(self) -> None:
        """A commit is on its way; it must go forward (`progress`) until `committed`."""
        self.progress()
        self._commit_began = self._clock()

    def committed(self, commit: Commit) -> None:
        """The commit is through, its checkpoint accepted."""
        with self._lock:
            totals = self._totals
            totals.commits += 1
            totals.records += commit.records
            totals.record_bytes += commit.record_bytes
            totals.transactions += commit.transactions
            totals.refunds += commit.refunds
            totals.pages += commit.pages
            totals.repeated += commit.repeated
            totals.late += commit.late
            totals.hours_published += commit.hours_published
            totals.commit_seconds += commit.seconds
            totals.snapshot_bytes += commit.snapshot_bytes
            totals.snapshot_seconds += commit.snapshot_seconds
            for reason, number in commit.rejections.items():
                _count(self._rejections, reason, number)
            self._last = msgspec.structs.replace(commit, rejections={})
            self._position = commit.position
            self._commit_began = None
            self._waiting = (None, 0.0)
            self._checkpoint_at = self._clock()
        self.progress()
        self.send()

    # -- anywhere ---------------------------------------------------------------------------------

    def progress(self) -> None:
        """Something went forward: a service answered, a step was done."""
        self._progress_at = self._clock()

    def count_retry(self, service: str) -> None:
        """A service did not take something, and is tried again: what sinks call (`count_retry`)."""
        with self._lock:
            self._waiting = (_count(self._retries, service, 1), self._clock())
        self.progress()

    def count_aside(self, service: str) -> None:
        """As `count_retry`, where the commit does not wait for it: it is no progress of one."""
        with self._lock:
            _count(self._retries, service, 1)

    def watch_pages(self, waiting: Callable[[], int]) -> None:
        """Where to ask how many pages wait for their topic: they go out between commits."""
        self._pages_waiting = waiting

    def waiting(self, service: str | None) -> None:
        """Which service the shard waits for; None when it does not.

        A commit clears it, and so does time: a service that was not tried again has answered.
        """
        self._waiting = (None if service is None else _label(service), self._clock())

    # -- sending ----------------------------------------------------------------------------------

    def report(self) -> Report:
        """Everything that there is to say now."""
        with self._lock:
            now = self._clock()
            doing, beat_at = self._beat
            lag_seconds, lag_at = self._lag
            waiting_for, waiting_at = self._waiting
            self._sequence += 1
            began, checkpointed = self._commit_began, self._checkpoint_at
            totals = msgspec.structs.replace(
                self._totals,
                rejections=dict(self._rejections),
                retries=dict(self._retries),
            )
            return Report(
                pid=os.getpid(),
                sequence=self._sequence,
                shard_id=self._shard_id,
                doing=_label(doing),
                beat_age=now - beat_at,
                progress_age=now - self._progress_at,
                commit_age=None if began is None else now - began,
                checkpoint_age=None if checkpointed is None else now - checkpointed,
                position=self._position,
                lag_seconds=lag_seconds,
                lag_age=now - lag_at,
                waiting_for=waiting_for if now - waiting_at < WAITING_SECONDS else None,
                resident_bytes=_resident_bytes(),
                last=self._last_now(),
                totals=totals,
                ended=self._ended,
            )

    def _last_now(self) -> Commit | None:
        if self._last is None or self._pages_waiting is None:
            return self._last
        return msgspec.structs.replace(self._last, pages_waiting=self._pages_waiting())

    def send(self) -> None:
        """Send a report now; drops it rather than wait."""
        with self._sending:
            if self._socket is not None:
                self._send(self._socket)

    def _send(self, sender: socket.socket) -> None:
        try:
            sender.sendto(msgspec.msgpack.encode(self.report()), self._path or "")
        except OSError:
            with self._lock:
                self._totals.reports_dropped += 1

    def _run(self) -> None:
        self.send()
        while not self._closed.wait(REPORT_SECONDS):
            self.send()


def _count(counted: Counter[str], text: str, number: int) -> str:
    """Count under `text`, or under `OTHER` once there are `LABELS_MAX`; under which."""
    label = _label(text)
    if label not in counted and len(counted) >= LABELS_MAX:
        label = OTHER
    counted[label] += number
    return label


def _label(text: str) -> str:
    return text.encode(errors="replace")[:LABEL_BYTES_MAX].decode(errors="ignore")


def _resident_bytes() -> int:
    """What this process holds in memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")
