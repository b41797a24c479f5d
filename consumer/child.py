"""The daemon's child: one shard's process. Standard output belongs to the protocol."""

import logging
import os
import sys
import threading
import time

from anomaly.detector import DetectorConfig
from consumer.checkpoint import Committed, Committer
from consumer.duplicates import Duplicates
from consumer.garbage import Garbage
from consumer.hours import Hours
from consumer.logs import JsonFormatter, configure
from consumer.multilang import Conversation
from consumer.pipeline import Pipeline
from consumer.scorer import Scorer
from consumer.services import Services
from consumer.settings import Settings, load
from consumer.shard import Parts, ShardProcessor
from consumer.snapshot import Snapshots, State
from events.instant import SECOND, Instant
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from sinks.arrow_memory import leave_pandas_out

_log = logging.getLogger("tillwatch.child")


class Assembly:
    """Puts a shard's parts together once the daemon has said which shard, and from where."""

    def __init__(self, settings: Settings, stop: threading.Event, logs: JsonFormatter) -> None:
        self._settings = settings
        self._stop = stop
        self._logs = logs
        self._garbage = Garbage()

    def build(self, shard_id: str, checkpoint: Position | None) -> Parts:
        """The pipeline and committer of `shard_id`, restored to exactly `checkpoint`."""
        settings = self._settings
        self._logs.context["shard_id"] = shard_id
        services = Services(settings, self._stop)
        snapshots = Snapshots(services.snapshot_store, shard_id, settings.key_groups)
        state = State() if checkpoint is None else snapshots.load(checkpoint.slug)
        config = detector_config(settings)
        duplicates = Duplicates(settings.duplicates_remembered_min)
        duplicates.restore(state.duplicates)
        hours = Hours(shard_id, int(settings.lateness_seconds * SECOND), state.hours)
        # What was restored is in `duplicates` now; the snapshots to come take it from there.
        state.duplicates = []
        scorer = Scorer(config, state.shops, state.groups)
        _log.info(
            "shard taken",
            extra={
                "position": checkpoint.slug if checkpoint else None,
                "shops": len(state.shops),
                "open_hours": len(hours.state.open),
            },
        )
        committer = Committer(
            services.sinks,
            services.dead_letters,
            services.lake,
            snapshots,
            hours,
            state,
            config.model_version(),
        )
        pipeline = build_pipeline(settings, scorer, duplicates, hours.state.watermark)
        self._garbage.start()
        return Parts(
            pipeline,
            committer,
            base_due=lambda: snapshots.base_due,
            has_open_hours=lambda: bool(hours.state.open),
        )

    def committed(self, committed: Committed) -> None:
        """Say what one commit did."""
        self._garbage.after_batch()
        self._logs.context["position"] = committed.position
        _log.info(
            "committed",
            extra={
                "records": committed.records,
                "scored": committed.scored,
                "rejections": committed.rejections,
                "snapshot_bytes": committed.snapshot_bytes,
                "hours_published": committed.hours_published,
            },
        )


def detector_config(settings: Settings) -> DetectorConfig:
    """The detector's configuration as the settings give it."""
    return DetectorConfig(
        key_groups=settings.key_groups, pages_per_shop_week=settings.pages_per_shop_week
    )


def build_pipeline(
    settings: Settings, scorer: Scorer, duplicates: Duplicates, watermark: Instant | None = None
) -> Pipeline:
    """The pipeline of one shard around its restored state."""
    pseudonymize = Pseudonymizer(settings.pseudonym_key.get_secret_value().encode())
    parser = Parser(
        pseudonymize,
        required_fields=settings.required_fields,
        future_max=int(settings.future_seconds_max * SECOND),
    )
    return Pipeline(
        parser.parse,
        scorer,
        duplicates,
        key_groups=settings.key_groups,
        batch_records_max=settings.batch_records_max,
        batch_bytes_max=settings.batch_bytes_max,
        lateness=int(settings.lateness_seconds * SECOND),
        watermark=watermark,
    )


def main() -> None:
    """Serve the daemon until it closes the pipe; an unexpected error ends the process with 1."""
    # The protocol's stream is taken away from print() before anything can write to it by mistake.
    protocol = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    leave_pandas_out()
    settings = load()
    logs = configure(settings.log_level, pid=os.getpid())
    stop = threading.Event()
    assembly = Assembly(settings, stop, logs)
    processor = ShardProcessor(
        Conversation(sys.stdin.buffer, protocol),
        assembly.build,
        stop=stop,
        clock=time.monotonic,
        batch_seconds_max=settings.batch_seconds_max,
        hours_close_idle_seconds=settings.hours_close_idle_seconds,
        on_commit=assembly.committed,
    )
    try:
        processor.run()
    except BaseException:  # noqa: BLE001 -- whatever it is, the process ends with it logged
        _log.critical("ending: the shard goes on from its last checkpoint", exc_info=True)
        logging.shutdown()
        # Without waiting for threads that may hang in a call: the daemon must notice at once.
        os._exit(1)


if __name__ == "__main__":
    main()
