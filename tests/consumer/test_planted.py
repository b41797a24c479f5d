"""A planted person in one place after the other: each place alone, without services.

tests/integration/test_privacy.py looks for the same person behind the real worker.
"""

import io
import json
import logging
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest

from anomaly.detector import Detector, DetectorConfig
from anomaly.state import decode_shop
from consumer.logs import JsonFormatter
from events.batch import Batch, Scored
from events.failure import failure
from events.instant import DAY
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.rejection import Rejection
from events.transaction import Transaction
from events.verdict import Verdict, wire_verdict
from sinks import document
from sinks.archive import ArchiveSink
from sinks.archive_seal import Keys
from sinks.bulk import ItemError, bodies, detail_of
from sinks.letter import letter_of, message
from sinks.memory import MemoryObjectStore
from sinks.page_json import page_json
from sinks.page_text import sms, subject, text
from sinks.parquet import ParquetSink
from sinks.sns import publication
from tests.consumer.world import START
from tests.integration.planted import CLEAR, TEXT, broken, found_in, trade

PARSE = Parser(Pseudonymizer(b"a key for tests only")).parse
SHARD = "shardId-000000000000"
ARRIVED = START + 20 * DAY


def records() -> list[Record]:
    data = [*trade()[-60:], *broken()]
    return [
        Record(Position(SHARD, str(number)), body, "shop-1", ARRIVED + number)
        for number, body in enumerate(data, 1)
    ]


def whole(every: list[Record]) -> Batch:
    detector = Detector(DetectorConfig())
    scored, rejections, pages = [], [], []
    for record in every:
        made = PARSE(record)
        if isinstance(made, Transaction):
            seen = detector.observe(made)
            pages += seen.pages if seen else ()
            score = seen.score if seen else None
            scored.append(Scored(record.position, made, score, record.data, record.arrived_at))
        elif isinstance(made, Rejection):
            rejections.append(made)
    return Batch(
        first=every[0].position,
        last=every[-1].position,
        records=len(every),
        scored=tuple(scored),
        pages=tuple(pages),
        rejections=tuple(rejections),
    )


@pytest.fixture(scope="module")
def batch() -> Batch:
    made = whole(records())
    assert len(made.scored) == 60
    assert len(made.rejections) == len(broken())
    return made


def test_every_needle_is_in_what_is_sent() -> None:
    sent = b"".join(record.data for record in records())
    assert found_in(sent) == list(CLEAR)


def test_opensearch(batch: Batch) -> None:
    def refuse(*said: Any) -> None:
        raise AssertionError(said)

    entries = [document.transaction(item) for item in batch.scored]
    entries += [document.page(page) for page in batch.pages]
    entries += [document.rejection(rejection) for rejection in batch.rejections]
    said = PARSE(Record(Position(SHARD, "99"), wire_verdict(verdict()), "shop-1", START))
    assert isinstance(said, Verdict)
    entries.append(document.said(said))
    (body,) = bodies(entries, refuse)
    assert len(body.sources) == len(entries)
    assert found_in(body.data) == []


def verdict() -> Verdict:
    return Verdict("p-1", "shop-1", "card", "ok", START, by=TEXT, note=TEXT)


def test_parquet(batch: Batch) -> None:
    store = MemoryObjectStore()
    ParquetSink(store).write(batch)
    (key,) = store.keys("")
    table = pq.ParquetFile(io.BytesIO(store.get(key))).read()
    assert len(table) == 60
    for name in table.column_names:
        assert found_in(repr(table[name].to_pylist())) == [], name


def test_the_archive_is_sealed() -> None:
    """It keeps what came, by design: only who has its key reads it."""
    every = records()
    store = MemoryObjectStore()
    keys = Keys(bytes(range(32)))
    raw = msgspec.structs.replace(whole(every), raw=tuple(every))
    ArchiveSink(store, "tills", keys).write(raw)
    keys_held = store.keys("")
    assert keys_held
    for key in keys_held:
        assert found_in(store.get(key)) == []
        assert found_in(key) == []


def test_snapshots(batch: Batch) -> None:
    detector = Detector(DetectorConfig())
    for item in batch.scored:
        detector.observe(item.transaction)
    changes = detector.take_changes()
    for data in (*changes.shops.values(), *changes.groups.values()):
        assert found_in(data) == []
        assert found_in(repr(data)) == []
    assert [found_in(repr(decode_shop(data))) for data in changes.shops.values()] == [[]]
    assert found_in(msgspec.msgpack.encode(batch.pages)) == []


def test_sns() -> None:
    detector = Detector(DetectorConfig())
    pages = []
    for number, data in enumerate(trade()):
        made = PARSE(Record(Position(SHARD, str(number)), data, "shop-1", ARRIVED))
        assert isinstance(made, Transaction)
        seen = detector.observe(made)
        pages += seen.pages if seen else ()
    about = [page for page in pages if page.entity.kind == "card"]
    assert about
    for page in about:
        told = (publication(page, {}), page_json(page), subject(page), sms(page), text(page))
        assert found_in(repr(told)) == []


def test_dead_letters_hold_the_bytes_and_nothing_else_of_them(batch: Batch) -> None:
    for rejection in batch.rejections:
        body = json.loads(message(rejection))
        assert body.pop("data")
        assert found_in(json.dumps(body)) == []
        assert found_in(repr(letter_of("m-1", message(rejection)))) == []


def test_texts_of_errors(batch: Batch) -> None:
    """Whatever an error quotes of the values that a batch is made of."""
    for value in (*records(), *batch.scored, *batch.rejections, batch):
        assert found_in(repr(value)) == []
        assert found_in(f"{value}") == []
    for item in batch.scored[-1:]:
        assert found_in(failure(KeyError(repr(item)), item.transaction)) == []
        assert found_in(failure(ValueError(item.transaction.reason), item.transaction)) == []
    quoted = ItemError("mapper_parsing_exception", f"failed to parse [x]: preview '{TEXT}'")
    assert found_in(detail_of(quoted)) == []


def test_logs(batch: Batch) -> None:
    formatter = JsonFormatter(shard_id=SHARD)
    for value in (records()[-1], batch.scored[-1], batch.rejections[-1]):
        error = ValueError(value)
        record = logging.getLogger("tillwatch.child").makeRecord(
            *("tillwatch.child", logging.CRITICAL, "child.py", 1, "ending: %s", (value,)),
            (ValueError, error, None),
        )
        line = formatter.format(record)
        assert "ValueError" in line
        assert found_in(line) == []


def test_no_module_logs_a_value_by_its_bytes() -> None:
    """A log call that names the bytes of a record is a leak whatever its level."""
    root = Path(__file__).parent.parent.parent
    for package in ("events", "anomaly", "sinks", "consumer", "console"):
        for path in (root / package).rglob("*.py"):
            for number, line in enumerate(path.read_text().splitlines(), 1):
                if "_log." in line or "logging." in line:
                    assert ".data" not in line, f"{path.name}:{number}"
