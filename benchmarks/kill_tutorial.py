"""A KCL record processor as tutorials write it: amazon_kclpy's own sample, with rows in a buffer.

The sample's loop, retries and shutdown are kept; where it says "insert your processing logic here",
a row goes into the buffer of its hour, which is written as one Parquet file when it has 10,000
rows or is 20 s old. `MODES` are three ways to place the checkpoint.
"""

import contextlib
import json
import os
import time
from typing import Any, Literal
from uuid import uuid4

from amazon_kclpy import kcl
from amazon_kclpy.v2 import processor

MODE_VARIABLE = "TUTORIAL_MODE"
Mode = Literal["every call", "sample", "flush first"]
MODES: dict[Mode, str] = {
    "every call": "checkpoint behind every list of records",
    "sample": "checkpoint every 60 s, as the sample has it",
    "flush first": "everything flushed, then the checkpoint, every 10,000 rows",
}
ROWS_MAX = 10_000
FLUSH_SECONDS = 20.0
_CHECKPOINT_SECONDS = 60.0
_CHECKPOINT_TRIES = 5
_SLEEP_SECONDS = 5.0


class TutorialProcessor(processor.RecordProcessorBase):  # type: ignore[misc]  # untyped library
    """Buffers rows by hour, and writes them when there are enough."""

    def __init__(self, mode: Mode) -> None:
        import boto3

        self._mode = mode
        self._s3 = boto3.client("s3", endpoint_url=os.environ["TILLWATCH_AWS_ENDPOINT"])
        self._bucket = os.environ["TILLWATCH_BUCKET"]
        self._hours: dict[str, list[dict[str, Any]]] = {}
        self._largest: tuple[str, int] | None = None
        self._checkpointed_at = self._flushed_at = 0.0

    def initialize(self, initialize_input: Any) -> None:  # noqa: ARG002 -- KCL's own signature
        """Begin with nothing."""
        self._checkpointed_at = self._flushed_at = time.monotonic()

    def process_records(self, process_records_input: Any) -> None:
        """Buffer, flush what is full or old, and checkpoint as the mode has it."""
        for record in process_records_input.records:
            row = json.loads(record.binary_data)
            self._hours.setdefault(row["occurred_at"][:13], []).append(
                {
                    "transaction_id": row["transaction_id"],
                    "shop_id": row["shop_id"],
                    "type": row["type"],
                    "occurred_at": row["occurred_at"],
                    "total": float(row["total"]),
                }
            )
            self._largest = (record.sequence_number, record.sub_sequence_number)
        old = time.monotonic() - self._flushed_at > FLUSH_SECONDS
        if self._mode == "flush first":
            if self._largest and (old or sum(map(len, self._hours.values())) >= ROWS_MAX):
                self._flush(0)
                self._checkpoint(process_records_input.checkpointer)
            return
        self._flush(0 if old else ROWS_MAX)
        since = time.monotonic() - self._checkpointed_at
        if self._largest and (self._mode == "every call" or since > _CHECKPOINT_SECONDS):
            self._checkpoint(process_records_input.checkpointer)

    def shutdown(self, shutdown_input: Any) -> None:
        """Write what is left, and let the shard end."""
        self._flush(0)
        if shutdown_input.reason == "TERMINATE":
            shutdown_input.checkpointer.checkpoint()

    def shutdown_requested(self, shutdown_requested_input: Any) -> None:
        """Write what is left, and checkpoint."""
        self._flush(0)
        shutdown_requested_input.checkpointer.checkpoint()

    def _flush(self, rows_min: int) -> None:
        """Write every hour that has so many rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        for hour in [hour for hour, rows in self._hours.items() if len(rows) >= rows_min]:
            sink = pa.BufferOutputStream()
            pq.write_table(pa.Table.from_pylist(self._hours.pop(hour)), sink)
            key = f"processed/date={hour[:10]}/hour={hour[11:]}/{uuid4()}.parquet"
            self._s3.put_object(Bucket=self._bucket, Key=key, Body=sink.getvalue().to_pybytes())
        if rows_min == 0:
            self._flushed_at = time.monotonic()

    def _checkpoint(self, checkpointer: Any) -> None:
        assert self._largest is not None  # noqa: S101 -- asked before
        for _ in range(_CHECKPOINT_TRIES):
            with contextlib.suppress(kcl.CheckpointError):
                checkpointer.checkpoint(*self._largest)
                break
            time.sleep(_SLEEP_SECONDS)
        self._checkpointed_at = time.monotonic()


if __name__ == "__main__":
    kcl.KCLProcess(TutorialProcessor(os.environ[MODE_VARIABLE])).run()  # type: ignore[arg-type]  # one of them
