"""A person goes out of every file of the lake, and a reader never loses or doubles a row."""

import io
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
from moto import mock_aws

from consumer.compaction import GRACE, Compaction
from consumer.erase_lake import LakeErasure
from consumer.hours import Hours
from consumer.lake import LakeError, open_lake
from events.instant import HOUR, MINUTE
from events.page import Entity
from sinks.directory import DirectoryObjectStore
from sinks.erasure import Subject
from sinks.object_store import ConditionalStore
from sinks.parquet import ParquetSink
from sinks.s3 import S3ObjectStore
from sinks.s3_versions import OldVersions
from sinks.shadow_notes import folder_of
from sinks.shadow_pages import ShadowPages
from tests.consumer.test_compaction import MIDNIGHT, Clock, drive, files, seen
from tests.sinks.made import batch, page, scored

THEIRS = Subject(customer_id=frozenset({"u-1"}))
PER_HOUR = 6


def publish(
    store: ConditionalStore, hours: range, first: int, *, staged: bool = False
) -> list[str]:
    """Rows of `hours`, every third of them the person's; published, or left as they are staged."""
    sink = ParquetSink(store, staging="staging/tillwatch/")
    account = Hours("shardId-000000000007", 15 * MINUTE)
    number, ids = first, []
    for hour in hours:
        start = MIDNIGHT + hour * HOUR
        some = [
            scored(
                number + n,
                occurred_at=start + n * MINUTE,
                customer_id="u-1" if n % 3 == 0 else "u-2",
                unknown=b'{"note":"x"}',
            )
            for n in range(PER_HOUR)
        ]
        number += PER_HOUR
        ids += [item.transaction.transaction_id for item in some]
        account.add(sink.write(batch(*some)).staged, start)
        if not staged:
            account.close(everything=True)
            sink.publish_many(account.state.to_publish)
            sink.discard(account.published(list(account.state.to_publish)))
    return ids


def erasure(store: ConditionalStore, now: Clock, **options: Any) -> LakeErasure:
    return LakeErasure(store, THEIRS, now, lambda _: None, **({"dry_run": False} | options))


def figures(made: LakeErasure) -> dict[str, tuple[int, int]]:
    return {place.name: (place.found, place.erased) for place in made.run()}


def holding(store: ConditionalStore) -> list[str]:
    return [
        key
        for key in store.keys("")
        if key.endswith(".parquet") and "manif" not in key
        if "u-1" in pq.ParquetFile(io.BytesIO(store.get(key))).read()["customer_id"].to_pylist()
    ]


def test_hourly_and_staged_files_are_replaced_where_they_are(tmp_path: Path) -> None:
    store = DirectoryObjectStore(tmp_path)
    ids = publish(store, range(4), 0)
    publish(store, range(4, 6), 900, staged=True)
    before = {
        key: (file.metadata.num_row_groups, file.read()["total"].to_pylist())
        for key, file in opened(store)
    }
    assert figures(erasure(store, Clock(), dry_run=True))["Parquet: hourly"] == (4, 0)
    assert len(holding(store)) == 6
    assert figures(erasure(store, Clock())) == {
        "Parquet: staged": (2, 2),
        "Parquet: hourly": (4, 4),
        "Parquet: pages": (0, 0),
        "Parquet: shadows": (0, 0),
        "Parquet: compacted": (0, 0),
        "Parquet: looked again": (0, 0),
    }
    assert holding(store) == []
    assert seen(tmp_path) == Counter(ids)
    for key, file in opened(store):
        assert before[key] == (file.metadata.num_row_groups, file.read()["total"].to_pylist())
    assert {found for found, _ in figures(erasure(store, Clock())).values()} == {0}


def opened(store: ConditionalStore) -> Iterator[tuple[str, Any]]:
    for key in files(store, ""):
        yield key, pq.ParquetFile(io.BytesIO(store.get(key)))


def test_what_was_staged_is_published_from_its_new_bytes(tmp_path: Path) -> None:
    """The row groups that a snapshot counts on are where they were."""
    store = DirectoryObjectStore(tmp_path)
    sink = ParquetSink(store)
    account = Hours("shardId-000000000007", 15 * MINUTE)
    some = [
        scored(n, occurred_at=MIDNIGHT + n * 20 * MINUTE, customer_id=f"u-{n % 2}")
        for n in range(9)
    ]
    account.add(sink.write(batch(*some)).staged, MIDNIGHT)
    figures(erasure(store, Clock()))
    account.close(everything=True)
    sink.publish_many(account.state.to_publish)
    rows = [row for key, file in opened(store) if "proc" in key for row in file.read().to_pylist()]
    assert len(rows) == 9
    assert Counter(row["customer_id"] for row in rows) == {"u-0": 5, None: 4}


def test_a_compacted_day_goes_through_its_manifest(tmp_path: Path) -> None:
    store, clock = DirectoryObjectStore(tmp_path), Clock()
    ids = publish(store, range(6), 0)
    drive(Compaction(store, clock, lambda _: None), clock)
    assert len(files(store, "processed/")) == 0
    assert len(holding(store)) == 1

    def look(made: LakeErasure) -> tuple[int, int]:
        found = figures(made)["Parquet: compacted"]
        assert seen(tmp_path) == Counter(ids)
        return found

    assert look(erasure(store, clock)) == (1, 0)  # written; readers see the old one for a grace
    assert look(erasure(store, clock)) == (1, 0)  # nothing new before that
    clock.at += GRACE
    assert look(erasure(store, clock)) == (1, 0)  # the manifest names the new one
    assert persons(tmp_path) == Counter({None: 12, "u-2": 24})
    clock.at += GRACE
    assert look(erasure(store, clock)) == (1, 1)  # and the old one is gone
    assert holding(store) == []
    assert look(erasure(store, clock)) == (0, 0)


def test_a_run_of_compact_ends_what_an_erasure_began(tmp_path: Path) -> None:
    store, clock = DirectoryObjectStore(tmp_path), Clock()
    ids = publish(store, range(6), 0)
    compacting = Compaction(store, clock, lambda _: None)
    drive(compacting, clock)
    figures(erasure(store, clock))
    drive(compacting, clock)
    assert holding(store) == []
    assert seen(tmp_path) == Counter(ids)


def test_hours_that_came_late_and_a_month_are_reached_too(tmp_path: Path) -> None:
    store, clock = DirectoryObjectStore(tmp_path), Clock()
    ids = publish(store, range(3), 0) + publish(store, range(24, 27), 300)
    months = Compaction(store, clock, lambda _: None, months=True)
    clock.at += 40 * 24 * HOUR
    drive(months, clock)
    assert [key for key in files(store, "compacted/") if "months" in key]
    ids += publish(store, range(3, 4), 600)
    for _ in range(6):
        figures(erasure(store, clock))
        assert seen(tmp_path) == Counter(ids)
        clock.at += GRACE
    assert holding(store) == []
    assert figures(erasure(store, clock))["Parquet: compacted"] == (0, 0)


def persons(folder: Path) -> Counter[str | None]:
    lake = open_lake(str(folder), application="tillwatch", zone="shop")
    return Counter(row[0] for row in lake.ask("SELECT customer_id FROM transactions").rows())


def test_pages_in_the_lake_name_nobody(tmp_path: Path) -> None:
    store = DirectoryObjectStore(tmp_path)
    theirs = page(1, entity=Entity("customer", "u-1"), summary="4 refunds; to customer u-1")
    others = page(2, page_id="p-2", summary="4 refunds; u-11")
    some = msgspec.structs.replace(batch(scored(1)), pages=(theirs, others))
    ParquetSink(store).write(some)
    ShadowPages(store, folder_of("tillwatch", "bold")).write(some)
    before = {key: file.read().to_pylist() for key, file in opened(store)}
    found = figures(erasure(store, Clock()))
    assert found["Parquet: pages"] == found["Parquet: shadows"] == (1, 1)
    for key, file in opened(store):
        rows = file.read().to_pylist()
        for row, was in zip(rows, before[key], strict=True):
            text = repr(row)
            assert "u-1'" not in text
            assert "u-1," not in text
            changed = {name for name in row if row[name] != was[name]}
            assert changed <= {"entity_id", "summary"}
            assert changed == set() or "‹erased›" in text
    assert {count for count, _ in figures(erasure(store, Clock())).values()} == {0}


class Vanishing(DirectoryObjectStore):
    """A store in which a file is deleted, or written anew, between the reading and the put."""

    def __init__(self, folder: Path, meanwhile: str) -> None:
        super().__init__(folder)
        self.meanwhile = meanwhile

    def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
        if self.meanwhile == "deleted":
            self.delete(key)
        elif self.meanwhile == "replaced":
            self.put(key, self.get(key) + b" ")
        self.meanwhile = ""
        return super().put_if(key, body, tag)


@pytest.mark.parametrize("meanwhile", ["deleted", "replaced"])
def test_a_file_that_went_meanwhile_does_not_come_back(tmp_path: Path, meanwhile: str) -> None:
    store = Vanishing(tmp_path, meanwhile)
    publish(store, range(2), 0, staged=True)
    there = len(files(store, "staging/"))
    assert figures(erasure(store, Clock()))["Parquet: staged"] == (2, 1)
    assert len(files(store, "staging/")) == there - (meanwhile == "deleted")


def test_a_reader_who_keeps_asking_sees_every_row_once_or_is_told(tmp_path: Path) -> None:
    """A file is replaced by one put: a question may break off, and is never answered wrong."""
    store = DirectoryObjectStore(tmp_path)
    ids = publish(store, range(24), 0)
    stop = threading.Event()
    counts: list[int] = []
    wrong: list[object] = []

    def read() -> None:
        while not stop.is_set():
            try:
                found = seen(tmp_path)
            except LakeError:
                continue
            counts.append(len(found))
            if found != Counter(ids):
                wrong.append(found)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        while len(counts) < 2:
            pass
        assert figures(erasure(store, Clock()))["Parquet: hourly"] == (24, 24)
        until = len(counts) + 2
        while len(counts) < until and reader.is_alive():
            pass
    finally:
        stop.set()
        reader.join()
    assert wrong == []
    assert persons(tmp_path)["u-1"] == 0


class Ends(Exception):  # noqa: N818 -- it stands for kill -9
    pass


@pytest.mark.parametrize("at", range(4))
def test_broken_off_anywhere_it_goes_on(tmp_path: Path, at: int) -> None:
    class Breaking(DirectoryObjectStore):
        left = at

        def put_if(self, key: str, body: bytes, tag: str | None) -> bool:
            if not self.left:
                raise Ends
            self.left -= 1
            return super().put_if(key, body, tag)

    ids = publish(DirectoryObjectStore(tmp_path), range(4), 0)
    with pytest.raises(Ends):
        figures(erasure(Breaking(tmp_path), Clock()))
    store = DirectoryObjectStore(tmp_path)
    assert len(holding(store)) == 4 - at
    assert figures(erasure(store, Clock()))["Parquet: hourly"] == (4 - at, 4 - at)
    assert seen(tmp_path) == Counter(ids)
    assert holding(store) == []


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        import boto3

        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket="lake")
        yield s3


@pytest.mark.parametrize("versioned", [False, True])
def test_versions_that_a_bucket_keeps_go_where_they_hold_the_person(
    bucket: Any, *, versioned: bool
) -> None:
    if versioned:
        bucket.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    stop = threading.Event()
    store, versions = S3ObjectStore(bucket, "lake", stop), OldVersions(bucket, "lake", stop)
    publish(store, range(2), 0)
    store.put("snapshots/one", b"old")
    store.put("snapshots/one", b"new")
    old = 3 if versioned else 0  # a staged part that was deleted for each hour, and what is erased
    found = figures(erasure(store, Clock(), versions=versions))
    assert found["Parquet: hourly"] == (2, 2)
    assert (found["S3: old versions"][0] >= old) is True
    assert found["S3: old versions"][0] == found["S3: old versions"][1]
    again = figures(erasure(store, Clock(), versions=versions))
    assert {count for count, _ in again.values()} == {0}
    for one in bucket.list_object_versions(Bucket="lake").get("Versions", ()):
        body = bucket.get_object(Bucket="lake", Key=one["Key"], VersionId=one["VersionId"])
        if one["Key"].endswith(".parquet"):
            table = pq.ParquetFile(io.BytesIO(body["Body"].read())).read()
            assert "u-1" not in table["customer_id"].to_pylist()
    assert len(list(versions.under("snapshots/"))) == int(versioned)
