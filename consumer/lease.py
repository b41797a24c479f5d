"""Whose a shard is, by KCL's own table."""

import os
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from sinks.aws_errors import passes
from sinks.fence import FencedOff
from sinks.retry import WAIT_SECONDS_MAX, Retry

WORKER_VARIABLE = "TILLWATCH_WORKER_ID"
"""The name under which the daemon holds leases; the supervisor gives it to daemon and children."""


class Lease(Protocol):
    """Knows whether this worker holds a shard."""

    def require(self, shard_id: str) -> None:
        """Return if it does; raise FencedOff if another one does."""
        ...


class DynamoLease:
    """Reads KCL's lease table `table`, consistently.

    A worker takes a lease by a conditional write that makes every later checkpoint of the worker
    before it fail. So a lease that is seen to be ours, after the shard's fence was advanced, leaves
    nothing on its way that could still count.
    """

    def __init__(
        self,
        client: Any,
        table: str,
        worker_id: str,
        stop: threading.Event,
        *,
        count_retry: Callable[[str], None] | None = None,
        wait_seconds_max: float = WAIT_SECONDS_MAX,
    ) -> None:
        self._client = client
        self._table = table
        self._worker_id = worker_id
        self._retry = Retry(
            "dynamodb", stop, passes=passes, count=count_retry, wait_seconds_max=wait_seconds_max
        )

    def require(self, shard_id: str) -> None:
        """Return if this worker holds `shard_id`; raise FencedOff if not."""
        item = self._retry.call(
            partial(
                self._client.get_item,
                TableName=self._table,
                Key={"leaseKey": {"S": shard_id}},
                ConsistentRead=True,
            )
        ).get("Item", {})
        # While KCL 3 hands a lease over in order, its last owner may still checkpoint.
        owners = {item[name]["S"] for name in ("leaseOwner", "checkpointOwner") if name in item}
        if owners != {self._worker_id}:
            raise FencedOff(
                f"{shard_id} is held by {', '.join(sorted(owners)) or 'nobody'}, and not by this "
                f"worker, {self._worker_id}"
            )


def worker_id() -> str:
    """This worker's name.

    Raises:
        RuntimeError: `tillwatch run` did not start this process.
    """
    found = os.environ.get(WORKER_VARIABLE)
    if not found:
        raise RuntimeError(
            f"{WORKER_VARIABLE} is not set: start the worker with `tillwatch run`, which names it "
            "to its daemon and children"
        )
    return found
