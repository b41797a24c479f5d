"""Table (a): parse, score, bulk body, Parquet bytes, without services, beside a tutorial's way."""

import json
import time
from collections.abc import Callable
from datetime import datetime
from io import BytesIO

import msgspec

from anomaly.detector import Detector, DetectorConfig
from benchmarks.records import wire_records
from consumer.duplicates import Duplicates
from consumer.pipeline import Pipeline, batches
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from sinks import document
from sinks.bulk import bodies
from sinks.memory import MemoryObjectStore
from sinks.parquet import ParquetSink

RECORDS = 100_000
BATCH_RECORDS = 20_000


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


def _refuse(*_: object) -> None:
    raise RuntimeError("no record of the benchmark may be refused")


def tillwatch() -> Measured:
    """Our pipeline, as the consumer runs it, up to the bytes."""
    records = [
        Record(Position("shard", str(number)), data, shop, None)
        for number, (shop, data) in enumerate(wire_records(RECORDS))
    ]
    config = DetectorConfig()
    pipeline = Pipeline(
        Parser(Pseudonymizer(b"a key for the benchmark")).parse,
        Detector(config),
        Duplicates(20_000),
        key_groups=config.key_groups,
        batch_records_max=BATCH_RECORDS,
        batch_bytes_max=64 * 2**20,
    )
    store = MemoryObjectStore()
    lake = ParquetSink(store)
    refunds = bulk_bytes = 0
    meter = _Meter()
    for cut in batches(pipeline, records):
        meter.stage("parse, score, state to bytes")
        entries = (document.transaction(scored) for scored in cut.batch.scored)
        bulk_bytes += sum(len(body.data) for body in bodies(entries, _refuse))
        meter.stage("bulk bodies")
        lake.write(cut.batch)
        meter.stage("Parquet bytes")
        refunds += sum(1 for scored in cut.batch.scored if scored.score is not None)
    parquet_bytes = sum(len(store.get(key)) for key in store.keys("staging/"))
    return Measured(
        "Tillwatch",
        RECORDS,
        sum(meter.stages.values()),
        meter.stages,
        refunds,
        bulk_bytes,
        parquet_bytes,
    )


def tutorial() -> Measured:
    """The way tutorials write it: json.loads, a forest per refund, dicts, pandas to Parquet."""
    import pandas as pd
    from opensearchpy.helpers import actions
    from opensearchpy.serializer import JSONSerializer
    from river import anomaly, compose, preprocessing

    records = wire_records(RECORDS)
    model = compose.Pipeline(
        preprocessing.MinMaxScaler(), anomaly.HalfSpaceTrees(n_trees=25, height=8, seed=17)
    )
    serializer = JSONSerializer()
    refunds = bulk_bytes = parquet_bytes = 0
    meter = _Meter()
    for start in range(0, RECORDS, BATCH_RECORDS):
        rows = []
        for _, data in records[start : start + BATCH_RECORDS]:
            row = json.loads(data)
            row["score"] = None
            if row["type"] == "REFUND":
                at = datetime.fromisoformat(row["occurred_at"])
                features = {"total": float(row["total"]), "hour": at.hour + at.minute / 60}
                row["score"] = model.score_one(features)
                model.learn_one(features)
                refunds += 1
            rows.append(row)
        meter.stage("parse, score")
        to_index = [
            {"_index": "transactions", "_id": row["transaction_id"], "_source": row} for row in rows
        ]
        chunks = actions._chunk_actions(  # noqa: SLF001 -- what helpers.bulk does before it sends
            map(actions.expand_action, to_index), 500, 100 * 2**20, serializer
        )
        bulk_bytes += sum(len("\n".join(body)) for _, body in chunks)
        meter.stage("bulk bodies")
        out = BytesIO()
        frame = pd.DataFrame(rows)
        frame["total"] = frame["total"].astype(float)
        frame.to_parquet(out, compression="snappy")
        parquet_bytes += out.tell()
        meter.stage("Parquet bytes")
    return Measured(
        "the tutorials' way",
        RECORDS,
        sum(meter.stages.values()),
        meter.stages,
        refunds,
        bulk_bytes,
        parquet_bytes,
    )


VARIANTS: dict[str, Callable[[], Measured]] = {"tillwatch": tillwatch, "tutorial": tutorial}
