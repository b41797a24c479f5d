"""`tillwatch run`: a production worker."""

import logging
import os
import signal
import socket
import sys
import tempfile
import time
from pathlib import Path

import click

from consumer.children import Children
from consumer.daemon import JavaMissingError, prepare
from consumer.handed import hand
from consumer.health import Health, HealthError
from consumer.heartbeat import Bounds
from consumer.log_writer import Descriptor, LogWriter
from consumer.logs import configure
from consumer.measuring import WRITE_SECONDS_MAX, Measuring, to_opensearch
from consumer.metrics import Metrics
from consumer.pseudonym_keys import handed_down
from consumer.search_client import search_client
from consumer.settings import Settings, SettingsError, load
from consumer.supervisor import Supervisor
from consumer.vitals import Vitals

_log = logging.getLogger("tillwatch.run")


@click.command()
def run() -> None:
    """Consume the stream until told to stop (SIGTERM or Ctrl-C), last checkpoints first."""
    try:
        settings = load()
        os.environ.update(handed_down(settings))
        os.environ.update(hand(load()))
        with LogWriter(Descriptor(sys.stderr.fileno())) as log:
            configure(settings.log_level, log)
            # A short path without spaces: KCL splits its program's name at spaces, and a socket's
            # path has a bound of about 100 characters.
            with tempfile.TemporaryDirectory(prefix="tillwatch-") as directory:
                status = _work(settings, Path(directory), log)
            _log.info("ended", extra={"status": status})
    except (SettingsError, JavaMissingError, HealthError) as error:
        raise click.ClickException(str(error)) from error
    sys.exit(status)


def _work(settings: Settings, directory: Path, log: LogWriter) -> int:
    """Supervise a daemon, with metrics and health beside it; the exit status."""
    bounds = Bounds(settings.heartbeat_seconds_max, settings.stalled_seconds_max)
    children = Children(bounds)
    vitals = Vitals(bounds, time.monotonic)
    supervisor = Supervisor(
        prepare(settings, directory),
        directory,
        restarts_max=settings.worker_restarts_max,
        shutdown_seconds_max=settings.shutdown_seconds_max,
        out=log,
        children=children,
        vitals=vitals,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.request_stop())
    metrics = Metrics(children, vitals, lambda: log.dropped)
    measuring = Measuring(
        to_opensearch(
            lambda: search_client(
                settings, connections_max=1, request_seconds_max=WRITE_SECONDS_MAX
            )
        ),
        children,
        worker=f"{socket.gethostname()}:{os.getpid()}",
        seconds=0 if settings.shadow else settings.measurement_seconds,
    )
    health = Health(settings.metrics_host, settings.metrics_port, children, vitals, metrics)
    with health, measuring:
        if settings.shadow is not None:
            _log.info("a shadow: it pages nobody", extra={"application": settings.own_application})
        elif settings.archive_key is None:
            _log.info("there is no raw archive: TILLWATCH_ARCHIVE_KEY is not set")
        return supervisor.run()
