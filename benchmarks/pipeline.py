"""Table (a): parse, score, bulk body, Parquet bytes, without services, beside a tutorial's way."""

import json
import threading
import time
from collections.abc import Callable
from datetime import datetime
from io import BytesIO

import msgspec

from anomaly.detector import DetectorConfig
from benchmarks.instant_search import instant_client, taken_bytes
from benchmarks.records import wire_records
from consumer.duplicates import Duplicates
from consumer.garbage import Garbage
from consumer.pipeline import Pipeline, batches
from consumer.scorer import Scorer
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from sinks.memory import MemoryObjectStore
from sinks.opensearch import OpenSearchSink
from sinks.parquet import ParquetSink

RECORDS = 100_000
WARM_UP_RECORDS = 2_000
BATCH_RECORDS = 8_000


class Measured(msgspec.Struct, frozen=True):
    """CPU-seconds per stage for `records` records, and what came out."""

    name: str
    records: int
    cpu_seconds: float
    stages: dict[str, float]
    refunds: int
    bulk_bytes: int
    parquet_bytes: int

    @property
    def records_per_cpu_second(self) -> float:
        """The figure that the promise is made of."""
        return self.records / self.cpu_seconds


class _Meter:
    """CPU time of this process, by stage."""

    def __init__(self) -> None:
        self.stages: dict[str, float] = {}
        self._last = time.process_time()

    def stage(self, name: str) -> None:
        now = time.process_time()
        self.stages[name] = self.stages.get(name, 0.0) + now - self._last
        self._last = now


def the_pipeline() -> Pipeline:
    """Our pipeline, as the consumer makes it."""
    config = DetectorConfig()
    return Pipeline(
        Parser(Pseudonymizer(b"a key for the benchmark")).parse_all,
        Scorer(config),
        Duplicates(20_000),
        key_groups=config.key_groups,
        batch_records_max=BATCH_RECORDS,
        batch_bytes_max=64 * 2**20,
    )


def tillwatch(count: int) -> Measured:
    """Our pipeline, as the consumer runs it, up to the bytes."""
    records = [
        Record(Position("shard", str(number)), data, shop, None)
        for number, (shop, data) in enumerate(wire_records(count))
    ]
    pipeline = the_pipeline()
    store = MemoryObjectStore()
    lake = ParquetSink(store)
    search = instant_client()
    index = OpenSearchSink(search, threading.Event())
    refunds = 0
    garbage = Garbage()
    garbage.start()
    meter = _Meter()
    for cut in batches(pipeline, records):
        meter.stage("parse, score, state to bytes")
        if index.write(cut.batch).rejections:
            raise RuntimeError("no record of the benchmark may be refused")
        meter.stage("bulk bodies")
        lake.write(cut.batch)
        meter.stage("Parquet bytes")
        refunds += sum(1 for scored in cut.batch.scored if scored.score is not None)
        garbage.after_batch()
    parquet_bytes = sum(len(store.get(key)) for key in store.keys("staging/"))
    return Measured(
        "Tillwatch",
        count,
        sum(meter.stages.values()),
        meter.stages,
        refunds,
        taken_bytes(search),
        parquet_bytes,
    )


def tutorial(count: int) -> Measured:
    """The way tutorials write it: json.loads, a forest per refund, dicts, pandas to Parquet."""
    import pandas as pd
    from opensearchpy import helpers
    from river import anomaly, compose, preprocessing

    records = wire_records(count)
    model = compose.Pipeline(
        preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=25, height=8, seed=17)
    )
    search = instant_client()
    refunds = parquet_bytes = 0
    meter = _Meter()
    for start in range(0, count, BATCH_RECORDS):
        rows = []
        for number, (_, data) in enumerate(records[start : start + BATCH_RECORDS], start):
            row = json.loads(data)
            at = datetime.fromisoformat(row["occurred_at"])
            row["total"] = float(row["total"])
            row["score"] = None
            if row["type"] == "REFUND":
                features = {"total": row["total"], "hour": at.hour + at.minute / 60}
                row["score"] = model.score_one(features)
                model.learn_one(features)
                refunds += 1
            row["sequence_number"] = str(number)
            row["date"], row["hour"] = f"{at:%Y-%m-%d}", at.hour
            rows.append(row)
        meter.stage("parse, score")
        to_index = [
            {
                "_op_type": "index",
                "_index": f"transactions-{row['date']}",
                "_id": row["transaction_id"],
                "_source": row,
            }
            for row in rows
        ]
        helpers.bulk(search, to_index)
        meter.stage("bulk bodies")
        frame = pd.DataFrame(rows)
        frame["occurred_at"] = pd.to_datetime(frame["occurred_at"])
        for _, hour in frame.groupby(["date", "hour"]):
            out = BytesIO()
            hour.to_parquet(out)
            parquet_bytes += out.tell()
        meter.stage("Parquet bytes")
    return Measured(
        "the tutorials' way",
        count,
        sum(meter.stages.values()),
        meter.stages,
        refunds,
        taken_bytes(search),
        parquet_bytes,
    )


VARIANTS: dict[str, Callable[[int], Measured]] = {"tillwatch": tillwatch, "tutorial": tutorial}
