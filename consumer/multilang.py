"""The daemon's side of the conversation: KCL's multi-language protocol, line by line.

The MultiLangDaemon writes one JSON action a line to the child's standard input and reads answers
from its standard output; while the child handles an action it may ask for checkpoints, each
answered before anything else comes. The protocol is the one that `amazon_kclpy.kcl.KCLProcess`
speaks; this module decodes it with msgspec into typed values, which costs a quarter of the CPU
(docs/decisions/0006-own-protocol.md). When an action is reported as done: consumer/listener.py.
"""

from typing import BinaryIO

import msgspec

from consumer.lines import Lines, Source


class WireRecord(msgspec.Struct, gc=False, rename="camel"):
    """One user record as the daemon writes it; `data` arrives base64-decoded."""

    data: bytes
    partition_key: str
    sequence_number: str
    sub_sequence_number: int | None = None
    approximate_arrival_timestamp: int | None = None


class Initialize(msgspec.Struct, tag_field="action", tag="initialize", rename="camel"):
    """The first action: the shard, and the checkpoint to go on from."""

    shard_id: str
    sequence_number: str | None = None
    sub_sequence_number: int | None = None


class ProcessRecords(msgspec.Struct, tag_field="action", tag="processRecords", rename="camel"):
    """Records in stream order; none at all is a tick of an idle shard."""

    records: list[WireRecord]
    millis_behind_latest: int | None = None


class LeaseLost(msgspec.Struct, tag_field="action", tag="leaseLost"):
    """Another worker holds the shard now; nothing that this child does counts any more."""


class ShardEnded(msgspec.Struct, tag_field="action", tag="shardEnded"):
    """Every record of the shard was delivered; the end must be checkpointed."""


class ShutdownRequested(msgspec.Struct, tag_field="action", tag="shutdownRequested"):
    """The worker is about to stop; a last checkpoint may be made."""


class Shutdown(msgspec.Struct, tag_field="action", tag="shutdown"):
    """Older daemons' word for the end of a shard (TERMINATE) or of a lease (ZOMBIE)."""

    reason: str | None = None


class CheckpointAnswer(msgspec.Struct, tag_field="action", tag="checkpoint", rename="camel"):
    """The daemon's answer to a checkpoint request; `error` is a Java exception's simple name."""

    sequence_number: str | None = None
    sub_sequence_number: int | None = None
    error: str | None = None


Action = Initialize | ProcessRecords | LeaseLost | ShardEnded | ShutdownRequested | Shutdown

_decoder: msgspec.json.Decoder[Action | CheckpointAnswer] = msgspec.json.Decoder(
    Action | CheckpointAnswer
)
_LONG_BYTES = 80
"""A longer line is not looked at for whether it is blank."""
_NAMES: dict[type, str] = {
    Initialize: "initialize",
    ProcessRecords: "processRecords",
    LeaseLost: "leaseLost",
    ShardEnded: "shardEnded",
    ShutdownRequested: "shutdownRequested",
    Shutdown: "shutdown",
}


class ProtocolError(Exception):
    """The daemon said something that this protocol does not know; the child must end."""


class DaemonGone(Exception):  # noqa: N818 -- nothing is wrong with this process
    """The daemon closed the pipe while something was asked of it: it died, or was killed."""


class CheckpointRefusedError(Exception):
    """The daemon refused a checkpoint; `name` is the Java exception's simple name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    @property
    def lease_lost(self) -> bool:
        """Whether the lease fenced the checkpoint off: another worker holds the shard."""
        return self.name == "ShutdownException"

    @property
    def transient(self) -> bool:
        """Whether the lease table was throttled or away, so that asking again makes sense."""
        return self.name in {"ThrottlingException", "KinesisClientLibDependencyException"}


class Conversation:
    """One child's talk with its daemon over a pair of byte streams."""

    def __init__(self, source: Source, target: BinaryIO) -> None:
        self._lines = Lines(source)
        self._target = target

    def next_action(self) -> Action | None:
        """The next action, or None when the daemon closed the pipe.

        Raises:
            ProtocolError: the line is no action.
        """
        message = self._read()
        if isinstance(message, CheckpointAnswer):
            raise ProtocolError("the daemon answered a checkpoint that was not asked for")
        return message

    def done(self, action: Action) -> None:
        """Report `action` as done; only then does the daemon send the next.

        Raises:
            DaemonGone: the pipe is closed.
        """
        self._write({"action": "status", "responseFor": _NAMES[type(action)]})

    def checkpoint(self, sequence_number: str | None, sub_sequence_number: int | None) -> None:
        """Ask for a checkpoint and wait for the answer; only while an action is unanswered.

        None for both is the end of the shard, and allowed only then.

        Raises:
            CheckpointRefusedError: the daemon's answer carries an error.
            ProtocolError: the answer is none.
            DaemonGone: the pipe is closed.
        """
        self._write(
            {
                "action": "checkpoint",
                "sequenceNumber": sequence_number,
                "subSequenceNumber": sub_sequence_number,
            }
        )
        answer = self._read()
        if answer is None:
            raise DaemonGone("the daemon went away before it answered a checkpoint")
        if not isinstance(answer, CheckpointAnswer):
            raise ProtocolError(f"a checkpoint was answered with {type(answer).__name__}")
        if answer.error is not None:
            raise CheckpointRefusedError(answer.error)

    def _read(self) -> Action | CheckpointAnswer | None:
        while (line := self._lines.next_line()) is not None:
            if len(line) > _LONG_BYTES or bytes(line).strip():
                try:
                    return _decoder.decode(line)
                except msgspec.DecodeError as error:
                    raise ProtocolError(f"not an action of the protocol: {error}") from error
        return None

    def _write(self, message: dict[str, object]) -> None:
        # The daemon skips lines it cannot read; the leading newline ends any stray output first.
        try:
            self._target.write(b"\n" + msgspec.json.encode(message) + b"\n")
            self._target.flush()
        except BrokenPipeError as error:
            raise DaemonGone("the daemon went away and reads no more") from error
