"""Hourly Parquet files: staged with every batch, published once their hour is closed.

Pages and verdicts of a batch are files of their own at once: see sinks/page_rows.py.

Arrow is imported where it is used: who only keeps account of hours needs none of it.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from events.failure import failure
from events.instant import Instant, to_datetime
from events.rejection import Rejection
from sinks.culprits import culprits
from sinks.manifest import compacted_already
from sinks.page_rows import told
from sinks.prepared import Prepared
from sinks.sink import StagedPart, Written

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from events.batch import Batch, Scored
    from sinks.object_store import ObjectStore
    from sinks.rows import Rows

PARTS_CACHED_BYTES_MAX = 48 * 2**20
PUTS_MAX = 4
"""Final files on their way to the store at a time."""


class ClosedHour(msgspec.Struct, frozen=True):
    """An hour of one shard that takes no more rows, and the staged pieces it is made of.

    `first` and `last` are the slugs of the first position of its first part and of the last
    position of its last; `pieces` are (staged key, row group) in stream order.
    """

    hour: Instant
    shard_id: str
    first: str
    last: str
    pieces: tuple[tuple[str, int], ...]

    @property
    def key(self) -> str:
        """Where its final file lies."""
        start = to_datetime(self.hour)
        return (
            f"processed/date={start.date().isoformat()}/hour={start:%H}/"
            f"{self.shard_id}-{self.first}-{self.last}.parquet"
        )


class PiecesLost(Exception):  # noqa: N818 -- says what happened
    """Staged pieces of an hour are gone or broken, and its final file was never written."""


class ParquetSink:
    """Stages one Parquet part per batch in `store`, with one row group per event hour.

    Waiting for the store, and Stopped, are the store's own; what is written under one key is
    always the same rows, so that writing again changes nothing. Parts lie under `staging`, which
    ends with a slash, by shard. `writer`, a name that no other process has, is part of their names
    where it is given: so nobody who deletes what a process before left over deletes what one after
    has staged of the same records.
    """

    name = "parquet"

    def __init__(
        self,
        store: ObjectStore,
        *,
        staging: str = "staging/",
        writer: str = "",
        parts_cached_bytes_max: int = PARTS_CACHED_BYTES_MAX,
        puts_max: int = PUTS_MAX,
    ) -> None:
        self._store = store
        self._staging = staging
        self._suffix = f".{writer}.parquet" if writer else ".parquet"
        self._parts_cached_bytes_max = parts_cached_bytes_max
        self._puts_max = puts_max

    def write(self, batch: Batch) -> Written:
        """Stage the rows of `batch`; see Sink."""
        prepared = self.prepare(batch)
        return Written(prepared.rejections, prepared.write().staged)

    def prepare(self, batch: Batch) -> Prepared:
        """The rows of `batch` as bytes; see Builder."""
        rejections, part = _build(batch.scored)
        files = list(told(batch))
        if part is None and not files:
            return Prepared(Written, rejections)
        return Prepared(partial(self._write, batch, files, part), rejections)

    def _write(
        self,
        batch: Batch,
        files: Sequence[tuple[str, bytes]],
        part: tuple[Rows, bytes] | None,
    ) -> Written:
        for key, body in files:
            self._store.put(key, body)
        return Written() if part is None else self._stage(batch, *part)

    def _stage(self, batch: Batch, rows: Rows, body: bytes) -> Written:
        name = f"{batch.first.slug}_{batch.last.slug}{self._suffix}"
        key = f"{self._staging}{batch.first.shard_id}/{name}"
        self._store.put(key, body)
        staged = StagedPart(
            key=key,
            first=batch.first.slug,
            last=batch.last.slug,
            hours=rows.hours,
            rows=rows.counts,
        )
        return Written(staged=staged)

    def publish(self, closed: ClosedHour) -> str:
        """Write the final file of `closed`, and return its key.

        Idempotent: the same pieces give the same bytes, and where the pieces are gone because the
        file was written before, it stays as it is.

        Raises:
            PiecesLost: there are neither pieces nor a file.
        """
        return self.publish_many([closed])[0]

    def publish_many(self, closed: Sequence[ClosedHour]) -> list[str]:
        """Publish all of `closed`, `puts_max` at a time, and return their keys in that order.

        A staged part is fetched once for the neighbouring hours in it. When one hour fails the
        others that were begun are finished, and the failure is raised.
        """
        parts = _Parts(self._store, self._parts_cached_bytes_max)
        puts: list[Future[None]] = []
        with ThreadPoolExecutor(self._puts_max, thread_name_prefix="publish") as threads:
            for index, hour in enumerate(closed):
                body = self._merged(hour, parts)
                if index >= self._puts_max:
                    puts[index - self._puts_max].result()
                puts.append(threads.submit(self._put, hour.key, body))
        for put in puts:
            put.result()
        _give_back_memory()
        return [hour.key for hour in closed]

    def discard(self, keys: Sequence[str]) -> None:
        """Delete staged parts; those that are gone already are no error."""
        with ThreadPoolExecutor(self._puts_max, thread_name_prefix="discard") as threads:
            for _ in threads.map(self._store.delete, keys):
                pass

    def staged(self, shard_id: str) -> list[str]:
        """The keys of all staged parts of the shard, whoever staged them."""
        return self._store.keys(f"{self._staging}{shard_id}/")

    def close(self) -> None:
        """Nothing to let go of: the store belongs to who made it."""

    def _put(self, key: str, body: bytes | None) -> None:
        if body is not None:
            self._store.put(key, body)

    def _merged(self, hour: ClosedHour, parts: _Parts) -> bytes | None:
        """The bytes of the final file, or None where they stand in the store already."""
        import pyarrow as pa

        from sinks.final_file import merged

        try:
            return merged(hour.pieces, parts.opened)
        except KeyError as error:
            if hour.key in self._store.keys(hour.key) or compacted_already(self._store, hour):
                return None
            raise PiecesLost(f"{error.args[0]} is gone, and {hour.key} was not written") from error
        except pa.ArrowInvalid as error:
            raise PiecesLost(f"a staged part of {hour.key} cannot be read: {error}") from error


def _give_back_memory() -> None:
    """Return what merging hours took: it comes once an hour, and nothing else needs as much."""
    import pyarrow as pa

    pa.default_memory_pool().release_unused()


def encode(rows: Rows) -> bytes:
    """One Parquet file with a row group per hour of `rows`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from sinks.schema import SCHEMA, STAGED_OPTIONS

    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, SCHEMA, **STAGED_OPTIONS) as writer:
        start = 0
        for count in rows.counts:
            writer.write_table(rows.table.slice(start, count), row_group_size=count)
            start += count
    body: bytes = sink.getvalue().to_pybytes()
    return body


def _build(scored: Sequence[Scored]) -> tuple[tuple[Rejection, ...], tuple[Rows, bytes] | None]:
    """What no row can be made of, and the rows of the rest with their bytes."""
    if not scored:
        return (), None
    try:
        return (), _encoded(scored)
    except MemoryError:
        raise
    except Exception:
        bad = culprits(scored, _encoded)
        if not bad:
            raise
        positions = {item.position for item, _ in bad}
        good = [item for item in scored if item.position not in positions]
        return tuple(_rejection(*entry) for entry in bad), _encoded(good) if good else None


def _encoded(scored: Sequence[Scored]) -> tuple[Rows, bytes]:
    from sinks.rows import rows

    made = rows(scored)
    return made, encode(made)


def _rejection(item: Scored, error: Exception) -> Rejection:
    return Rejection(
        position=item.position,
        data=item.data,
        stage=ParquetSink.name,
        reason="row_unbuildable",
        field=None,
        detail=f"no row can be made of it: {failure(error, item.transaction)}",
        arrived_at=item.arrived_at,
        shop_id=item.transaction.shop_id,
    )


class _Parts:
    """Staged parts, opened; those used last are kept within `bytes_max`, and one at least."""

    def __init__(self, store: ObjectStore, bytes_max: int) -> None:
        self._store = store
        self._bytes_max = bytes_max
        self._bytes = 0
        self._open: OrderedDict[str, tuple[Any, int]] = OrderedDict()

    def opened(self, key: str) -> Any:
        """The Parquet file under `key`; raises KeyError where there is none."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key][0]
        body = self._store.get(key)
        part = pq.ParquetFile(pa.BufferReader(body))
        self._open[key] = (part, len(body))
        self._bytes += len(body)
        while self._bytes > self._bytes_max and len(self._open) > 1:
            _, (_, size) = self._open.popitem(last=False)
            self._bytes -= size
        return part
