"""KCL's lease table as it stands: who holds a shard, and up to where it is committed."""

import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import msgspec

from consumer.snapshot import SHARD_END
from events.position import Position
from sinks.aws_errors import passes
from sinks.fence import FencedOff
from sinks.retry import WAIT_SECONDS_MAX, Retry
from sinks.sink import Stopped

STILL_SECONDS_MAX = 45.0
"""A lease whose counter stood still for so long has run out: several times KCL's failover time."""
_LOOK_SECONDS = 1.0


class LeaseRow(msgspec.Struct, frozen=True):
    """One shard's row. `counter` is what its holder counts on while it lives."""

    shard_id: str
    owner: str | None = None
    counter: int = 0
    checkpoint: str | None = None
    """A Position's slug, or SHARD_END; None where nothing was checkpointed yet."""

    @property
    def position(self) -> Position | None:
        """The checkpoint's Position; None for none and for the shard's end."""
        if self.checkpoint in {None, SHARD_END}:
            return None
        sequence, _, sub = str(self.checkpoint).partition("-")
        return Position(self.shard_id, sequence, int(sub))


class LeaseTable:
    """Reads `table` consistently, with backoff until `stop` is set. It never writes."""

    def __init__(
        self,
        client: Any,
        table: str,
        stop: threading.Event,
        *,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._table = table
        self._retry = Retry("dynamodb", stop, passes=passes, wait_seconds_max=wait_seconds_max)

    def rows(self) -> list[LeaseRow]:
        """Every shard's row, by shard id."""
        found: list[LeaseRow] = []
        more: dict[str, Any] = {}
        while True:
            answer = self._retry.call(
                partial(self._client.scan, TableName=self._table, ConsistentRead=True, **more)
            )
            found += [_row(item) for item in answer["Items"]]
            if "LastEvaluatedKey" not in answer:
                return sorted(found, key=lambda row: row.shard_id)
            more = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    def row(self, shard_id: str) -> LeaseRow | None:
        """The row of `shard_id`; None where KCL does not know the shard."""
        answer = self._retry.call(
            partial(
                self._client.get_item,
                TableName=self._table,
                Key={"leaseKey": {"S": shard_id}},
                ConsistentRead=True,
            )
        )
        return _row(answer["Item"]) if "Item" in answer else None


def _row(item: dict[str, Any]) -> LeaseRow:
    # While KCL 3 hands a lease over in order, its last owner may still checkpoint.
    owner = item.get("leaseOwner") or item.get("checkpointOwner")
    sequence = item.get("checkpoint", {}).get("S", "")
    sub = item.get("checkpointSubSequenceNumber", {}).get("N", "0")
    checkpoint = f"{sequence}-{sub}" if sequence.isdigit() else None
    return LeaseRow(
        shard_id=item["leaseKey"]["S"],
        owner=owner["S"] if owner else None,
        counter=int(item.get("leaseCounter", {}).get("N", "0")),
        checkpoint=SHARD_END if sequence == SHARD_END else checkpoint,
    )


class Unheld:
    """A Lease for whoever works on a shard while no worker does.

    A worker that is gone may have left its name; one that lives counts its lease on. So a named
    lease is watched for `still_seconds`: if its counter stands still all that time it has run out,
    as KCL itself judges it. `others` are all rows: they are watched in the same time.
    """

    def __init__(
        self,
        row: Callable[[str], LeaseRow | None],
        stop: threading.Event,
        *,
        others: Callable[[], Iterable[LeaseRow]] = lambda: (),
        still_seconds: float = STILL_SECONDS_MAX,
        told: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._row = row
        self._others = others
        self._stop = stop
        self._still_seconds = still_seconds
        self._told = told
        self._seen: dict[str, tuple[str, int]] = {}

    def require(self, shard_id: str) -> None:
        """Return if nobody works on `shard_id`.

        Raises:
            FencedOff: a worker does.
            Stopped: the time was up before that was certain.
        """
        row = self._row(shard_id)
        if row is None or row.owner is None:
            return
        known = self._seen.get(shard_id)
        if known is None:
            self._told(
                f"{row.owner} is noted as the holder of {shard_id}; looking for "
                f"{self._still_seconds:.0f} s whether it lives"
            )
            before = _named(self._others())
            self._watch(row)
            now = _named(self._others())
            self._seen |= {name: said for name, said in before.items() if now.get(name) == said}
        elif known != (row.owner, row.counter):
            raise _held(row)
        self._seen[shard_id] = (row.owner, row.counter)

    def _watch(self, row: LeaseRow) -> None:
        left = self._still_seconds
        while left > 0:
            if self._stop.wait(min(_LOOK_SECONDS, left)):
                raise Stopped(f"stopped while looking whether {row.owner} lives")
            left -= _LOOK_SECONDS
            now = self._row(row.shard_id)
            if (
                now is not None
                and now.owner
                and (now.owner, now.counter) != (row.owner, row.counter)
            ):
                raise _held(now)


def _named(rows: Iterable[LeaseRow]) -> dict[str, tuple[str, int]]:
    return {row.shard_id: (row.owner, row.counter) for row in rows if row.owner}


def _held(row: LeaseRow) -> FencedOff:
    return FencedOff(
        f"{row.shard_id} is held by {row.owner}, which is at work: stop the worker (SIGTERM to "
        "`tillwatch run`, every one of this application), then try again"
    )
