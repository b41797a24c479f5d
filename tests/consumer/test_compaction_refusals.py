"""What compaction does not do: publish what is another's, what is broken, or other rows."""

from __future__ import annotations

from collections import Counter
from io import BytesIO
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from consumer.compact import compact
from consumer.compaction import GRACE, RowsDiffer
from consumer.compaction_plan import plan_of
from events.instant import DAY
from sinks import compacted_file
from sinks.directory import DirectoryObjectStore
from sinks.manifest import manifest_key, unpacked
from sinks.memory import MemoryObjectStore
from tests.consumer.test_compaction import (
    DATE,
    MIDNIGHT,
    Clock,
    compaction,
    drive,
    files,
    now_in,
    publish,
    seen,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNIT = f"days/date={DATE}"


class Interrupted(MemoryObjectStore):
    """A store that has somebody else do everything before the first merged file is put."""

    def __init__(self) -> None:
        super().__init__()
        self.other: Callable[[], object] | None = None

    def put(self, key: str, body: bytes) -> None:
        if key.startswith("compacted/days/") and self.other is not None:
            other, self.other = self.other, None
            other()
        super().put(key, body)


def test_an_attempt_that_was_overtaken_says_of_nothing_that_it_is_written() -> None:
    store, clock = Interrupted(), Clock()
    ids = publish(store, range(3), 0)
    second = compaction(store, clock)
    store.other = second.run
    first = compaction(store, clock)
    first.run()
    plan, _ = plan_of(store, UNIT)
    assert (plan.number, plan.state) == (2, "written"), "the second one's, as it stood"
    assert {one.manifest.version for one in plan.days} == {f"{UNIT}/v000002"}
    drive(first, clock)
    held = store.tagged(manifest_key(DATE))
    assert held is not None
    assert unpacked(held[0]).version == f"{UNIT}/v000002"
    assert now_in(store) == Counter(ids)


def test_a_manifest_that_has_changed_since_a_month_was_merged_stays(tmp_path: Path) -> None:
    """A late hour is merged, and its file deleted, while the month waits to be published."""
    store, clock = DirectoryObjectStore(tmp_path), Clock(MIDNIGHT + 40 * DAY)
    ids = publish(store, range(2), 0, days=3)
    drive(compaction(store, clock), clock)
    month = compaction(store, clock, months=True)
    month.run()
    assert plan_of(store, "months/month=2026-01")[0].state == "written"
    ids += publish(store, range(5, 6), 900)
    drive(compaction(store, clock), clock)
    assert files(store, "processed/") == []
    held = store.tagged(manifest_key(DATE))
    month.run()
    assert store.tagged(manifest_key(DATE)) == held
    assert seen(tmp_path) == Counter(ids)
    drive(month, clock)
    assert seen(tmp_path) == Counter(ids)


def test_a_version_that_lost_a_file_is_not_published_and_its_hours_stay() -> None:
    store, clock = MemoryObjectStore(), Clock()
    ids = publish(store, range(3), 0)
    made = compaction(store, clock)
    made.run()
    (part,) = files(store, "compacted/")
    store.delete(part)
    clock.at += GRACE
    made.run()
    assert store.tagged(manifest_key(DATE)) is None
    assert len(files(store, "processed/")) == 3
    assert now_in(store) == Counter(ids)


class Lossy(MemoryObjectStore):
    """A store in which merged files come to lie with other rows than were put."""

    def __init__(self, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self._change = change

    def put(self, key: str, body: bytes) -> None:
        if key.startswith("compacted/days/"):
            table = pq.read_table(BytesIO(body), partitioning=None)
            sink = BytesIO()
            pq.write_table(self._change(table), sink)
            body = sink.getvalue()
        super().put(key, body)


def without_one(table: Any) -> Any:
    return table.slice(1)


def with_one_twice(table: Any) -> Any:
    return pa.concat_tables([table, table.slice(0, 1)])


def with_another(table: Any) -> Any:
    return pa.concat_tables([table.slice(1), table.slice(1, 1)])


@pytest.mark.parametrize("change", [without_one, with_one_twice, with_another])
def test_a_version_of_other_rows_than_were_read_is_refused(change: Callable[[Any], Any]) -> None:
    store, clock = Lossy(change), Clock()
    ids = publish(store, range(3), 0)
    before = {key: store.get(key) for key in files(store, "processed/")}
    for _ in range(3):
        with pytest.raises(RowsDiffer, match=r"days/date=2026-01-05/v\d+: 18 rows were to be"):
            compaction(store, clock).run()
        clock.at += GRACE
    assert {key: store.get(key) for key in files(store, "processed/")} == before
    assert store.tagged(manifest_key(DATE)) is None
    assert plan_of(store, UNIT)[0].state == "writing"
    whole = MemoryObjectStore()
    for key in store.keys(""):
        whole.put(key, store.get(key))
    drive(compaction(whole, clock), clock)
    assert now_in(whole) == Counter(ids)


def test_a_merge_that_drops_rows_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = DirectoryObjectStore(tmp_path)
    ids = publish(store, range(3), 0)
    merged = compacted_file._merged
    monkeypatch.setattr(
        compacted_file, "_merged", lambda table, version: merged(table, version).slice(1)
    )
    arguments = ["--lake", str(tmp_path), "--grace", "0", "--wait"]
    done = CliRunner().invoke(compact, arguments, env={"TILLWATCH_BUCKET": ""})
    assert done.exit_code == 1
    assert "18 rows were to be written, and its files hold 17" in done.output
    assert len(files(store, "processed/")) == 3
    assert seen(tmp_path) == Counter(ids)
