"""A small lake in a folder, and the same transactions as pandas frames made of the input alone.

The frames are made from the wire records with json and Decimal, not from anything that the lake
was written with.
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
from msgspec.structs import asdict

from consumer.hours import Hours
from events.batch import Batch, Scored
from events.instant import HOUR, MINUTE
from events.page import Page
from events.parse import Parser
from events.position import Position
from events.pseudonym import Pseudonymizer
from events.record import Record
from events.transaction import Transaction
from events.verdict import Verdict
from local.samples import sample_stream
from sinks.directory import DirectoryObjectStore
from sinks.parquet import ParquetSink
from tests.sinks.made import page

PAGE_FIELDS = ("page_id", "status", "shop_id", "severity", "evidence", "refunds", "suppressed_by")
SHARD = "shardId-000000000001"
BATCH_RECORDS = 700
START = 1_774_656_000_000_000
"""2026-03-28T00:00Z: in the night that follows clocks go forward in London."""


@dataclass
class MadeLake:
    folder: Path
    rows: Any
    """A row per transaction: amounts as Decimal, `at` in UTC, `day` by the till's own clock."""
    lines: Any
    published: int
    staged: int
    pages: Any
    """A row per page: its last state."""
    verdicts: Any


def told(items: list[Scored], number: int) -> tuple[list[Page], list[Verdict]]:
    """What batch `number` tells: a page is opened, the one before it grows, the next is closed."""
    pages, verdicts = [], []
    last = items[-1].transaction
    for age, status in enumerate(("open", "updated", "closed")):
        begun = number - age
        if begun < 0:
            continue
        pages.append(
            page(
                age,
                status,  # type: ignore[arg-type]
                page_id=f"p-{begun:03d}",
                shop_id=f"shop-{begun % 3:03d}",
                opened_at=START + begun * 5 * HOUR,
                updated_at=last.occurred_at,
                severity=1 + begun % 4,
                evidence=tuple(item.transaction.transaction_id for item in items[: 2 + age]),
                refunded_total=1_001 * (begun + 1) * (age + 1),
                suppressed_by="rule-1" if begun % 5 == 0 else None,
            )
        )
        if status == "closed":
            finding = ("fraud", "ok", "policy")[begun % 3]
            verdicts.append(
                Verdict(
                    pages[-1].page_id,
                    pages[-1].shop_id,
                    "volume",
                    finding,  # type: ignore[arg-type]
                    last.occurred_at + MINUTE,
                )
            )
    return pages, verdicts


def scored(data: bytes, number: int, parser: Parser) -> Scored | None:
    position = Position(SHARD, f"{49_590 * 10**51 + number}")
    made = parser.parse(Record(position, data, "", None))
    return Scored(position, made, None, data, None) if isinstance(made, Transaction) else None


def make_lake(folder: Path) -> MadeLake:
    """Eight days of six shops: the last hours only staged, one of them staged twice."""
    parser = Parser(Pseudonymizer(b"a key for the tests"))
    store = DirectoryObjectStore(folder)
    sink = ParquetSink(store, staging="staging/tillwatch/", writer="one")
    again = ParquetSink(store, staging="staging/tillwatch/", writer="two")
    hours = Hours(SHARD, 15 * MINUTE)
    seen: dict[str, bytes] = {}
    items = []
    for number, sample in enumerate(sample_stream(5, shops=6, days=8, start=START)):
        item = scored(sample.data, number, parser)
        if item is not None and item.transaction.transaction_id not in seen:
            seen[item.transaction.transaction_id] = sample.data
            items.append(item)
    every: list[Page] = []
    given: list[Verdict] = []
    for begin in range(0, len(items), BATCH_RECORDS):
        some = items[begin : begin + BATCH_RECORDS]
        pages, verdicts = told(some, begin // BATCH_RECORDS)
        every += pages
        given += verdicts
        batch = Batch(
            first=some[0].position,
            last=some[-1].position,
            records=len(some),
            scored=tuple(some),
            pages=tuple(pages),
            rejections=(),
            verdicts=tuple(verdicts),
        )
        staged = sink.write(batch).staged
        latest = max(one.transaction.occurred_at for one in some)
        hours.add(staged, latest)
        hours.close()
        closed = list(hours.state.to_publish)
        sink.publish_many(closed)
        # Parts of the last batches stay, as where a worker dies between publishing and deleting.
        spent = hours.published(closed)
        if begin + 3 * BATCH_RECORDS < len(items):
            sink.discard(spent)
        elif begin + BATCH_RECORDS >= len(items):
            again.write(batch)
        if begin == 3 * BATCH_RECORDS:
            # A successor that begins where a dead worker had written and not checkpointed.
            cut = msgspec.structs.replace(batch, first=some[1].position, scored=())
            again.write(cut)
    assert hours.state.open, "the last hours must be staged alone"
    rows, lines = frames(seen)
    import pyarrow.parquet as pq

    published = sum(pq.read_metadata(path).num_rows for path in folder.glob("processed/*/*/*"))
    parts = sum(pq.read_metadata(path).num_rows for path in folder.glob("staging/*/*/*"))
    last = {one.page_id: one for one in every}
    told_pages = pd.DataFrame(
        {
            **{name: getattr(one, name) for name in PAGE_FIELDS},
            "entity_kind": one.entity.kind,
            "refunded_total": Decimal(one.refunded_total) / 100,
            "opened_on": datetime.fromtimestamp(one.opened_at / 1e6, UTC).date(),
        }
        for one in last.values()
    )
    return MadeLake(
        folder, rows, lines, published, parts, told_pages, pd.DataFrame(map(asdict, given))
    )


def frames(records: dict[str, bytes]) -> tuple[Any, Any]:
    rows, lines = [], []
    for data in records.values():
        wire = json.loads(data)
        at = datetime.fromisoformat(wire["occurred_at"])
        payment = wire.get("payment") or {}
        row = {
            "transaction_id": wire["transaction_id"],
            "shop_id": wire["shop_id"],
            "type": wire["type"],
            "at": pd.Timestamp(at).tz_convert("UTC"),
            "day": at.date(),
            "currency": wire["currency"],
            "total": Decimal(str(wire["total"])),
            "cashier_id": wire.get("cashier_id"),
            "register_id": wire.get("register_id"),
            "customer_id": wire.get("customer_id"),
            "original": wire.get("original_transaction_id"),
            "reason": wire.get("reason"),
            "limit": Decimal(str(wire["approval_limit"])) if wire.get("approval_limit") else None,
            "method": payment.get("method"),
            "carded": payment.get("card_token") is not None,
            "lines": len(wire.get("lines") or ()),
        }
        rows.append(row)
        lines += [
            {
                **{key: row[key] for key in ("transaction_id", "shop_id", "type", "day", "at")},
                "item_id": line.get("item_id"),
                "category": line.get("category"),
                "description": line.get("description"),
                "quantity": Decimal(str(line["quantity"])),
                "price": Decimal(str(line["unit_price"])),
            }
            for line in wire.get("lines") or ()
        ]
    return pd.DataFrame(rows), pd.DataFrame(lines)
