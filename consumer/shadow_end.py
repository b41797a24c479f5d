"""The end of a shadow: everything that it left in the bucket and in the tables."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from consumer.lease import Lease
from consumer.lease_table import LeaseTable
from sinks.dynamodb_fence import DynamoFence
from sinks.object_store import ObjectStore

KCL_TABLES = ("", "-CoordinatorState", "-WorkerMetricStats")
"""What KCL adds to the application's name for the tables that it makes; leases are in the first."""

NO_TABLE = "ResourceNotFoundException"


class Ending:
    """Takes away what a shadow, the KCL application `application`, has left.

    The leases go last: broken off anywhere, it can be done again.

    Args:
        folder: of its pages and notes.
        application: under which it ran.
        client: DynamoDB's.
        table: its leases.
        lease: raises FencedOff where a worker holds a shard; without, nobody looks.
        fence: its rows of the ledger's table.
        store: where its pages lie.
        snapshot_store: where its snapshots lie.
    """

    def __init__(
        self,
        folder: str,
        application: str,
        client: Any,
        table: LeaseTable,
        lease: Lease | None,
        fence: DynamoFence,
        store: ObjectStore,
        snapshot_store: ObjectStore,
    ) -> None:
        self._folder = folder
        self._application = application
        self._client = client
        self._table = table
        self._lease = lease
        self._fence = fence
        self._store = store
        self._snapshot_store = snapshot_store

    def run(self, told: Callable[[str], None]) -> None:
        """Do it, and tell what went.

        Raises:
            FencedOff: a worker of the shadow is running.
        """
        shards = self._shards()
        if self._lease is not None:
            for shard_id in shards:
                self._lease.require(shard_id)
        pages = _emptied(self._store, self._folder)
        told(f"{pages} objects of its pages")
        snapshots = _emptied(self._snapshot_store, f"snapshots/{self._application}/")
        told(f"{snapshots} objects of its snapshots")
        for shard_id in shards:
            self._fence.forget(shard_id)
        told(f"{len(shards)} rows of the ledger's table")
        for ending in reversed(KCL_TABLES):
            if self._deleted(f"{self._application}{ending}"):
                told(f"the table {self._application}{ending}")

    def _shards(self) -> list[str]:
        """Every shard that it ever had, as far as its leases and its snapshots say."""
        prefix = f"snapshots/{self._application}/"
        keys = self._snapshot_store.keys(prefix)
        named = {key.removeprefix(prefix).partition("/")[0] for key in keys}
        try:
            named |= {row.shard_id for row in self._table.rows()}
        except ClientError as error:
            if error.response["Error"]["Code"] != NO_TABLE:
                raise
            return sorted(named)
        return sorted(named)

    def _deleted(self, table: str) -> bool:
        try:
            self._client.delete_table(TableName=table)
        except ClientError as error:
            if error.response["Error"]["Code"] != NO_TABLE:
                raise
            return False
        return True


def _emptied(store: ObjectStore, folder: str) -> int:
    keys = store.keys(folder)
    for key in keys:
        store.delete(key)
    return len(keys)
