"""What stands in for threading, queue and concurrent.futures: all waits are the kernel's."""

import queue
from collections.abc import Callable
from types import SimpleNamespace, TracebackType
from typing import Any, Self

from greenlet import getcurrent

from tests.simulation.kernel import Killed, Task, here, kernel


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
