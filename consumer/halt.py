"""A shard that must not go on stands still and says so, while its worker's other shards go on.

Some errors come again whenever the shard is taken up again, until a person has looked: a snapshot
that cannot be used, staged parts that are gone, too large a share of rejects, a service that
refuses everything. To end the process over them would end the daemon
with all its shards, again and again, until the worker gives up, or move the trouble to the next
worker. So the process stays, does nothing, and beats as halted; it takes no further action, so the
daemon waits, and no checkpoint moves. After `HALTED_SECONDS` it ends after all, and is
replaced: what a person has mended by then goes on by itself.
"""

import logging
import time
from collections.abc import Callable

from anomaly.state import StateError
from consumer.reject_share import TooManyRejected
from consumer.snapshot import SnapshotError
from consumer.telemetry import HALTED, Telemetry
from sinks.opensearch import EverythingRefused
from sinks.parquet import PiecesLost

_log = logging.getLogger("tillwatch.halt")
HALTED_SECONDS = 300.0
"""Longer than a daemon has to run for its start to count as a good one."""
_POLL_SECONDS = 0.5
_HALTING = (SnapshotError, StateError, TooManyRejected, PiecesLost, EverythingRefused)


def halt(
    error: BaseException,
    telemetry: Telemetry,
    orphaned: Callable[[], bool],
    *,
    seconds: float = HALTED_SECONDS,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Stand still over an error that would come again; returns when the process is to end.

    Returns at once, and False, where trying again may help, and where no supervisor would show
    that the shard stands still.
    """
    if not isinstance(error, _HALTING) or not telemetry.heard:
        return False
    _log.critical(
        "halted: the shard stands still for %.0f s, and is then tried again; a person has to look",
        seconds,
    )
    telemetry.beat(HALTED)
    for _ in range(int(seconds / _POLL_SECONDS)):
        if orphaned():
            break
        sleep(_POLL_SECONDS)
    return True
