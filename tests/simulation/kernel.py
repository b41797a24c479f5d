"""Simulated time, processes and threads: one runs at a time, and the seed says which.

Every thread is a greenlet. It gives way only where it waits: in a call to a service, at an event, a
condition, a queue. Who goes on next follows from how long each wait takes, which the seeded random
numbers say. So a schedule is one, however often it is run.
"""

import heapq
import random
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

SECOND = 1_000_000
STEPS_MAX = 400_000
"""A schedule that takes more steps than this has no end."""


class Killed(BaseException):
    """The process was killed; nothing that it does on its way out counts."""


class Process:
    """What dies at once and stands still at once."""

    def __init__(self, kernel: "Kernel", name: str) -> None:
        self.kernel = kernel
        self.name = name
        self.dead = False
        self.frozen_until = 0
        self.tasks: list[Task] = []
        self.at_death: list[Callable[[], None]] = []
        self.attributes: dict[str, Any] = {}

    def kill(self, why: str) -> None:
        """End it where it stands; the one that calls goes on, unless it is this one's."""
        if self.dead:
            return
        self.kernel.trace(f"{self.name} dies: {why}")
        self.dead = True
        for task in self.tasks:
            if not task.dead:
                self.kernel.wake(task)
        for call in self.at_death:
            call()
        if self.kernel.current_process is self:
            raise Killed


class Task(greenlet):
    """One thread of a process."""

    process: Process
    token = 0
    error: BaseException | None = None


class Kernel:
    """The clock, and the list of who goes on when."""

    def __init__(self, seed: int, tracing: Callable[[str], None] | None = None) -> None:
        self.random = random.Random(seed)
        self.now = 0
        self.steps = 0
        self._tracing = tracing
        self._order = 0
        self._heap: list[tuple[int, int, Task, int]] = []
        self._hub = getcurrent()

    @property
    def seconds(self) -> float:
        return self.now / SECOND

    @property
    def current_process(self) -> Process | None:
        return getattr(getcurrent(), "process", None)

    def trace(self, text: str) -> None:
        if self._tracing is not None:
            process = self.current_process
            name = process.name if process else "-"
            self._tracing(f"{self.now / SECOND:10.3f}  {name:<14} {text}")

    @property
    def tracing(self) -> bool:
        return self._tracing is not None

    def spawn(self, process: Process, body: Callable[[], None]) -> Task:
        """A new thread of `process`, which begins soon."""

        def run() -> None:
            try:
                if not process.dead:
                    body()
            except Killed:
                pass
            except BaseException as error:  # noqa: BLE001 -- looked at by who spawned it
                task.error = error
            for call in task.__dict__.pop("at_end", ()):
                call()

        task = Task(run, self._hub)
        task.process = process
        process.tasks.append(task)
        self._push(self.now, task)
        return task

    def _push(self, when: int, task: Task) -> None:
        self._order += 1
        heapq.heappush(self._heap, (when, self._order, task, task.token))

    def wake(self, task: Task) -> None:
        """Let a task that waits go on now."""
        self._push(self.now, task)

    def wait(self, seconds: float | None) -> None:
        """Give way until `wake`, or until so much time has gone."""
        task = getcurrent()
        assert isinstance(task, Task)
        if task.process.dead:
            raise Killed
        task.token += 1
        if seconds is not None:
            self._push(self.now + max(int(seconds * SECOND), 1), task)
        self._hub.switch()
        task.token += 1
        if task.process.dead:
            raise Killed

    def run(self, until: Callable[[], bool]) -> None:
        """Go on until `until` holds, which is looked at behind every step."""
        while not until():
            if not self._heap:
                raise RuntimeError("everybody waits, and nobody comes")
            self.step()

    def step(self) -> None:
        """The next one goes on."""
        when, _, task, token = heapq.heappop(self._heap)
        if task.dead or task.token != token:
            return
        process = task.process
        if process.frozen_until > when and not process.dead:
            self._push(process.frozen_until, task)
            return
        self.now = max(self.now, when)
        self.steps += 1
        if self.steps > STEPS_MAX:
            raise RuntimeError(f"no end after {STEPS_MAX:,} steps")
        task.switch()


_kernel: Kernel | None = None


def use(kernel: Kernel | None) -> None:
    """Let what stands in for the standard library belong to `kernel`."""
    global _kernel  # noqa: PLW0603 -- the modules under test have one standard library, too
    _kernel = kernel


def kernel() -> Kernel:
    assert _kernel is not None
    return _kernel


def here() -> Process:
    """The process that runs now."""
    process = kernel().current_process
    assert process is not None
    return process
