"""Reports as children send them, for who takes them in."""

from typing import Any

import msgspec

from consumer.telemetry import Report, Totals


class Clock:
    """A clock that tests move by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def report(**more: Any) -> Report:
    """A report of a healthy child at work, with what `more` says otherwise."""
    said: dict[str, Any] = {
        "pid": 7,
        "sequence": 1,
        "shard_id": "shardId-0",
        "doing": "records",
        "beat_age": 0.0,
        "progress_age": 0.0,
        "commit_age": None,
        "checkpoint_age": None,
        "position": None,
        "lag_seconds": None,
        "lag_age": 0.0,
        "waiting_for": None,
        "resident_bytes": 0,
        "last": None,
        "totals": Totals(),
    }
    return Report(**said | more)


def datagram(**more: Any) -> bytes:
    """The same, as it comes in."""
    return msgspec.msgpack.encode(report(**more))
