"""One schedule: what its seed makes happen, and whether the promises held."""

import gc
import random
from collections.abc import Callable
from typing import Any

import msgspec

from consumer.handover import group_range
from consumer.settings import Settings
from tests.simulation import kernel
from tests.simulation.compare import compare
from tests.simulation.kcl import SHARD_END, Cluster, Consumer
from tests.simulation.kernel import SECOND, Kernel
from tests.simulation.patches import patched
from tests.simulation.plan import Plan, plan, settings_of
from tests.simulation.services import SimulatedServices
from tests.simulation.shared import Shared
from tests.simulation.stream import Shard, Stream
from tests.simulation.threads import Event
from tests.simulation.traffic import traffic

SETTLE_SECONDS_MAX = 3_000.0
"""Behind the last fault everything has to be done within so much simulated time."""


class Outcome(msgspec.Struct):
    """What came of a schedule: no broken promise, or which."""

    seed: int
    broken: list[str]
    counts: dict[str, int]
    seconds: float
    steps: int


class Schedule:
    """One run."""

    def __init__(
        self,
        made: Plan,
        tracing: Callable[[str], None] | None = None,
    ) -> None:
        self.plan = made
        self.kernel = Kernel(made.seed, tracing)
        rng = random.Random(made.seed + 1)
        self.sent = list(traffic(rng, made.records, made.shops))
        refused = frozenset(
            {f"t-{rng.randrange(made.records):04}"} if rng.random() < 0.3 else set()
        )
        self.shared = Shared(made.odds, refused)
        edges = [group_range(made.key_groups // 2, made.key_groups).first]
        self.stream = Stream(edges if made.shards == 2 else [])
        self.exact = not made.inside
        self.settings = settings_of(made)
        self.cluster: Cluster | None = None
        self.producing = True
        self._checked: dict[str, int] = {}

    def run(self) -> Outcome:
        """Let it happen, let it settle, and look."""
        kernel.use(self.kernel)
        broken = self.shared.violations
        the = self.kernel
        collecting = gc.isenabled()
        gc.disable()
        try:
            with patched(self._services, parquet=self.plan.parquet):
                self.cluster = Cluster(
                    the, self.shared, self.stream, self.settings, self.plan.workers
                )
                self.cluster.late = self.plan.late
                self.cluster.accepted = self._accepted
                self.shared.may_publish = self._may_publish
                the.spawn(self.cluster.root, self._produce)
                the.spawn(self.cluster.root, self._reshard)
                try:
                    the.run(lambda: bool(broken) or not self.producing)
                    self._settle(broken)
                    if not broken:
                        broken += compare(self)
                except RuntimeError as error:
                    broken.append(f"{error!r}")
                finally:
                    self._end()
        finally:
            kernel.use(None)
            if collecting:
                gc.enable()
        return Outcome(self.plan.seed, broken, dict(self.shared.counts), the.seconds, the.steps)

    def _services(self, _: Settings, stop: Event, __: Any) -> SimulatedServices:
        return SimulatedServices(self.shared, kernel.here(), stop, exact=self.exact)

    def _end(self) -> None:
        """End every process, so that no thread is left."""
        the, cluster = self.kernel, self.cluster
        assert cluster is not None
        cluster.restart_later = lambda: None  # type: ignore[method-assign]  # the end
        processes = {task.process for _, _, task, _ in the._heap}
        for daemon in cluster.daemons:
            processes |= {daemon.process, *daemon.children}
        for process in sorted(processes, key=lambda one: one.name):
            process.kill("the schedule ends")
        while the._heap:
            the.step()

    # -- what happens ---------------------------------------------------------------------------

    def _produce(self) -> None:
        the, pause = self.kernel, self.plan.seconds / len(self.sent)
        for one in self.sent:
            self.stream.put(one.data, one.shop_id, one.arrived_at)
            the.wait(the.random.expovariate(1.0 / pause))
        self.producing = False

    def _reshard(self) -> None:
        the, stream = self.kernel, self.stream
        for _ in range(self.plan.reshards):
            the.wait(the.random.uniform(0.0, 2 * self.plan.seconds / self.plan.reshards))
            shards = stream.open
            if len(shards) > 1 and the.random.random() < 0.4:
                shards.sort(key=lambda one: one.range.first)
                at = the.random.randrange(len(shards) - 1)
                the.trace(f"merge of {shards[at].name} and {shards[at + 1].name}")
                stream.merge(shards[at], shards[at + 1])
                self.shared.counts["merges"] += 1
            else:
                self._split(the.random.choice(shards))

    def _split(self, shard: Shard) -> None:
        the, groups = self.kernel, self.plan.key_groups
        first, last = shard.range.first, shard.range.last
        if self.plan.inside:
            at = the.random.randrange(first + 1, last + 1)
        else:
            edges = [group_range(group, groups).first for group in range(groups)]
            edges = [edge for edge in edges if first < edge <= last]
            if not edges:
                return
            at = the.random.choice(edges)
        the.trace(f"split of {shard.name}")
        self.stream.split(shard, at)
        self.shared.counts["splits inside a group" if self.plan.inside else "splits"] += 1

    def _settle(self, broken: list[str]) -> None:
        """No more faults: everything that hangs comes back, and everything gets done."""
        the, cluster = self.kernel, self.cluster
        assert cluster is not None
        the.trace("no more faults from here on")
        cluster.quiet = True
        self.plan.odds.none()
        # Also who hung longest comes to while the others go on.
        late = the.now + int(self.plan.odds.stall_seconds_max * SECOND)
        end = the.now + int(SETTLE_SECONDS_MAX * SECOND)
        look = [the.now]

        def settled() -> bool:
            if broken or the.now > end:
                return True
            if the.now < max(late, look[0]):
                return False
            look[0] = the.now + SECOND
            return not self._left()

        the.run(settled)
        if not broken and (left := self._left()):
            broken.append(f"not done after {SETTLE_SECONDS_MAX:,.0f} quiet seconds: {left}")

    def _left(self) -> str:
        """What is still to be done; empty where there is nothing."""
        return next(filter(None, map(self._left_of, self.stream.shards.values())), "")

    def _left_of(self, shard: Shard) -> str:
        assert self.cluster is not None
        lease = self.cluster.leases.get(shard.name)
        if lease is None:
            return f"{shard.name} has no lease"
        if shard.closed:
            return "" if lease.checkpoint == SHARD_END else f"{shard.name} has not ended"
        if shard.records and lease.checkpoint != shard.records[-1].position.order:
            return f"{shard.name} stands at {lease.checkpoint}"
        consumer = self._consumer_of(shard.name)
        if consumer is None or consumer.parts is None:
            return f"nobody consumes {shard.name}"
        committer = consumer.parts.committer
        if consumer.parts.has_open_hours() or committer._hours.state.to_publish:
            return f"{shard.name} has hours to publish"
        return f"{shard.name} has pages to send" if committer._outbox.waiting() else ""

    def _consumer_of(self, name: str) -> Consumer | None:
        assert self.cluster is not None
        for daemon in self.cluster.daemons:
            consumer = daemon.consumers.get(name)
            if consumer is not None and not daemon.process.dead and not consumer.lost:
                return consumer
        return None

    # -- promises that are looked at while it happens ---------------------------------------------

    def _accepted(self, shard: Shard, before: tuple[int, int], at: tuple[int, int]) -> None:
        """P1: everything up to a checkpoint is in the index or in the dead-letter queue."""
        if at < before:
            self.shared.violations.append(f"the checkpoint of {shard.name} went back")
        start = self._checked.get(shard.name, 0)
        for record in shard.records[start:]:
            if record.position.order > at:
                break
            start += 1
            place = (record.position.shard_id, record.position.slug)
            if not self._arrived(record.data, place):
                self.shared.violations.append(f"{place} is checkpointed and stands nowhere")
        self._checked[shard.name] = start

    def _arrived(self, data: bytes, place: tuple[str, str]) -> bool:
        if any(key[:2] == place for key in self.shared.letters):
            return True
        try:
            name = msgspec.json.decode(data)["transaction_id"]
        except msgspec.DecodeError:
            return False
        return name in self.shared.documents or name in self.shared.refused

    def _may_publish(self, key: str) -> bool:
        """P2: hours are published behind the checkpoint that covers them."""
        assert self.cluster is not None
        *shard, _, _, last, _ = key.rsplit("/", 1)[1].split("-")
        return int(last) <= self.cluster.leases["-".join(shard)].checkpoint[0]


def run(
    seed: int, *, parquet: bool = False, tracing: Callable[[str], None] | None = None
) -> Outcome:
    """Run the schedule of `seed`."""
    return Schedule(plan(seed, parquet=parquet), tracing).run()
