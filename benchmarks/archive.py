"""Table (g): what the raw archive costs, in CPU and in bytes, by zstd's level."""

import time

from benchmarks.records import wire_records
from events.batch import Batch
from events.position import Position
from events.record import Record
from sinks import archive_object
from sinks.archive import ArchiveSink
from sinks.archive_seal import KEY_BYTES, Keys
from sinks.memory import MemoryObjectStore

RECORDS = 80_000
BATCH_RECORDS = 8_000
ROUNDS = 3
LEVELS = (1, 2, 3)
_SEQUENCE = 49_590_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000_000
_ARRIVED = 1_767_614_400_000_000
_KEYS = Keys(b"k" * KEY_BYTES)


def archive_table() -> None:
    """Print it; the level that the program uses is the first."""
    records = [
        Record(
            Position("shardId-000000000000", str(_SEQUENCE + number * 1_201)),
            data,
            shop,
            _ARRIVED + number * 1_000,
        )
        for number, (shop, data) in enumerate(wire_records(RECORDS))
    ]
    size = sum(len(record.data) for record in records)
    print(f"\n{RECORDS:,} records of {size / RECORDS:.0f} bytes, {BATCH_RECORDS:,} a batch\n")
    print("| zstd's level | µs of CPU a record | bytes a record | of what came | µs to read one |")
    print("|---|---|---|---|---|")
    used = archive_object.LEVEL
    for level in LEVELS:
        archive_object.LEVEL = level  # type: ignore[misc]  # measured, and put back
        wrote, store = min((_written(records) for _ in range(ROUNDS)), key=lambda it: it[0])
        bodies = {key: store.get(key) for key in store.keys("")}
        began = time.process_time()
        read = sum(len(archive_object.decode(*it, _KEYS).records) for it in bodies.items())
        spent = time.process_time() - began
        assert read == RECORDS  # noqa: S101 -- a figure for something else would be wrong
        kept = sum(map(len, bodies.values()))
        print(
            f"| {level} | {wrote / RECORDS * 1e6:.2f} | {kept / RECORDS:.1f} | 1/{size / kept:.1f} "
            f"| {spent / RECORDS * 1e6:.2f} |"
        )
    archive_object.LEVEL = used  # type: ignore[misc]  # as it was


def _written(records: list[Record]) -> tuple[float, MemoryObjectStore]:
    store = MemoryObjectStore()
    sink = ArchiveSink(store, "tills", _KEYS)
    began = time.process_time()
    for start in range(0, len(records), BATCH_RECORDS):
        raw = tuple(records[start : start + BATCH_RECORDS])
        sink.write(Batch((), (), (), raw[0].position, raw[-1].position, len(raw), raw=raw))
    return time.process_time() - began, store
