"""The product with one promise taken out each: what the simulation must catch, to be believed."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import msgspec

import consumer.child
import consumer.listener
from consumer.checkpoint import Committer
from consumer.multilang import CheckpointRefusedError
from consumer.pipeline import Pipeline
from consumer.rotation import SLICES_MAX, Rotation, Slices
from consumer.shard import ShardProcessor
from consumer.snapshot import State
from consumer.snapshots import Restored, Snapshots
from sinks.dynamodb import Claim, Ledger
from sinks.dynamodb_fence import DynamoFence

_commit = Committer.commit
_write_snapshot = Committer._write_snapshot
_find_left_over = Committer._find_left_over
_clean_up = Committer._clean_up
_finish = ShardProcessor._finish
_load = Snapshots.load
_write = Snapshots.write
_plan = Rotation.plan


def _snapshot_after_checkpoint() -> Iterator[Any]:
    """Step 3 behind step 4."""

    def commit(self: Committer, cut: Any, checkpoint: Any, **how: Any) -> Any:
        def checkpoint_first(position: Any) -> None:
            checkpoint(position)
            _write_snapshot(self, *self.__dict__.pop("_late"))

        return _commit(self, cut, checkpoint_first, **how)

    def later(self: Committer, *arguments: Any) -> int:
        self.__dict__["_late"] = arguments
        return 0

    yield mock.patch.object(Committer, "commit", commit)
    yield mock.patch.object(Committer, "_write_snapshot", later)


def _latest_snapshot() -> Iterator[Any]:
    """The newest snapshot that there is, rather than the one equal to the checkpoint."""

    def load(self: Snapshots, _: str) -> Restored:
        return _load(self, list(self._held.snapshots)[-1])

    yield mock.patch.object(Snapshots, "load", load)


def _publish_before_checkpoint() -> Iterator[Any]:
    """Step 5 before step 4."""

    def commit(self: Committer, cut: Any, checkpoint: Any, **how: Any) -> Any:
        def publish_first(position: Any) -> None:
            self.publish()
            checkpoint(position)

        return _commit(self, cut, publish_first, **how)

    yield mock.patch.object(Committer, "commit", commit)


def _bare_checkpoint_at_shutdown() -> Iterator[Any]:
    """As tutorials do: checkpoint() at shutdown, which means the end of what was delivered."""

    def finish(self: ShardProcessor, *, shard_end: bool = False) -> None:
        if shard_end:
            _finish(self, shard_end=True)
            return
        with contextlib.suppress(CheckpointRefusedError):
            self._listener.checkpoint(None)
        self._finished = True

    yield mock.patch.object(ShardProcessor, "_finish", finish)


def _position_behind_the_end() -> Iterator[Any]:
    """A batch that is being committed when the shard ends checkpoints its position as ever."""
    yield mock.patch.object(consumer.listener, "ends_shard", return_value=False)


def _no_fence() -> Iterator[Any]:
    """Whoever notes a snapshot is believed."""

    def note(self: DynamoFence, shard_id: str, held: Any) -> None:
        row = {at: {"S": key} for at, key in held.snapshots.items()}
        self._retry.call(
            lambda: self._client.update_item(
                TableName=self._table,
                Key=self._key(shard_id),
                UpdateExpression="SET snapshots = :snapshots",
                ExpressionAttributeValues={":snapshots": {"M": row}},
            )
        )

    yield mock.patch.object(DynamoFence, "note", note)


def _nothing(*_: Any) -> tuple[State, tuple[str, ...]]:
    return State(), ()


def _no_handover() -> Iterator[Any]:
    """A child shard begins with nothing."""
    yield mock.patch.object(consumer.child, "take_over", _nothing)


def _no_pages_in_snapshot() -> Iterator[Any]:
    """What is still to be told is not kept."""

    def write(self: Snapshots, position: str, written: State, *rest: Any) -> int:
        return _write(self, position, msgspec.structs.replace(written, pages=[]), *rest)

    yield mock.patch.object(Snapshots, "write", write)


def _claims_everything() -> Iterator[Any]:
    """The ledger lets everybody send."""
    yield mock.patch.object(Ledger, "claim", return_value=Claim.MINE)


def _sweep_before_checkpoint() -> Iterator[Any]:
    """What a process does not know is deleted before it is known to hold the shard."""

    def find(self: Committer, shard_id: str) -> None:
        _find_left_over(self, shard_id)
        self._lake.discard(self._left_over or [])
        self._left_over = []

    yield mock.patch.object(Committer, "_find_left_over", find)


def _sweep_what_is_there_now() -> Iterator[Any]:
    """What is left over is looked for behind the checkpoint, when a successor may have begun."""

    def clean(self: Committer, position: str) -> None:
        if self._left_over is not None:
            kept = self._hours.state.staged
            shard = self._snapshots.prefix.split("/")[2]
            self._left_over = [key for key in self._lake.staged(shard) if key not in kept]
        _clean_up(self, position)

    yield mock.patch.object(Committer, "_clean_up", clean)


def _slice_left_out() -> Iterator[Any]:
    """One slice of each plan is said to be written, and is not."""

    def plan(self: Rotation, *arguments: Any, **how: Any) -> Slices:
        planned = _plan(self, *arguments, **how)
        return Slices((planned.first + 1) % SLICES_MAX, planned.count - 1)

    yield mock.patch.object(Rotation, "plan", plan)


def _duplicates_forgotten() -> Iterator[Any]:
    """A restart does not remember which transactions it has seen."""

    def write(self: Snapshots, position: str, written: State, *rest: Any) -> int:
        return _write(self, position, msgspec.structs.replace(written, duplicates={}), *rest)

    yield mock.patch.object(Snapshots, "write", write)


def _dirty_state() -> Iterator[Any]:
    """The snapshot holds the state a record behind its position."""

    def cut(self: Pipeline, *arguments: Any, **how: Any) -> Any:
        made = _cut(self, *arguments, **how)
        return msgspec.structs.replace(
            made, detector=msgspec.structs.replace(made.detector, groups={})
        )

    yield mock.patch.object(Pipeline, "cut", cut)


_cut = Pipeline.cut

MUTATIONS: dict[str, Callable[[], Iterator[Any]]] = {
    "snapshot after checkpoint": _snapshot_after_checkpoint,
    "latest snapshot": _latest_snapshot,
    "publish before checkpoint": _publish_before_checkpoint,
    "checkpoint without position at shutdown": _bare_checkpoint_at_shutdown,
    "position behind the end of the shard": _position_behind_the_end,
    "fence ignored": _no_fence,
    "handover forgotten": _no_handover,
    "pages not in the snapshot": _no_pages_in_snapshot,
    "ledger lets everybody send": _claims_everything,
    "sweep before the checkpoint": _sweep_before_checkpoint,
    "sweep of what is there now": _sweep_what_is_there_now,
    "slice left out": _slice_left_out,
    "duplicates forgotten": _duplicates_forgotten,
    "key groups not kept": _dirty_state,
}


@contextlib.contextmanager
def mutated(name: str) -> Iterator[None]:
    """The product without one of its promises."""
    with contextlib.ExitStack() as stack:
        for patch in MUTATIONS[name]():
            stack.enter_context(patch)
        yield
