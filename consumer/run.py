"""`tillwatch run`: a production worker."""

import logging
import signal
import sys
import tempfile
from pathlib import Path

import click

from consumer.daemon import JavaMissingError, prepare
from consumer.logs import configure
from consumer.settings import SettingsError, load
from consumer.supervisor import Supervisor


@click.command()
def run() -> None:
    """Consume the stream until told to stop (SIGTERM or Ctrl-C), last checkpoints first."""
    try:
        settings = load()
        configure(settings.log_level)
        # A short path without spaces: KCL splits its program's name at spaces, and a socket's
        # path has a bound of about 100 characters.
        with tempfile.TemporaryDirectory(prefix="tillwatch-") as directory:
            supervisor = Supervisor(
                prepare(settings, Path(directory)),
                Path(directory),
                restarts_max=settings.worker_restarts_max,
                shutdown_seconds_max=settings.shutdown_seconds_max,
            )
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: supervisor.request_stop())
            status = supervisor.run()
    except (SettingsError, JavaMissingError) as error:
        raise click.ClickException(str(error)) from error
    logging.getLogger("tillwatch.run").info("ended", extra={"status": status})
    sys.exit(status)
