"""A child process of a simulated daemon, and their talk."""

from typing import TYPE_CHECKING, Any

from consumer.child import Assembly
from consumer.committing import CommittingThread
from consumer.logs import JsonFormatter
from consumer.multilang import Action, CheckpointRefusedError, ProtocolError
from consumer.shard import Parts, ShardProcessor
from events.position import Position
from tests.simulation.kernel import Killed, Process
from tests.simulation.threads import Event, Queue

if TYPE_CHECKING:
    from tests.simulation.kcl import Consumer


class Pipe:
    """Two queues between a daemon and a child; None is the end."""

    def __init__(self) -> None:
        self.to_child = Queue()
        self.to_daemon = Queue()


class Conversation:
    """The child's side: consumer.multilang.Conversation without bytes."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._closed = False

    def next_action(self) -> Action | None:
        return self._read()

    def done(self, action: Action) -> None:
        self._pipe.to_daemon.put_nowait(("done", action))

    def checkpoint(self, sequence_number: str | None, sub_sequence_number: int | None) -> None:
        self._pipe.to_daemon.put_nowait(("checkpoint", sequence_number, sub_sequence_number))
        answer = self._read()
        if answer is None:
            raise ProtocolError("the pipe is closed")
        if answer[0] is not None:
            raise CheckpointRefusedError(answer[0])

    def _read(self) -> Any:
        if self._closed:
            return None
        message = self._pipe.to_child.get()
        self._closed = message is None
        return message


def start_child(consumer: "Consumer") -> Process:
    """A child process, which does what consumer.child.main does."""
    cluster, daemon = consumer.daemon.cluster, consumer.daemon
    the, settings, pipe = cluster.kernel, cluster.settings, consumer.pipe
    process = Process(the, f"{consumer.lease.shard.name[-3:]}/{daemon.name[7:]}/{cluster.number()}")
    process.attributes["daemon"] = daemon
    daemon.children = [child for child in daemon.children if not child.dead]
    daemon.children.append(process)
    process.at_death.append(lambda: pipe.to_daemon.put_nowait(None))

    def main() -> None:
        stop = Event()
        assembly = Assembly(settings, stop, JsonFormatter())  # type: ignore[arg-type]  # simulated

        def build(shard_id: str, checkpoint: Position | None) -> Parts:
            consumer.parts = None
            parts = assembly.build(shard_id, checkpoint)
            consumer.parts = parts
            return parts

        processor = ShardProcessor(
            Conversation(pipe),
            build,
            CommittingThread(assembly.committed),
            stop=stop,  # type: ignore[arg-type]  # simulated
            clock=lambda: the.seconds,
            batch_seconds_max=settings.batch_seconds_max,
            hours_close_idle_seconds=settings.hours_close_idle_seconds,
            orphaned=lambda: daemon.process.dead,
        )
        try:
            processor.run()
            assembly.end()
        except Killed:
            raise
        except BaseException as error:  # noqa: BLE001 -- the process ends with it
            the.trace(f"ends with {error!r}")
            judge_error(consumer, error)
            process.kill(repr(error)[:200])
        process.kill("done")

    the.spawn(process, main)
    return process


_EXPECTED = ("ProtocolError", "DaemonGoneError", "CheckpointRefusedError", "FencedOff", "Stopped")


def judge_error(consumer: "Consumer", error: BaseException) -> None:
    """An error that is no end of a rightful owner's is a broken promise."""
    lease, name = consumer.lease, type(error).__name__
    shared = consumer.daemon.cluster.shared
    shared.counts[f"ended with {name}"] += 1
    if name in _EXPECTED:
        return
    rightful = lease.owner == consumer.daemon.name and not consumer.daemon.process.dead
    if rightful and lease.counter == consumer.counter:
        shared.violations.append(f"{lease.shard.name} ends with {error!r}")
