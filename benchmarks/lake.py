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
from consumer.duplicates import Duplicates
from consumer.hours import Hours
from consumer.pipeline import Pipeline, batches
from consumer.scorer import Scorer
from events.instant import MINUTE
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from sinks.memory import MemoryObjectStore
from sinks.parquet import ParquetSink

SAMPLE_SHOPS = 40
SAMPLE_DAYS = 8
BUSY_RECORDS = 270_000
"""Three hours of 200 shops."""

_BATCH_RECORDS = 8_000
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
        Parser(Pseudonymizer(b"a key for the benchmark")).parse,
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


def merged_by_day(files: dict[str, bytes]) -> int:
    """Bytes if the files of each past day were one, written with the same options."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sinks.final_file import ROW_GROUP_ROWS_MAX
    from sinks.schema import FINAL_OPTIONS, SCHEMA

    days: dict[str, list[Any]] = defaultdict(list)
    for key, body in files.items():
        days[key.split("/")[1]].append(pq.ParquetFile(BytesIO(body)).read())
    total = 0
    for tables in days.values():
        keys = [("shop_id", "ascending"), ("occurred_at", "ascending")]
        day = pa.concat_tables(tables).sort_by(keys)
        sink = pa.BufferOutputStream()
        with pq.ParquetWriter(sink, SCHEMA, **FINAL_OPTIONS) as writer:
            table = pa.Table.from_arrays(day.columns, schema=SCHEMA)
            writer.write_table(table, row_group_size=ROW_GROUP_ROWS_MAX)
        total += sink.getvalue().size
    return total


def lake_table() -> None:
    """Both tables: bytes of each stream, and what one shop's day reads."""
    print("Bytes of the lake beside the JSON that came")
    print()
    print("| stream | transactions | lines | JSON MB | files | Parquet MB | share |", end="")
    print(" merged by day, MB | share | CPU-s to publish 100k |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    busy = lake_of("200 busy shops", wire_records(BUSY_RECORDS))
    for lake in (sample(), online_retail(), busy):
        if lake is None:
            print("| Online Retail | not measured: TILLWATCH_ONLINE_RETAIL names no file |")
            continue
        daily = merged_by_day(lake.files)
        print(
            f"| {lake.name} | {lake.transactions:,} | {lake.lines:,} | {lake.json_bytes / 1e6:.1f} "
            f"| {len(lake.files)} | {lake.parquet_bytes / 1e6:.2f} "
            f"| 1/{lake.json_bytes / lake.parquet_bytes:.1f} "
            f"| {daily / 1e6:.2f} | 1/{lake.json_bytes / daily:.1f} "
            f"| {lake.publish_seconds * 100_000 / lake.transactions:.2f} |"
        )
    day = next(iter(busy.files)).split("/")[1].removeprefix("date=")
    shares = [shop_day_share(busy.files, day, f"shop-{shop:03}") for shop in range(0, 200, 20)]
    print()
    print(f"One shop's day of 200 shops reads {sum(shares) / len(shares):.1%} of the day's bytes")
    print(f"on average, {max(shares):.1%} at most (ten shops).")
