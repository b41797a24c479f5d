"""`tillwatch demo`: everything here, on this machine."""

import shlex
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
import msgspec

from local.counts import Counts, count
from local.drained import StuckError, wait_until_drained
from local.ending import Ending
from local.feeder import Feeder
from local.jars import JarsError
from local.mailbox import Mailbox, line
from local.part import Part, PartError
from local.producer import ProducerError
from local.stack import DEFAULT_STATE, Stack
from local.state_folder import StateFolderError
from local.stream_reading import contents
from local.trouble import trouble
from local.worker import (
    CONSOLE_STOP_SECONDS_MAX,
    WORKER_STOP_SECONDS_MAX,
    start_console,
    start_worker,
)

_TICK_SECONDS = 0.5
_STATUS_SECONDS = 60.0
_ONCE_SETTINGS = {"TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "5"}
_EXPECTED = (JarsError, PartError, ProducerError, StateFolderError, StuckError)
_INTERRUPTED = 130


class Demo:
    """One demo: its stack, its worker, its feed, and what it tells on the way."""

    def __init__(self, stack: Stack, parts: ExitStack) -> None:
        self._stack = stack
        self._parts = parts
        made = stack.provisioned
        self._kinesis = stack.aws.client("kinesis")
        self._mailbox = Mailbox(stack.aws.client("sqs"), made.pages_queue_url)
        self.feeder = Feeder(self._kinesis, made.stream, tell)
        self._watched: list[Part] = []
        self._worker: Part | None = None

    def start_worker(self, settings: dict[str, str] | None = None) -> None:
        """Start the worker; it takes some seconds until its first record."""
        self._worker = start_worker(self._stack, settings)
        self._watched.append(self._worker)
        self._parts.callback(self.stop_worker)
        tell(f"worker started (tillwatch run, log in {self._worker.log})")

    def stop_worker(self) -> None:
        """End the feed, then the worker, which makes its last checkpoints; safe to call twice."""
        self.feeder.stop()
        if self._worker is not None and self._worker.exit_code is None:
            tell("ending the worker: it makes its last checkpoints")
            self._watched.remove(self._worker)
            self._worker.stop(WORKER_STOP_SECONDS_MAX)
            self.relay_pages()

    def start_console(self) -> str:
        """Start the live page; print its address, and return it."""
        part, address = start_console(self._stack)
        self._watched.append(part)
        self._parts.callback(part.stop, CONSOLE_STOP_SECONDS_MAX)
        tell(f"live page: {address}")
        return address

    def tell_how_to_ask(self) -> None:
        """How history is asked, over the files that the AWS endpoint keeps its objects in."""
        made, objects = self._stack.provisioned, self._stack.aws.objects
        folder = next(objects.glob(f"*/{made.bucket}"), None)
        if folder is not None:
            query = "SELECT * FROM sales_daily ORDER BY date DESC, shop_id"
            tell(f'history: tillwatch sql --lake {shlex.quote(str(folder))} "{query}"')

    def relay_pages(self) -> None:
        """Tell the pages that were sent since the last time."""
        while pages := self._mailbox.take():
            for page in pages:
                tell(line(page))

    def check(self) -> None:
        """Relay pages, and see to it that nothing has died.

        Raises:
            PartError: a part ended by itself.
            ProducerError: the stream did not take a record.
        """
        self.relay_pages()
        if self.feeder.error is not None:
            raise self.feeder.error
        for part in self._watched:
            if part.exit_code is not None:
                raise PartError(f"{part.name} ended with {part.exit_code}:\n{trouble(part)}")

    def watch(self) -> None:
        """Go on until interrupted."""
        status_at = time.monotonic() + _STATUS_SECONDS
        while True:
            self.check()
            if time.monotonic() >= status_at and not self.feeder.done:
                tell(f"put {self.feeder.put:,} records so far")
                status_at = time.monotonic() + _STATUS_SECONDS
            time.sleep(_TICK_SECONDS)

    def drain(self) -> Counts:
        """Wait until all that is fed came out at the other end; count it there."""
        began = time.monotonic()
        while not self.feeder.done:
            self.check()
            time.sleep(_TICK_SECONDS)
        self.check()
        made = self._stack.provisioned
        found = contents(self._kinesis, made.stream, made.shards)
        tell(f"put {self.feeder.put:,} records; waiting until all are through")
        try:
            wait_until_drained(
                self._stack.aws,
                made,
                found.tips,
                check=self.check,
                progress=self._stack.node.written if self._stack.node else lambda: None,
            )
        except StuckError as error:
            said = trouble(self._worker) if self._worker else ""
            raise StuckError(f"{error}\n{said}") from error
        seconds = time.monotonic() - began
        tell(f"drained in {seconds:.1f} s")
        self.stop_worker()
        return count(self._stack, found, seconds)


@click.command()
@click.option("--once", is_flag=True, help="End when the input is drained; print one JSON line.")
@click.option(
    "--input",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Wire JSONL to put onto the stream, .gz or not, instead of samples.",
)
@click.option("--shards", type=click.IntRange(1, 16), default=1, show_default=True)
@click.option(
    "--speedup",
    type=click.FloatRange(min=0, min_open=True),
    default=240.0,
    show_default=True,
    help="Event time that passes in one second, after a fast history of two weeks.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="What samples are drawn from.")
@click.option(
    "--state",
    type=click.Path(file_okay=False, path_type=Path),
    default=DEFAULT_STATE,
    show_default=True,
    help="The one folder that state lies in; it is emptied first.",
)
@click.option("--keep", is_flag=True, help="Leave the folder behind: Parquet files, logs.")
def demo(
    *,
    once: bool,
    source: Path | None,
    shards: int,
    speedup: float,
    seed: int,
    state: Path,
    keep: bool,
) -> None:
    """Bring up AWS and OpenSearch on this machine, feed them, and watch.

    Forty made-up shops, thieves among their cashiers, go through the worker that production runs.
    Ctrl-C ends everything in order; a second one at once. With --once the last line, on stdout, is
    the summary: every figure in it is counted where it lies.
    """
    ending = Ending()
    ending.watch()
    counts = None
    try:
        with _running(ending, state, shards=shards, keep=keep) as running:
            if source is not None:
                running.feeder.start_file(source)
            elif once:
                running.feeder.start_samples(seed)
            else:
                running.feeder.start_live(seed, speedup)
            if once:
                running.start_worker(_ONCE_SETTINGS)
                counts = running.drain()
                if keep:
                    running.tell_how_to_ask()
            else:
                running.start_worker({"TILLWATCH_LIVE_VIEW_URL": running.start_console()})
                running.tell_how_to_ask()
                running.watch()
    except KeyboardInterrupt:
        tell("ended; every part is gone")
        if once:
            sys.exit(_INTERRUPTED)
    except _EXPECTED as error:
        raise click.ClickException(f"{error}\nstate and logs are left in {state}") from error
    if keep:
        tell(f"state is left in {state}")
    if counts is not None:
        click.echo(msgspec.json.encode(counts))


@contextmanager
def _running(ending: Ending, state: Path, *, shards: int, keep: bool) -> Iterator[Demo]:
    """A stack with nothing running on it yet; everything is ended in order behind it."""
    with Stack(state, shards=shards, keep=keep, progress=tell) as stack, ExitStack() as parts:
        try:
            yield Demo(stack, parts)
        finally:
            ending.begin()
            parts.close()
            tell("ending OpenSearch and the AWS endpoint")


_BEGAN = time.monotonic()


def tell(what: str) -> None:
    """One line of progress on stderr, with the seconds since the start."""
    click.echo(f"[{time.monotonic() - _BEGAN:7.1f} s] {what}", err=True)
