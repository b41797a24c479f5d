"""Daemons and their lease table, as KCL 3 has them, with its quirks.

- A checkpoint at the position of the last one is answered without asking the lease table.
- A checkpoint that advances, of a daemon whose lease was taken, is refused (ShutdownException).
- What a child begins with is the checkpoint at the time when the lease was taken.
- A child shard's consumer starts when its parents' ends were checkpointed.
- The position of a shard's last record is noted as the shard's end, once its end was announced.
- A shard's end that is reported as handled without its checkpoint stays where it is: KCL does not
  ask the child again, and keeps the lease.
- A child that ends in the middle of an action takes its daemon with it.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from consumer.multilang import (
    Action,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ShardEnded,
    ShutdownRequested,
    WireRecord,
)
from consumer.settings import Settings
from consumer.shard import Parts
from tests.simulation.child_process import Pipe, start_child
from tests.simulation.kernel import SECOND, Kernel, Process
from tests.simulation.shared import Shared
from tests.simulation.stream import Shard, Stream

SHARD_END = (10**30, 0)
TRIM_HORIZON = (0, 0)
FAILOVER_SECONDS = 12.0

At = tuple[int, int]


class Lease(msgspec.Struct):
    """One row of the lease table."""

    shard: Shard
    owner: str | None = None
    next_owner: str | None = None
    """To whom it is being handed over in order; `owner` may still checkpoint."""
    counter: int = 0
    renewed_at: int = 0
    checkpoint: At = TRIM_HORIZON

    def item(self) -> dict[str, Any]:
        """As KCL writes it."""
        if self.next_owner is not None:
            return {"leaseOwner": {"S": self.next_owner}, "checkpointOwner": {"S": self.owner}}
        return {"leaseOwner": {"S": self.owner}} if self.owner is not None else {}


class Cluster:
    """The lease table, the daemons, and what restarts them."""

    def __init__(
        self, kernel: Kernel, shared: Shared, stream: Stream, settings: Settings, workers: int
    ) -> None:
        self.kernel = kernel
        self.shared = shared
        self.stream = stream
        self.settings = settings
        self.quiet = False
        self.late = 0.05
        self.leases: dict[str, Lease] = {}
        self.daemons: list[Daemon] = []
        self.accepted: Callable[[Shard, At, At], None] = lambda *_: None
        self._numbers = iter(range(10**9))
        self.root = Process(kernel, "supervisor")
        shared.lease_item = lambda name: self.leases[name].item() if name in self.leases else {}
        shared.list_shards = stream.listing
        for _ in range(workers):
            self.start_daemon()

    def number(self) -> int:
        return next(self._numbers)

    def start_daemon(self) -> None:
        self.daemons = [daemon for daemon in self.daemons if not daemon.process.dead]
        self.daemons.append(Daemon(self))

    def restart_later(self) -> None:
        """The supervisor starts another daemon, under another name."""
        seconds = self.kernel.random.uniform(0.5, 20.0)

        def later() -> None:
            self.kernel.wait(seconds)
            self.start_daemon()

        self.kernel.spawn(self.root, later)

    def sync(self) -> None:
        """A lease for every shard, as the shard sync makes them."""
        for name, shard in self.stream.shards.items():
            if name not in self.leases:
                self.leases[name] = Lease(shard)

    def ready(self, lease: Lease) -> bool:
        """Whether the parents' ends were checkpointed."""
        return all(self.leases[name].checkpoint == SHARD_END for name in lease.shard.parents)


class Daemon:
    """One worker: renews, takes and steals leases, and has a consumer for each."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.name = f"worker-{cluster.number()}"
        self.process = Process(cluster.kernel, self.name)
        self.process.attributes["daemon"] = self
        self.consumers: dict[str, Consumer] = {}
        self.children: list[Process] = []
        self.process.at_death.append(self._died)
        cluster.kernel.spawn(self.process, self._coordinate)

    def freeze(self, seconds: float) -> None:
        """Stop the whole machine for a while."""
        until = self.cluster.kernel.now + int(seconds * SECOND)
        self.cluster.kernel.trace(f"{self.name} and its children freeze for {seconds:.1f} s")
        for process in (self.process, *self.children):
            process.frozen_until = until

    def _died(self) -> None:
        the = self.cluster.kernel
        for consumer in self.consumers.values():
            consumer.pipe.to_child.put_nowait(None)
        for child in self.children:
            if the.random.random() < 0.5:  # the supervisor ends what is left; or is gone, too
                the.spawn(self.cluster.root, partial(self._kill_later, child))
        self.cluster.restart_later()

    def _kill_later(self, child: Process) -> None:
        the = self.cluster.kernel
        the.wait(the.random.expovariate(0.3))
        child.kill("its supervisor ends it")

    def _coordinate(self) -> None:
        the, cluster = self.cluster.kernel, self.cluster
        while True:
            the.wait(the.random.uniform(0.5, 5.0))
            cluster.sync()
            self._renew()
            names = list(cluster.leases)
            the.random.shuffle(names)
            for name in names:
                self._take(cluster.leases[name])
            if not cluster.quiet and the.random.random() < 0.01:
                self._shut_down()

    def _renew(self) -> None:
        the = self.cluster.kernel
        for name, consumer in list(self.consumers.items()):
            lease = self.cluster.leases[name]
            if consumer.ended:
                del self.consumers[name]
            elif lease.owner != self.name or lease.counter != consumer.counter:
                consumer.lost = True
            else:
                lease.counter += 1
                consumer.counter = lease.counter
                lease.renewed_at = the.now
                consumer.wanted_back = lease.next_owner is not None

    def _take(self, lease: Lease) -> None:
        the = self.cluster.kernel
        if lease.checkpoint == SHARD_END or not self.cluster.ready(lease):
            return
        before = self.consumers.get(lease.shard.name)
        # A lost one may be at work still when the lease comes back; its child has the same worker.
        if before is not None and not (before.ended or (before.lost and the.random.random() < 0.3)):
            return
        seen = lease.counter
        expired = the.now - lease.renewed_at > FAILOVER_SECONDS * SECOND
        if lease.owner is None or expired:
            pass
        elif lease.owner == self.name or self.cluster.quiet or the.random.random() > 0.02:
            return
        elif lease.next_owner is None and the.random.random() < 0.5:
            the.trace(f"asks {lease.owner} to hand {lease.shard.name} over")
            lease.next_owner = self.name
            return
        the.wait(the.random.uniform(0.001, 0.05))
        if lease.counter != seen or lease.checkpoint == SHARD_END:
            return
        the.trace(f"takes {lease.shard.name} from {lease.owner} at {lease.checkpoint}")
        self.cluster.shared.counts["leases taken"] += 1
        lease.owner, lease.next_owner = self.name, None
        lease.counter += 1
        lease.renewed_at = the.now
        self.consumers[lease.shard.name] = Consumer(self, lease)

    def _shut_down(self) -> None:
        """As at SIGTERM: every child may make a last checkpoint."""
        the = self.cluster.kernel
        the.trace("is asked to stop")
        self.cluster.shared.counts["shutdowns"] += 1
        for consumer in self.consumers.values():
            consumer.wanted_back = True
        deadline = the.now + 60 * SECOND
        while the.now < deadline and not all(one.ended for one in self.consumers.values()):
            the.wait(0.5)
            self._renew()
        self.process.kill("stopped")


class Consumer:
    """One shard's consumer in a daemon."""

    def __init__(self, daemon: Daemon, lease: Lease) -> None:
        self.daemon = daemon
        self.lease = lease
        self.counter = lease.counter
        self.given = lease.checkpoint
        self.last_checkpoint = lease.checkpoint
        self.largest = lease.checkpoint
        self.lost = False
        self.wanted_back = False
        self.ended = False
        self.pipe = Pipe()
        self.parts: Parts | None = None
        self.child: Process | None = None
        daemon.cluster.kernel.spawn(daemon.process, self._run)

    # -- the daemon's side ----------------------------------------------------------------------

    def _run(self) -> None:
        the, shard = self.daemon.cluster.kernel, self.lease.shard
        # Starting takes a while, and now and then a very long one.
        late = not self.daemon.cluster.quiet and the.random.random() < self.daemon.cluster.late
        the.wait(the.random.uniform(0.01, 40.0 if late else 0.7))
        self.child = start_child(self)
        sequence = "TRIM_HORIZON" if self.given == TRIM_HORIZON else str(self.given[0])
        self._send(Initialize(shard.name, sequence, self.given[1]))
        # Now and then records are delivered again that lie at or before the checkpoint.
        at = next(
            (n for n, one in enumerate(shard.records) if one.position.order > self.given),
            len(shard.records),
        )
        at = max(at - the.random.choice((0, 0, 1, 3)), 0)
        while not self.lost and not self.wanted_back:
            if at == len(shard.records) and shard.closed:
                self._end_shard()
                return
            batch = shard.records[at : at + the.random.randint(1, 30)]
            at += len(batch)
            if batch:
                self.largest = max(self.largest, batch[-1].position.order)
            self._send(ProcessRecords([_wire(record) for record in batch], 0))
            the.wait(the.random.uniform(0.05, 1.0) if batch else the.random.uniform(1.0, 15.0))
        self._leave()

    def _leave(self) -> None:
        """Give the child its last words, and let go."""
        lease = self.lease
        if not self.lost:
            self._send(ShutdownRequested())
            if lease.owner == self.daemon.name and lease.counter == self.counter:
                lease.counter += 1
                lease.owner, lease.next_owner = lease.next_owner, None
                lease.renewed_at = 0
        self._send(LeaseLost())
        self._close()

    def _end_shard(self) -> None:
        self._send(ShardEnded())
        if self.last_checkpoint != SHARD_END:
            self.daemon.cluster.kernel.trace(f"end of {self.lease.shard.name} not checkpointed")
            self.pipe.to_child.put_nowait(None)
            while not self.lost:
                self.daemon.cluster.kernel.wait(1.0)
        self._close()

    def _close(self) -> None:
        self.pipe.to_child.put_nowait(None)
        self.ended = True

    def _send(self, action: Action) -> None:
        the = self.daemon.cluster.kernel
        if the.tracing:
            size = f" {len(action.records)}" if isinstance(action, ProcessRecords) else ""
            if not isinstance(action, ProcessRecords) or action.records:
                the.trace(f"{self.lease.shard.name} <- {type(action).__name__}{size}")
        self.pipe.to_child.put_nowait(action)
        while True:
            said = self.pipe.to_daemon.get()
            if said is None:
                self.daemon.process.kill(f"the child of {self.lease.shard.name} ended")
            if said[0] == "done":
                return
            ending = isinstance(action, ShardEnded)
            self.pipe.to_child.put_nowait((self._checkpoint(said[1], said[2], ending=ending),))

    def _checkpoint(self, sequence: str | None, sub: int | None, *, ending: bool) -> str | None:
        """KCL's answer: None, or the simple name of an exception."""
        the, lease, shared = self.daemon.cluster.kernel, self.lease, self.daemon.cluster.shared
        if sequence is None:
            target = SHARD_END if ending else self.largest
        else:
            target = (int(sequence), sub or 0)
        if ending and target == self.largest:
            target = SHARD_END
        if target == self.last_checkpoint:
            return None
        if not ending and not self.last_checkpoint <= target <= self.largest:
            return "IllegalArgumentException"
        the.wait(the.random.expovariate(100.0))
        if the.random.random() < shared.odds.fail_before:
            return "ThrottlingException"
        if lease.owner != self.daemon.name or lease.counter != self.counter:
            the.trace(f"checkpoint of {lease.shard.name} at {target} refused")
            self.lost = True
            return "ShutdownException"
        before, lease.checkpoint = lease.checkpoint, target
        lease.counter += 1
        lease.renewed_at = the.now
        the.trace(f"checkpoint of {lease.shard.name} at {target}")
        self.daemon.cluster.accepted(lease.shard, before, target)
        if the.random.random() < shared.odds.fail_after:
            # Written, but not heard of: the next request has the wrong counter.
            return "KinesisClientLibDependencyException"
        self.counter = lease.counter
        the.wait(the.random.expovariate(100.0))
        self.last_checkpoint = target
        return None


def _wire(record: Any) -> WireRecord:
    position = record.position
    return WireRecord(
        record.data,
        record.partition_key,
        position.sequence_number,
        position.sub_sequence_number,
        record.arrived_at // 1_000,
    )
