"""Answers shared by everyone who asks within a second, so that viewers do not multiply the load."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Shared(Generic[T]):
    """Keeps the outcome of `make` per key for `seconds`; one call per key runs at a time.

    A failure is an outcome too: while OpenSearch is away, a hundred viewers ask it once a second,
    not a hundred times. At most `keys_max` keys are kept, the longest unused forgotten first.
    `clock` counts seconds and never goes back.
    """

    def __init__(self, seconds: float, keys_max: int, clock: Callable[[], float]) -> None:
        self._seconds = seconds
        self._keys_max = keys_max
        self._clock = clock
        self._entries: OrderedDict[str, tuple[float, asyncio.Future[T]]] = OrderedDict()

    async def get(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """The outcome for `key`, made now or less than `seconds` after the last was ready."""
        entry = self._entries.get(key)
        if entry is None or (entry[1].done() and self._clock() >= entry[0]):
            entry = (self._clock(), asyncio.ensure_future(self._run(key, make)))
            self._entries[key] = entry
            while len(self._entries) > self._keys_max:
                self._entries.popitem(last=False)
        self._entries.move_to_end(key)
        return await asyncio.shield(entry[1])

    async def _run(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        try:
            return await make()
        finally:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries[key] = (self._clock() + self._seconds, entry[1])
