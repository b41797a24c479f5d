"""`tillwatch compact`: the small files of past days become few, and no reader notices."""

from __future__ import annotations

import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from consumer.lake_options import settings
from events.instant import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from sinks.object_store import ConditionalStore

GRACE_SECONDS = 2_400.0
SETTLE_SECONDS = 21_600.0


@click.command()
@click.option("--lake", "place", help="s3://bucket, or a folder; TILLWATCH_BUCKET.")
@click.option("--bucket", envvar="TILLWATCH_BUCKET", hidden=True)
@click.option(
    "--grace",
    type=click.FloatRange(0),
    default=GRACE_SECONDS,
    show_default=True,
    help="Seconds that no question takes longer than; Athena's own bound is 1,800.",
)
@click.option(
    "--settle",
    type=click.FloatRange(0),
    default=SETTLE_SECONDS,
    show_default=True,
    help="Seconds after its end that a day is left alone.",
)
@click.option("--months", is_flag=True, help="Past months of few bytes become one file as well.")
@click.option("--wait", is_flag=True, help="Wait for the graces between the steps, to the end.")
def compact(
    *,
    place: str | None,
    bucket: str | None,
    region: str,
    endpoint: str | None,
    grace: float,
    settle: float,
    months: bool,
    wait: bool,
) -> None:
    """Merge the hourly files of past days, a step at a time; run it every hour.

    A run takes each day as far as it may go now: merged files are written, a grace later readers
    are pointed to them, and a grace later what they replace is deleted. Ended at any moment, the
    next run goes on.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from consumer.compaction import Compaction, RowsDiffer
    from sinks.compacted_file import UnknownColumns

    store = _store(place, bucket, region, endpoint)
    with tempfile.TemporaryDirectory(prefix="tillwatch-compact-") as folder:
        compaction = Compaction(
            store,
            lambda: time.time_ns() // 1_000,
            click.echo,
            grace=int(grace * SECOND),
            settle=int(settle * SECOND),
            months=months,
            opened=_spooled(Path(folder)),
        )
        try:
            while (due := compaction.run()) is not None and wait:
                time.sleep(max(0.0, due / SECOND - time.time()))
        except (UnknownColumns, RowsDiffer, BotoCoreError, ClientError, OSError) as error:
            raise click.ClickException(str(error)) from None


def _store(
    place: str | None, bucket: str | None, region: str, endpoint: str | None
) -> ConditionalStore:
    from sinks.directory import DirectoryObjectStore
    from sinks.s3 import S3ObjectStore

    where = place or (f"s3://{bucket}" if bucket else None)
    if where is None:
        raise click.ClickException(
            "where is the lake? Name it with --lake, or set TILLWATCH_BUCKET"
        )
    if not where.startswith("s3://"):
        if not Path(where).is_dir():
            raise click.ClickException(f"there is no {where}")
        return DirectoryObjectStore(Path(where))
    import boto3
    from botocore.config import Config

    client = boto3.client(
        "s3",
        region_name=region,
        endpoint_url=endpoint,
        config=Config(s3={"addressing_style": "path"} if endpoint else None),
    )
    return S3ObjectStore(client, where.removeprefix("s3://").rstrip("/"), threading.Event())


def _spooled(folder: Path) -> Callable[[bytes], Any]:
    """Parquet files on the disk instead of in memory: a large day's are larger than that."""
    import pyarrow.parquet as pq

    def opened(body: bytes) -> Any:
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            file.write(body)
        made = pq.ParquetFile(file.name, memory_map=True)
        Path(file.name).unlink()  # it is there as long as it is open
        return made

    return opened


for _option in reversed(settings()[2:]):  # region and endpoint: nothing else matters here
    compact = _option(compact)
