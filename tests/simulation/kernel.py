"""Simulated time, processes and threads: one runs at a time, and the seed says which.

Every thread is a greenlet. It gives way only where it waits: in a call to a service, at an event, a
condition, a queue. Who goes on next follows from how long each wait takes, which the seeded random
numbers say. So a schedule is one, however often it is run.
"""

import heapq
import queue
import random
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any, Self

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


class _Waiters:
    def __init__(self) -> None:
        self._tasks: list[Task] = []

    def wait(self, timeout: float | None) -> None:
        task = getcurrent()
        assert isinstance(task, Task)
        self._tasks.append(task)
        try:
            kernel().wait(timeout)
        finally:
            if task in self._tasks:
                self._tasks.remove(task)

    def wake(self) -> None:
        for task in self._tasks:
            kernel().wake(task)


class Event:
    """threading.Event."""

    def __init__(self) -> None:
        self._set = False
        self._waiters = _Waiters()

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        self._waiters.wake()

    def clear(self) -> None:
        self._set = False

    def wait(self, timeout: float | None = None) -> bool:
        deadline = None if timeout is None else kernel().seconds + timeout
        while not self._set:
            left = None if deadline is None else deadline - kernel().seconds
            if left is not None and left <= 0:
                break
            self._waiters.wait(left)
        return self._set


class Condition:
    """threading.Condition; nobody else runs while it is held, so holding it is nothing."""

    def __init__(self) -> None:
        self._waiters = _Waiters()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def wait(self, timeout: float | None = None) -> None:
        self._waiters.wait(timeout)

    def notify_all(self) -> None:
        self._waiters.wake()


class Thread:
    """threading.Thread."""

    def __init__(
        self,
        target: Callable[..., None],
        args: tuple[Any, ...] = (),
        **_: Any,
    ) -> None:
        self._target, self._args = target, args
        self._ended = Event()
        self._task: Task | None = None

    def start(self) -> None:
        self._task = kernel().spawn(here(), self._run)

    def _run(self) -> None:
        try:
            self._target(*self._args)
        finally:
            self._ended.set()

    def join(self, timeout: float | None = None) -> None:
        self._ended.wait(timeout)


class Queue:
    """queue.Queue."""

    def __init__(self, maxsize: int = 0) -> None:
        self._maxsize = maxsize
        self._items: list[Any] = []
        self._waiters = _Waiters()

    def __class_getitem__(cls, _: object) -> "type[Queue]":
        return cls

    def put_nowait(self, item: Any) -> None:
        if self._maxsize and len(self._items) >= self._maxsize:
            raise queue.Full
        self._items.append(item)
        self._waiters.wake()

    def get(self, timeout: float | None = None) -> Any:
        deadline = None if timeout is None else kernel().seconds + timeout
        while not self._items:
            left = None if deadline is None else deadline - kernel().seconds
            if left is not None and left <= 0:
                raise queue.Empty
            self._waiters.wait(left)
        return self._items.pop(0)

    def get_nowait(self) -> Any:
        if not self._items:
            raise queue.Empty
        return self._items.pop(0)


class _Future:
    """concurrent.futures.Future of a call in a thread of its own."""

    def __init__(self, call: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._call, self._args = call, args
        self._ended = Event()
        self._result: Any = None
        self._error: Exception | None = None
        self.listeners: list[_Waiters] = []
        kernel().spawn(here(), self._run)

    def _run(self) -> None:
        try:
            self._result = self._call(*self._args)
        except Exception as error:  # noqa: BLE001 -- raised where the result is asked for
            self._error = error
        self._ended.set()
        for listener in self.listeners:
            listener.wake()

    def exception(self) -> Exception | None:
        self._ended.wait()
        return self._error

    def result(self) -> Any:
        self._ended.wait()
        if self._error is not None:
            raise self._error
        return self._result

    def done(self) -> bool:
        return self._ended.is_set()


class ThreadPoolExecutor:
    """concurrent.futures.ThreadPoolExecutor; every call has a thread at once."""

    def __init__(self, _: int, **__: Any) -> None:
        self._futures: list[_Future] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if kind is not Killed:
            for future in self._futures:
                future.exception()

    def submit(self, call: Callable[..., Any], *args: Any) -> _Future:
        future = _Future(call, args)
        self._futures.append(future)
        return future

    def map(self, call: Callable[..., Any], *lists: Any) -> Any:
        futures = [self.submit(call, *args) for args in zip(*lists, strict=False)]
        return iter([future.result() for future in futures])


def as_completed(futures: list[_Future]) -> Any:
    """concurrent.futures.as_completed."""
    left, ends = list(futures), _Waiters()
    for future in left:
        future.listeners.append(ends)
    while left:
        ended = next((future for future in left if future.done()), None)
        if ended is None:
            ends.wait(None)
        else:
            left.remove(ended)
            yield ended


threading = SimpleNamespace(Event=Event, Condition=Condition, Thread=Thread)
queues = SimpleNamespace(Queue=Queue, Empty=queue.Empty, Full=queue.Full)


class Random:
    """The module `random`, as far as the product asks it."""

    @staticmethod
    def uniform(low: float, high: float) -> float:
        return kernel().random.uniform(low, high)
