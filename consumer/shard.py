"""One shard's processor: takes the daemon's records, commits batches behind them.

Three threads share the work. The main one parses and scores; the listening one talks to the daemon,
one action ahead (consumer/listener.py); the committing one writes batches to the sinks, so that
scoring goes on while a service answers (consumer/committing.py). At most one batch is being
committed while the next one fills: a slow sink stops the main thread, which leaves one action
untaken and so stops the daemon, which stops reading the stream.
"""

import logging
import threading
from collections.abc import Callable, Iterator

from consumer.checkpoint import Committer
from consumer.committing import Committing, Job
from consumer.listener import Listener, Talk, ends_shard
from consumer.multilang import (
    Action,
    Initialize,
    LeaseLost,
    ProcessRecords,
    Shutdown,
    ShutdownRequested,
    WireRecord,
)
from consumer.pipeline import Cut, Pipeline
from consumer.telemetry import LISTENING, RESTORING, Telemetry
from events.position import Position
from events.record import Record
from sinks.fence import FencedOff
from sinks.sink import Stopped

_log = logging.getLogger("tillwatch.shard")
_WAIT_SECONDS = 0.2
GIVEN_UP_SECONDS_MAX = 60.0
"""A child that gave its shard up, and is still given records of it after so long, ends: then the
daemon still holds the lease, and must hand the shard out anew."""


class DaemonGoneError(Exception):
    """The daemon died while the child waited for a service; its shards go to another."""


class Parts:
    """What a shard's processor is made of, once its position is known."""

    def __init__(
        self,
        pipeline: Pipeline,
        committer: Committer,
        *,
        has_open_hours: Callable[[], bool],
    ) -> None:
        self.pipeline = pipeline
        self.committer = committer
        self.has_open_hours = has_open_hours


class ShardProcessor:
    """Handles the daemon's actions for one shard, in the order they come."""

    def __init__(
        self,
        talk: Talk,
        build: Callable[[str, Position | None], Parts],
        committing: Committing,
        *,
        stop: threading.Event,
        clock: Callable[[], float],
        batch_seconds_max: float,
        hours_close_idle_seconds: float,
        telemetry: Telemetry | None = None,
        orphaned: Callable[[], bool] = lambda: False,
    ) -> None:
        self._listener = Listener(talk, stop)
        self._build = build
        self._committing = committing
        self._stop = stop
        self._clock = clock
        self._batch_seconds_max = batch_seconds_max
        self._hours_close_idle_seconds = hours_close_idle_seconds
        self._telemetry = telemetry or Telemetry(None)
        self._orphaned = orphaned
        self._parts: Parts | None = None
        self._shard_id = ""
        self._last: Position | None = None
        self._resumed_from: tuple[int, int] | None = None
        self._batch_began = 0.0
        self._last_record_at = 0.0
        self._behind_millis: int | None = None
        self._given_up_at: float | None = None
        self._finished = False

    def run(self) -> None:
        """Handle actions until the daemon closes the pipe or the shard is given up.

        An unexpected error leaves this function and must end the process: the daemon then hands the
        shard out again from its last checkpoint.
        """
        self._listener.start()
        try:
            while (action := self._next_action()) is not None:
                if self._given_up_at is None:
                    try:
                        self._handle(action)
                    except Stopped as stopped:
                        self._give_up(stopped)
                elif isinstance(action, ProcessRecords):
                    self._check_given_up(self._given_up_at)
                if self._given_up_at is not None and ends_shard(action):
                    self._check_end()
                self._listener.done(action)
        finally:
            self._stop.set()
            self._committing.end()
            self._listener.end()

    def _next_action(self) -> Action | None:
        self._telemetry.beat(LISTENING)
        return self._listener.next_action()

    def _handle(self, action: Action) -> None:
        self._telemetry.beat(type(action).__name__)
        match action:
            case ProcessRecords():
                self._process(action)
            case Initialize():
                self._initialize(action)
            case ShutdownRequested():
                self._finish()
            case _ if ends_shard(action):
                self._finish(shard_end=True)
            case LeaseLost() | Shutdown():
                self._give_up()

    # -- actions ------------------------------------------------------------------------------

    def _initialize(self, action: Initialize) -> None:
        self._shard_id = action.shard_id
        sequence = action.sequence_number
        if sequence is not None and sequence.isdigit():
            self._last = Position(action.shard_id, sequence, action.sub_sequence_number or 0)
            self._resumed_from = self._last.order
        self._telemetry.took(action.shard_id, self._last.slug if self._last else None)
        self._telemetry.beat(RESTORING)
        self._parts = self._build(action.shard_id, self._last)
        self._last_record_at = self._clock()
        self._committing.start(self._parts.committer, self._listener.checkpoint)

    def _process(self, action: ProcessRecords) -> None:
        pipeline = self._require_parts().pipeline
        self._behind_millis = action.millis_behind_latest
        self._telemetry.lag(action.millis_behind_latest)
        now = self._clock()
        if action.records:
            self._last_record_at = now
            if pipeline.empty:
                self._batch_began = now
            records = self._records(action.records)
            pipeline.take(records)
            while pipeline.full:
                self._submit(self._cut())
                self._batch_began = self._clock()
                pipeline.take(records)
        busy = self._committing.busy
        if not pipeline.empty:
            # A tip of the stream that trickles in waits for its batch; what is behind fills it.
            if self._clock() - self._batch_began >= self._batch_seconds_max and not busy:
                self._submit(self._cut())
        elif self._idle(now) and not busy:
            self._submit(self._cut(), close_hours=True)
        self._committing.serve()

    def _finish(self, *, shard_end: bool = False) -> None:
        """Commit everything taken so far, and wait until it is."""
        pipeline = self._require_parts().pipeline
        self._wait_for_job()
        if shard_end:
            # Also without a record: what was taken over from parents goes on to the children.
            at = self._last or Position(self._shard_id, "0")
            cut = pipeline.cut(self._behind_millis, whole=True, at=at)
            self._submit(cut, shard_end=True)
        elif not pipeline.empty:
            self._submit(self._cut())
        self._wait_for_job()
        self._finished = True
        self._telemetry.bye("shard ended" if shard_end else "shard given back")

    def _give_up(self, why: Stopped | None = None) -> None:
        """From here on actions are answered and nothing is done: another worker has the shard."""
        if self._finished:
            _log.info("shard given back, committed to its last record")
        else:
            _log.warning(
                "lease lost; leaving the rest to the worker that has it%s",
                f": {why}" if why else "",
            )
            self._telemetry.bye("lease lost")
        self._stop.set()
        self._given_up_at = self._clock()

    def _check_given_up(self, since: float) -> None:
        if self._clock() - since > GIVEN_UP_SECONDS_MAX:
            raise FencedOff(
                f"{self._shard_id} was given up {GIVEN_UP_SECONDS_MAX:.0f} s ago and the daemon "
                "still holds it; ending, so that it is taken up again from its last checkpoint"
            )

    def _check_end(self) -> None:
        """Leave a shard's end unreported, unless the lease table itself said that it is lost.

        KCL asks for the end once: reported as handled without its checkpoint, it would hold the
        lease and wait, and the shard's children would never begin.
        """
        if not self._listener.lease_refused:
            raise FencedOff(
                f"{self._shard_id} was given up, and the daemon, which still holds it, says "
                "that it has ended; ending, so that it is taken up again from its last checkpoint"
            )

    # -- records ------------------------------------------------------------------------------

    def _records(self, wire: list[WireRecord]) -> Iterator[Record]:
        shard_id = self._shard_id
        for item in wire:
            position = Position(shard_id, item.sequence_number, item.sub_sequence_number or 0)
            if self._resumed_from is not None:
                if position.order <= self._resumed_from:
                    continue
                self._resumed_from = None
            arrived = item.approximate_arrival_timestamp
            self._last = position
            yield Record(
                position,
                item.data,
                item.partition_key,
                arrived * 1_000 if arrived is not None else None,
            )

    def _idle(self, now: float) -> bool:
        return (
            self._last is not None
            and now - self._last_record_at >= self._hours_close_idle_seconds
            and self._require_parts().has_open_hours()
        )

    def _cut(self) -> Cut:
        return self._require_parts().pipeline.cut(self._behind_millis, at=self._last)

    # -- commits --------------------------------------------------------------------------------

    def _submit(self, cut: Cut, *, close_hours: bool = False, shard_end: bool = False) -> None:
        # Its bytes are made while the batch before is on its way: services answer meanwhile.
        ready = self._require_parts().committer.prepare(cut)
        self._wait_for_job()
        self._telemetry.commit_began()
        self._committing.submit(Job(cut, ready, close_hours=close_hours, shard_end=shard_end))

    def _wait_for_job(self) -> None:
        """Wait for the batch that is being committed: this is the backpressure.

        At most one more action is read meanwhile, so the daemon's death need not show in the pipe.
        """
        while self._committing.busy:
            self._telemetry.beat("waiting for the commit")
            self._committing.serve(wait=_WAIT_SECONDS)
            if self._committing.busy and self._orphaned():
                raise DaemonGoneError("the daemon died; its shards go on elsewhere")

    def _require_parts(self) -> Parts:
        if self._parts is None:
            raise RuntimeError("the daemon sent another action before initialize")
        return self._parts
