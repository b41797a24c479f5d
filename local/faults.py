"""Faults for a soak: which ones, drawn from a seed, and how they are done to real processes."""

import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Literal

import msgspec
import psutil

Kind = Literal["child", "daemon", "worker for good", "freeze", "stop search", "start search"]
KILLS = frozenset({"child", "daemon", "worker for good"})

_CHILD_SHARE = 0.6
_AT_ONCE_SHARE = 0.25
_DELAY_SECONDS_MAX = 1.5
_RECOVERING_SECONDS_MAX = 8.0
_FROZEN_SECONDS = (9.0, 16.0)
"""Longer than a lease lasts without being renewed, so that the other worker takes it."""
_OUTAGE_KILLS_MAX = 3
_KIND_OF = {"MultiLangDaemon": "daemon", "consumer.child": "child"}


class Fault(msgspec.Struct, frozen=True):
    """One fault: what, to which worker, and when.

    It waits for `commits` checkpoints after the fault before it (none: it meets whatever is going
    on, most often a recovery) and then for `seconds`, which of a freeze say how long it lasts.
    `pick` chooses among several processes.
    """

    kind: Kind
    worker: int
    commits: int
    seconds: float
    pick: int


class Injected(msgspec.Struct, frozen=True):
    """What was done, and when: `at` is epoch milliseconds, `seconds` counts from the start."""

    kind: Kind
    at: int
    seconds: float
    worker: int
    pids: tuple[int, ...]
    documents: int
    """How many were in the index; -1 where it could not be asked."""


def plan(
    seed: int, *, kills: int, workers: int, outages: int, freezes: int = 0, commits_max: int = 3
) -> list[Fault]:
    """The same arguments give the same faults, in the same order, with the same waits.

    One worker, if there are two or more, is killed for good after three fifths of the kills, which
    counts as one of them; before it, workers freeze and come to again. Outages of the index lie
    apart, with up to three kills inside. `commits_max` bounds the checkpoints between two kills.
    """
    random = Random(f"{seed} faults")
    gone_at = kills * 3 // 5 if workers > 1 and kills > 1 else None
    frozen_at = [(gone_at or 0) * number // (freezes + 1) for number in range(1, freezes + 1)]
    starts = {kills * number // (outages + 1) for number in range(1, outages + 1)}
    ends: set[int] = set()
    faults: list[Fault] = []
    alive = list(range(workers))
    for number in range(kills):
        if number in starts:
            faults.append(_fault(random, "stop search", 0, commits_max))
            room = max(1, kills // (outages + 1) - 1)
            ends.add(number + random.randint(1, min(_OUTAGE_KILLS_MAX, room)))
        if gone_at:
            faults += [_freeze(random, workers) for at in frozen_at if at == number]
        if number == gone_at:
            worker = alive.pop(random.randrange(len(alive)))
            faults.append(_fault(random, "worker for good", worker, commits_max))
        else:
            kind: Kind = "child" if random.random() < _CHILD_SHARE else "daemon"
            faults.append(_fault(random, kind, random.choice(alive), commits_max))
        if number + 1 in ends:
            faults.append(_fault(random, "start search", 0, commits_max))
            ends.remove(number + 1)
    faults += [_fault(random, "start search", 0, commits_max) for _ in ends]
    return faults


def _fault(random: Random, kind: Kind, worker: int, commits_max: int) -> Fault:
    at_once = random.random() < _AT_ONCE_SHARE
    return Fault(
        kind,
        worker,
        0 if at_once else random.randint(1, commits_max),
        random.uniform(0, _RECOVERING_SECONDS_MAX if at_once else _DELAY_SECONDS_MAX),
        random.randrange(2**16),
    )


def _freeze(random: Random, workers: int) -> Fault:
    """It begins behind the next checkpoint; its seconds are how long it lasts."""
    return Fault("freeze", random.randrange(workers), 1, random.uniform(*_FROZEN_SECONDS), 0)


def processes(pid: int, kind: str) -> list[psutil.Process]:
    """The processes of `kind` (daemon, child) below the supervisor `pid`, oldest first."""
    found = []
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            if _kind(process) == kind:
                found.append(process)
    return sorted(found, key=lambda process: (process.create_time(), process.pid))


def kinds(pid: int) -> Iterator[tuple[str, psutil.Process]]:
    """The worker's processes by kind: supervisor, daemon, child."""
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            kind = "supervisor" if process.pid == pid else _kind(process)
            if kind is not None:
                yield kind, process


def kill(process: psutil.Process) -> None:
    """SIGKILL; it may be gone already. psutil sees to it that its number was not given anew."""
    with suppress(psutil.NoSuchProcess):
        process.send_signal(signal.SIGKILL)


def kill_worker(pid: int) -> tuple[int, ...]:
    """The machine's end: supervisor, daemon and children within a moment. Their process ids."""
    everything = [process for _, process in kinds(pid)]
    for process in everything:  # the supervisor first, so that it restarts nothing
        kill(process)
    return tuple(process.pid for process in everything)


def freeze_worker(pid: int, seconds: float) -> tuple[int, ...]:
    """A machine that hangs: nothing of the worker runs for so long, and then all of it goes on."""
    everything = [process for _, process in kinds(pid)]
    for number in (signal.SIGSTOP, signal.SIGCONT):
        for process in everything:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        if number == signal.SIGSTOP:
            time.sleep(seconds)
    return tuple(process.pid for process in everything)


def now_millis() -> int:
    """The clock that the queue's times are compared with."""
    return time.time_ns() // 1_000_000


def _tree(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    return []


def _kind(process: psutil.Process) -> str | None:
    command = " ".join(process.cmdline())
    # The tether, and the shell that becomes the child, name what they are about to be.
    program = Path(process.exe()).name if command else ""
    if "consumer.tether" in command or program in {"sh", "dash", "bash", "env"}:
        return None
    return next((kind for name, kind in _KIND_OF.items() if name in command), None)
