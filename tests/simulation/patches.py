"""What stands in for threads, chance and services while a schedule runs."""

import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest import mock

import msgspec
import tenacity.wait

import anomaly.forest
import consumer.checkpoint
import consumer.child
import consumer.committing
import consumer.listener
import consumer.outbox
import consumer.snapshot_history
import consumer.snapshots
import sinks.final_file
import sinks.parquet
from events.instant import HOUR
from sinks.object_store import ObjectStore
from sinks.rows import Rows
from tests.simulation import threads

Row = tuple[str, str, str, str, float | None]
"""Transaction, shop, shard, position, score."""


class NoGarbage:
    """Leaves the collector of the process that simulates alone."""

    def start(self) -> None:
        pass

    def after_batch(self) -> None:
        pass


SMALL_DETECTOR: list[tuple[Any, str, Any]] = [
    # The real detector, with a forest that is planted in no time and speaks up soon.
    (anomaly.forest, "TREES", 1),
    (anomaly.forest, "HEIGHT", 3),
    (anomaly.forest, "WINDOW", 8),
    (anomaly.forest, "SCORES_MIN", 4),
]

THREADS: list[tuple[Any, str, Any]] = [
    (consumer.committing, "threading", threads.threading),
    (consumer.committing, "queue", threads.queues),
    (consumer.outbox, "threading", threads.threading),
    (consumer.outbox, "random", threads.Random),
    (consumer.listener, "threading", threads.threading),
    (consumer.listener, "queue", threads.queues),
    (consumer.listener, "random", threads.Random),
    (consumer.checkpoint, "ThreadPoolExecutor", threads.ThreadPoolExecutor),
    (consumer.checkpoint, "as_completed", threads.as_completed),
    (consumer.snapshots, "ThreadPoolExecutor", threads.ThreadPoolExecutor),
    (consumer.snapshot_history, "ThreadPoolExecutor", threads.ThreadPoolExecutor),
    (sinks.parquet, "ThreadPoolExecutor", threads.ThreadPoolExecutor),
    (tenacity.wait, "random", threads.Random),
    (consumer.child, "Garbage", NoGarbage),
]


def _encoded(scored: Sequence[Any]) -> tuple[Rows, bytes]:
    by_hour: dict[int, list[Row]] = {}
    for item in scored:
        hour = item.transaction.occurred_at // HOUR * HOUR
        by_hour.setdefault(hour, []).append(
            (
                item.transaction.transaction_id,
                item.transaction.shop_id,
                item.position.shard_id,
                item.position.slug,
                None if item.score is None else item.score.value,
            )
        )
    hours = tuple(sorted(by_hour))
    groups = [by_hour[hour] for hour in hours]
    return Rows(None, hours, tuple(map(len, groups))), msgspec.msgpack.encode(groups)


def _merged(pieces: Sequence[tuple[str, int]], opened: Callable[[str], Any]) -> bytes:
    return msgspec.msgpack.encode([row for key, group in pieces for row in opened(key)[group]])


class _Parts:
    def __init__(self, store: ObjectStore, _: int) -> None:
        self._store = store

    def opened(self, key: str) -> Any:
        return msgspec.msgpack.decode(self._store.get(key))


LIGHT_ROWS: list[tuple[Any, str, Any]] = [
    # The real sink over a codec that takes no time; the account of pieces and files is the sink's.
    (sinks.parquet, "_encoded", _encoded),
    (sinks.parquet, "_Parts", _Parts),
    (sinks.parquet, "_give_back_memory", lambda: None),
    (sinks.final_file, "merged", _merged),
]


@contextlib.contextmanager
def patched(services: Callable[..., Any], *, parquet: bool) -> Iterator[None]:
    """Everything in place, and back again."""
    places = [*SMALL_DETECTOR, *THREADS, (consumer.child, "Services", services)]
    if not parquet:
        places += LIGHT_ROWS
    with contextlib.ExitStack() as stack:
        for owner, name, value in places:
            stack.enter_context(mock.patch.object(owner, name, value))
        logging.disable(logging.CRITICAL)
        stack.callback(logging.disable, logging.NOTSET)
        yield
