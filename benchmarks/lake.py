"""What lies in the lake: bytes beside the JSON that came, and bytes read for one shop's day."""

import os
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec

from anomaly.detector import DetectorConfig
from benchmarks.records import wire_records
from consumer.compaction import Compaction
from consumer.duplicates import Duplicates
from consumer.hours import Hours
from consumer.pipeline import Pipeline, batches
from consumer.scorer import Scorer
from events.instant import DAY, MINUTE, Instant
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from sinks.manifest import MANIFESTS
from sinks.memory import MemoryObjectStore
from sinks.parquet import ParquetSink

SAMPLE_SHOPS = 40
SAMPLE_DAYS = 8
BUSY_RECORDS = 270_000
"""Three hours of 200 shops."""

_BATCH_RECORDS = 8_000
_FAR: Instant = 36_525 * DAY
"""Long after every day of the streams."""
_LATENESS = 15 * MINUTE


class Lake(msgspec.Struct, frozen=True):
    """One stream's published files: bytes by key, and what went in."""

    name: str
    transactions: int
    lines: int
    json_bytes: int
    files: dict[str, bytes]
    publish_seconds: float
    """CPU of merging the staged parts into them."""

    @property
    def parquet_bytes(self) -> int:
        """All of them together."""
        return sum(map(len, self.files.values()))


def lake_of(name: str, stream: Iterable[tuple[str, bytes]]) -> Lake:
    """What a shard's worker publishes of `stream`, all hours closed at its end."""
    config = DetectorConfig()
    pipeline = Pipeline(
        Parser(Pseudonymizer(b"a key for the benchmark")).parse_all,
        Scorer(config),
        Duplicates(20_000),
        key_groups=config.key_groups,
        batch_records_max=_BATCH_RECORDS,
        batch_bytes_max=64 * 2**20,
    )
    store = MemoryObjectStore()
    sink = ParquetSink(store)
    hours = Hours("shard", _LATENESS)
    transactions = lines = json_bytes = 0
    seconds = 0.0
    for cut in batches(pipeline, _records(stream)):
        hours.add(sink.write(cut.batch).staged, cut.watermark)
        hours.close()
        seconds += _publish(sink, hours)
        transactions += len(cut.batch.scored)
        lines += sum(len(scored.transaction.lines) for scored in cut.batch.scored)
        json_bytes += sum(len(scored.data) for scored in cut.batch.scored)
    hours.close(everything=True)
    seconds += _publish(sink, hours)
    files = {key: store.get(key) for key in store.keys("processed/")}
    return Lake(name, transactions, lines, json_bytes, files, seconds)


def _publish(sink: ParquetSink, hours: Hours) -> float:
    closed = list(hours.state.to_publish)
    began = time.process_time()
    sink.publish_many(closed)
    seconds = time.process_time() - began
    sink.discard(hours.published(closed))
    return seconds


def _records(stream: Iterable[tuple[str, bytes]]) -> Iterator[Record]:
    for number, (shop, data) in enumerate(stream):
        # As long as Kinesis' own.
        yield Record(
            Position("shardId-000000000000", f"{49_590 * 10**51 + number}"), data, shop, None
        )


class _Counted(BytesIO):
    """A file that notes how many bytes of it were read."""

    read_bytes = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.read_bytes += len(data)
        return data


def shop_day_share(files: dict[str, bytes], day: str, shop: str) -> float:
    """Bytes that a reader with statistics takes of the day's files for all rows of `shop`."""
    import pyarrow as pa
    import pyarrow.dataset as ds

    form = ds.ParquetFileFormat()
    whole = read = 0
    for key, body in files.items():
        if f"date={day}/" not in key:
            continue
        file = _Counted(body)
        fragment: Any = form.make_fragment(pa.PythonFile(file, mode="r"))
        fragment.to_table(filter=ds.field("shop_id") == shop, use_threads=False)
        whole += len(body)
        read += file.read_bytes
    return read / whole


def by_column(files: dict[str, bytes]) -> dict[str, int]:
    """Packed bytes of every column, and of what is no column, over all files."""
    import pyarrow.parquet as pq

    sizes: dict[str, int] = defaultdict(int)
    for body in files.values():
        metadata = pq.ParquetFile(BytesIO(body)).metadata
        columns = 0
        for group in range(metadata.num_row_groups):
            for index in range(metadata.num_columns):
                column = metadata.row_group(group).column(index)
                sizes[column.path_in_schema] += column.total_compressed_size
                columns += column.total_compressed_size
        sizes["(metadata)"] += len(body) - columns
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def sample() -> Lake:
    """The sample stream of about 66,000 transactions."""
    from local.samples import sample_stream

    stream = sample_stream(1, shops=SAMPLE_SHOPS, days=SAMPLE_DAYS)
    return lake_of("sample stream", ((one.shop_id, one.data) for one in stream))


def online_retail() -> Lake | None:
    """The data set that `TILLWATCH_ONLINE_RETAIL` names; None without it."""
    from local.online_retail import read_invoices, to_wire

    named = os.environ.get("TILLWATCH_ONLINE_RETAIL")
    if not named:
        return None
    return lake_of("Online Retail", map(to_wire, read_invoices(Path(named))))


def compacted(files: dict[str, bytes], *, months: bool = False) -> tuple[dict[str, bytes], float]:
    """What `tillwatch compact` leaves of `files`, manifests and plans with it, and its CPU."""
    store = MemoryObjectStore()
    for key, body in files.items():
        store.put(key, body)
    now = [_FAR]
    compaction = Compaction(store, lambda: now[0], lambda _: None, months=months)
    began = time.process_time()
    while (due := compaction.run()) is not None:
        now[0] = due
    seconds = time.process_time() - began
    if store.keys("processed/"):
        raise AssertionError("not everything was merged")
    return {key: store.get(key) for key in store.keys("compacted/")}, seconds


def lake_table() -> None:
    """Both tables: bytes of each stream, and what one shop's day reads."""
    print("Bytes of the lake beside the JSON that came")
    print()
    print("| stream | transactions | lines | JSON MB | files | as | Parquet MB | share |", end="")
    print(" of it manifests, KB | CPU-s for 100k |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    busy = lake_of("200 busy shops", wire_records(BUSY_RECORDS))
    for lake in (sample(), online_retail(), busy):
        if lake is None:
            print("| Online Retail | not measured: TILLWATCH_ONLINE_RETAIL names no file |")
            continue
        _row(lake, "hours", lake.files, lake.publish_seconds)
        _row(lake, "days", *compacted(lake.files))
        if lake is not busy:
            _row(lake, "months", *compacted(lake.files, months=True))
    day = next(iter(busy.files)).split("/")[1].removeprefix("date=")
    shops = [f"shop-{shop:03}" for shop in range(0, 200, 20)]
    merged = {key: body for key, body in compacted(busy.files)[0].items() if "/days/" in key}
    print()
    print("What one shop's day of 200 shops reads of the day's bytes (ten shops):")
    for name, files in (("in hourly files", busy.files), ("in a merged day", merged)):
        shares = [shop_day_share(files, day, shop) for shop in shops]
        print(f"{name} {sum(shares) / len(shares):.1%} on average, {max(shares):.1%} at most.")


def _row(lake: Lake, form: str, files: dict[str, bytes], seconds: float) -> None:
    rows = {key: len(body) for key, body in files.items() if _of_rows(key)}
    size = sum(map(len, files.values()))
    print(
        f"| {lake.name} | {lake.transactions:,} | {lake.lines:,} | {lake.json_bytes / 1e6:.1f} "
        f"| {len(rows)} | {form} | {size / 1e6:.2f} | 1/{lake.json_bytes / size:.1f} "
        f"| {(size - sum(rows.values())) / 1e3:.0f} "
        f"| {seconds * 100_000 / lake.transactions:.1f} |"
    )


def _of_rows(key: str) -> bool:
    return key.endswith(".parquet") and not key.startswith(MANIFESTS)
