"""When a stream is drained: all of it committed, every hour published, every page sent."""

import threading
import time
from collections.abc import Callable, Mapping

from consumer.snapshot import SHARD_END, decode
from local.aws import AwsEndpoint
from local.provision import Provisioned
from sinks.dynamodb import Ledger
from sinks.dynamodb_fence import DynamoFence

_STUCK_SECONDS_MAX = 180.0
_POLL_SECONDS = 0.5


class StuckError(Exception):
    """Nothing moved for so long that it is not going to; the message says how far it came."""


def wait_until_drained(
    aws: AwsEndpoint,
    made: Provisioned,
    tips: Mapping[str, str],
    *,
    check: Callable[[], None],
    progress: Callable[[], object] = lambda: None,
    pages_sent: bool = True,
    stuck_seconds_max: float = _STUCK_SECONDS_MAX,
) -> None:
    """Return when every shard's worker is done with everything up to its tip.

    `tips` are last sequence numbers by shard, of a stream that nobody writes to any more. A shard
    is done when its checkpoint in the lease table has reached its tip, the snapshot of exactly that
    checkpoint has no open hour, every hour that it says to publish lies in the bucket, and every
    page that it says is waiting is noted in the ledger to have gone out (unless `pages_sent` is
    false, for a topic that is gone). `check`
    is called between looks, and raises where waiting makes no sense any more; `progress` gives
    something that differs from look to look while other sinks are being written to.

    Raises:
        StuckError: no checkpoint moved, no file came and `progress` stood still for
            `stuck_seconds_max`.
    """
    look = _Look(aws, made, pages_sent=pages_sent)
    seen: object = None
    deadline = time.monotonic() + stuck_seconds_max
    while True:
        checkpoints = look.checkpoints()
        behind = [
            shard
            for shard, tip in tips.items()
            if not _reached(checkpoints.get(shard, ("", 0))[0], tip)
        ]
        waiting = behind or [shard for shard in tips if not look.finished(shard, checkpoints)]
        if not waiting:
            return
        check()
        now = (checkpoints, look.files_count(), progress())
        if now != seen:
            seen, deadline = now, time.monotonic() + stuck_seconds_max
        elif time.monotonic() > deadline:
            lack = "checkpoint short of its end" if behind else "open hours or unsent pages"
            raise StuckError(
                f"nothing moved for {stuck_seconds_max:.0f} s; shards that are not done: "
                f"{', '.join(waiting)} ({lack}); checkpoints: {checkpoints}"
            )
        time.sleep(_POLL_SECONDS)


def _reached(checkpoint: str, tip: str) -> bool:
    return checkpoint == SHARD_END or (checkpoint.isdigit() and int(checkpoint) >= int(tip))


class _Look:
    """What the lease table and the bucket say."""

    def __init__(self, aws: AwsEndpoint, made: Provisioned, *, pages_sent: bool) -> None:
        self._dynamodb = aws.client("dynamodb")
        self._s3 = aws.client("s3")
        self._fence = DynamoFence(
            self._dynamodb, made.ledger_table, made.application, threading.Event()
        )
        self._ledger = Ledger(self._dynamodb, made.ledger_table, "looking on")
        self._made = made
        self._pages_sent = pages_sent

    def checkpoints(self) -> dict[str, tuple[str, int]]:
        """Sequence and sub-sequence number by shard."""
        pages = self._dynamodb.get_paginator("scan").paginate(
            TableName=self._made.application, ConsistentRead=True
        )
        return {
            item["leaseKey"]["S"]: (
                item["checkpoint"]["S"],
                int(item["checkpointSubSequenceNumber"]["N"]),
            )
            for page in pages
            for item in page["Items"]
        }

    def finished(self, shard: str, checkpoints: Mapping[str, tuple[str, int]]) -> bool:
        """Whether the snapshot equal to the shard's checkpoint leaves nothing to do."""
        sequence, sub_sequence = checkpoints[shard]
        slug = sequence if sequence == SHARD_END else f"{sequence}-{sub_sequence}"
        key = self._fence.look(shard).snapshots.get(slug)
        if key is None:  # a checkpoint later than what was looked at before
            return False
        body = self._s3.get_object(Bucket=self._made.bucket, Key=key)["Body"].read()
        written = decode(key, body).written
        hours, pages = written.hours, written.pages if self._pages_sent else []
        if hours.open or not all(self._ledger.was_sent(it.page_id, it.revision) for it in pages):
            return False
        prefixes = {closed.key.rpartition("/")[0] for closed in hours.to_publish}
        files = {file for prefix in prefixes for file in self._keys(f"{prefix}/")}
        return all(closed.key in files for closed in hours.to_publish)

    def files_count(self) -> int:
        """Files staged and published so far."""
        return sum(1 for prefix in ("staging/", "processed/") for _ in self._keys(prefix))

    def _keys(self, prefix: str) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self._made.bucket, Prefix=prefix
        )
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]
