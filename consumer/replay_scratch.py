"""The folder that a replay writes to: scores, pages, documents, rejections, Parquet files."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec

from consumer.hours import Hours
from consumer.pipeline import Cut
from events.batch import Batch
from events.page import Page
from sinks.directory import DirectoryObjectStore
from sinks.document import rejection as rejection_entry
from sinks.document import transaction as transaction_entry
from sinks.page_json import page_json
from sinks.parquet import ParquetSink

_FILES = ("scores", "documents", "rejections")


class Counted(msgspec.Struct):
    """What lies in the folder."""

    transactions: int = 0
    refunds: int = 0
    rejections: int = 0
    pages: int = 0
    parquet_files: int = 0


class Scratch:
    """Writes batches into `folder`, which must be empty or not be there yet.

    With `shop` it keeps what is of that shop. Pages are written at the end, as they stood last.

    Raises:
        FileExistsError: there is something in it.
    """

    def __init__(self, folder: Path, shop: str | None = None) -> None:
        if folder.exists() and any(folder.iterdir()):
            raise FileExistsError(f"{folder} is not empty")
        self._folder = folder
        self._shop = shop
        self._lake = ParquetSink(DirectoryObjectStore(folder))
        self._pages: dict[str, Page] = {}
        self._files = ExitStack()
        self._out: dict[str, IO[bytes]] = {}
        self._encoder = msgspec.json.Encoder()
        self.counted = Counted()

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            file = (self._folder / f"{name}.jsonl").open("wb")
            self._out[name] = self._files.enter_context(file)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._files.close()
        with (self._folder / "pages.jsonl").open("wb") as out:
            out.writelines(page_json(page) + b"\n" for page in self._pages.values())

    def shard(self, shard_id: str, cuts: Iterator[Cut]) -> None:
        """Write all of one shard; its hours are published at the end."""
        hours = Hours(shard_id, 0)
        for cut in cuts:
            batch = self._mine(cut.batch)
            self._write(batch)
            hours.add(self._lake.write(batch).staged, cut.watermark)
        hours.close(everything=True)
        closed = tuple(hours.state.to_publish)
        self.counted.parquet_files += len(self._lake.publish_many(closed))
        self._lake.discard(hours.published(closed))

    def _mine(self, batch: Batch) -> Batch:
        shop = self._shop
        if shop is None:
            return batch
        return msgspec.structs.replace(
            batch,
            scored=tuple(it for it in batch.scored if it.transaction.shop_id == shop),
            pages=tuple(page for page in batch.pages if page.shop_id == shop),
            rejections=tuple(it for it in batch.rejections if it.shop_id == shop),
        )

    def _write(self, batch: Batch) -> None:
        encode, counted = self._encoder.encode, self.counted
        counted.transactions += len(batch.scored)
        counted.rejections += len(batch.rejections)
        counted.pages += sum(1 for page in batch.pages if page.page_id not in self._pages)
        self._pages.update((page.page_id, page) for page in batch.pages)
        for scored in batch.scored:
            self._out["documents"].write(encode(transaction_entry(scored).document) + b"\n")
            if scored.score is not None:
                counted.refunds += 1
                line = {
                    "transaction_id": scored.transaction.transaction_id,
                    "shop_id": scored.transaction.shop_id,
                    "position": scored.position,
                    "score": scored.score,
                }
                self._out["scores"].write(encode(line) + b"\n")
        for rejection in batch.rejections:
            self._out["rejections"].write(encode(rejection_entry(rejection).document) + b"\n")
