"""The daemon's child: one shard's process. Standard output belongs to the protocol."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from io import FileIO
from typing import TYPE_CHECKING

import msgspec

from consumer.candidate import detector_config
from consumer.checkpoint import Committer
from consumer.committing import CommittingThread
from consumer.duplicates import Duplicates
from consumer.garbage import Garbage
from consumer.golden import GoldenScores
from consumer.halt import halt
from consumer.handed import handed
from consumer.handover import take_over
from consumer.hours import Hours
from consumer.lines import widen
from consumer.logs import JsonFormatter, configure
from consumer.multilang import Conversation, DaemonGone
from consumer.orphan import Parent
from consumer.outbox import Outbox
from consumer.parser import parser_of
from consumer.pipeline import Pipeline
from consumer.reject_share import RejectShare
from consumer.rotation import Rotation
from consumer.scorer import Scorer
from consumer.services import Services
from consumer.shard import Parts, ShardProcessor
from consumer.snapshot import State
from consumer.snapshot_history import SnapshotHistory
from consumer.snapshots import Restored, Snapshots
from consumer.telemetry import Commit, Telemetry
from events.instant import DAY, HOUR, SECOND, Instant
from events.native import in_words
from events.position import Position
from sinks.arrow_memory import import_lean_arrow
from sinks.object_store import ObjectStore

if TYPE_CHECKING:
    from consumer.settings import Settings

_log = logging.getLogger("tillwatch.child")


class Assembly:
    """Puts a shard's parts together once the daemon has said which shard, and from where."""

    def __init__(
        self,
        settings: Settings,
        stop: threading.Event,
        logs: JsonFormatter,
        telemetry: Telemetry | None = None,
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._logs = logs
        self._telemetry = telemetry or Telemetry(None)
        self._garbage = Garbage()
        self._outbox: Outbox | None = None

    def build(self, shard_id: str, checkpoint: Position | None) -> Parts:
        """The pipeline and committer of `shard_id`, restored to exactly `checkpoint`.

        Raises:
            FencedOff: another worker holds the shard.
            SnapshotError: what there is to begin with cannot be used.
        """
        settings = self._settings
        self._logs.context["shard_id"] = shard_id
        services = Services(settings, self._stop, self._telemetry)
        snapshots = Snapshots(
            services.snapshot_store,
            services.fence,
            settings.own_application,
            shard_id,
            settings.key_groups,
            GoldenScores(settings.key_groups),
            _history(settings, services.snapshot_store, shard_id),
        )
        snapshots.take(services.lease)
        restored, parents, known = _restored(snapshots, services, shard_id, checkpoint, settings)
        state = restored.state
        config = detector_config(settings)
        duplicates = Duplicates(settings.duplicates_remembered_min)
        duplicates.restore(state.duplicates)
        hours = Hours(shard_id, int(settings.lateness_seconds * SECOND), state.hours)
        scorer = Scorer(config, state.shops, state.groups)
        self._outbox = Outbox(
            services.pager.send,
            self._stop,
            state.pages,
            count_retry=self._telemetry.count_aside,
        )
        self._telemetry.watch_pages(self._outbox.count)
        committer = Committer(
            services.sinks,
            services.dead_letters,
            services.lake,
            snapshots,
            hours,
            self._outbox,
            state,
            config.model_version(),
            stop=self._stop,
            reject_share=RejectShare(settings.rejected_share_max, state.rejects),
        )
        pipeline = build_pipeline(
            settings,
            scorer,
            duplicates,
            rotation=Rotation(state.shops, restored.slices),
            watermark=state.hours.watermark,
            after=checkpoint,
        )
        pipeline.skip(known)
        if services.shadow is not None:
            services.shadow.watch(shard_id, config, checkpoint, known, state.hours, pipeline)
        _say_taken(checkpoint, parents, state, len(hours.state.open))
        self._garbage.start()
        self._outbox.start()
        return Parts(pipeline, committer, has_open_hours=lambda: bool(hours.state.open))

    def committed(self, commit: Commit) -> None:
        """Say what one commit did."""
        self._garbage.after_batch()
        self._logs.context["position"] = commit.position
        self._telemetry.committed(commit)
        _log.info("committed", extra=msgspec.structs.asdict(commit))

    def end(self) -> None:
        """Wait for the page that is on its way, if there is one."""
        if self._outbox is not None:
            self._outbox.end()


def _say_taken(
    checkpoint: Position | None, parents: tuple[str, ...], state: State, open_hours: int
) -> None:
    _log.info(
        "shard taken",
        extra={
            "position": checkpoint.slug if checkpoint else None,
            "parents": parents,
            "shops": len(state.shops),
            "open_hours": open_hours,
            "pages_waiting": len(state.pages),
            "hot_path": in_words(),
        },
    )


def _restored(
    snapshots: Snapshots,
    services: Services,
    shard_id: str,
    checkpoint: Position | None,
    settings: Settings,
) -> tuple[Restored, tuple[str, ...], Position | None]:
    """What the shard begins with: its own snapshot, or what its parents left it; a shadow more.

    The Position is where the state stands, if the stream is read from before that.
    """
    if checkpoint is not None:
        return snapshots.load(checkpoint.slug), (), None
    state, parents = take_over(snapshots, services.lineage, shard_id, settings.key_groups)
    if services.shadow is not None and not parents:
        begun = services.shadow.begin(shard_id, snapshots, detector_config(settings))
        return begun.restored, (), begun.position
    return Restored(state), parents, None


def _history(settings: Settings, store: ObjectStore, shard_id: str) -> SnapshotHistory | None:
    if settings.shadow is not None:
        return None
    period, kept = settings.history_hours * HOUR, settings.retention_days * DAY
    return SnapshotHistory(store, settings.application, shard_id, period=period, kept=kept)


def build_pipeline(
    settings: Settings,
    scorer: Scorer,
    duplicates: Duplicates,
    *,
    rotation: Rotation | None = None,
    watermark: Instant | None = None,
    after: Position | None = None,
) -> Pipeline:
    """The pipeline of one shard around its restored state."""
    return Pipeline(
        parser_of(settings).parse_all,
        scorer,
        duplicates,
        rotation=rotation,
        key_groups=settings.key_groups,
        batch_records_max=settings.batch_records_max,
        batch_bytes_max=settings.batch_bytes_max,
        lateness=int(settings.lateness_seconds * SECOND),
        watermark=watermark,
        keeps_records=settings.archive_key is not None and settings.shadow is None,
        after=after,
    )


def main() -> None:
    """Serve the daemon until it closes the pipe; an unexpected error ends the process with 1."""
    # The protocol's stream is taken away from print() before anything can write to it by mistake.
    parent = Parent()
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    source = FileIO(sys.stdin.fileno(), closefd=False)
    widen(source.fileno())
    import_lean_arrow()
    settings = handed()
    logs = configure(settings.log_level, pid=os.getpid())
    stop = threading.Event()
    telemetry = Telemetry.of_this_process()
    assembly = Assembly(settings, stop, logs, telemetry)
    processor = ShardProcessor(
        Conversation(source, protocol),
        assembly.build,
        CommittingThread(assembly.committed),
        stop=stop,
        clock=time.monotonic,
        batch_seconds_max=settings.batch_seconds_max,
        hours_close_idle_seconds=settings.hours_close_idle_seconds,
        telemetry=telemetry,
        orphaned=lambda: parent.gone,
    )
    try:
        processor.run()
        assembly.end()
    except BaseException as error:  # noqa: BLE001 -- whatever it is, the process ends with it
        if isinstance(error, DaemonGone):  # the supervisor says what became of it
            _log.warning("ending: the daemon is gone; the shard goes on from its last checkpoint")
        else:
            _log.critical("ending: the shard goes on from its last checkpoint", exc_info=True)
        halt(error, telemetry, lambda: parent.gone)
        logging.shutdown()
        # Without waiting for threads that may hang in a call: the daemon must notice at once.
        os._exit(1)


if __name__ == "__main__":
    main()
