"""A batch in the bytes of every sink, before any of them is written to.

So a record that one sink cannot build goes to none, and what stands in the dead-letter queue stands
nowhere else: there are as many documents as rows, and a letter that is redriven counts once.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Protocol, runtime_checkable

import msgspec

from events.batch import Batch
from events.position import Position
from events.rejection import Rejection
from sinks.sink import Sink, Written


class Prepared(msgspec.Struct, frozen=True):
    """A batch as one sink's bytes.

    `write` sends them, waits as Sink.write does, and gives back what the service refused;
    `rejections` are the records that no bytes could be made of.
    """

    write: Callable[[], Written]
    rejections: tuple[Rejection, ...] = ()


@runtime_checkable
class Builder(Protocol):
    """A sink that makes its bytes before it sends the first of them."""

    def prepare(self, batch: Batch) -> Prepared:
        """The bytes of `batch`. Pure: no service is asked."""
        ...


def prepared(
    sinks: Sequence[Sink], batch: Batch, model_version: str
) -> tuple[Batch, list[Callable[[], Written]]]:
    """`batch` without the records that a sink cannot build, and how to write it to each of `sinks`.

    What is taken out stands among the rejections of the batch that is given back. An error that no
    single record brings about is raised: there is nothing to be put aside for it.
    """
    while True:
        made = [
            sink.prepare(batch)
            if isinstance(sink, Builder)
            else Prepared(partial(sink.write, batch))
            for sink in sinks
        ]
        rejections = [rejection for one in made for rejection in one.rejections]
        if not rejections:
            return batch, [one.write for one in made]
        smaller = without(batch, rejections, model_version)
        if len(smaller.scored) == len(batch.scored):
            raise ValueError("a sink rejected records that it was not given")
        batch = smaller


def without(batch: Batch, rejections: Iterable[Rejection], model_version: str) -> Batch:
    """`batch` with the records of `rejections` rejected, each once, whoever refused it too."""
    refused: dict[Position, Rejection] = {}
    for rejection in rejections:
        refused.setdefault(
            rejection.position, msgspec.structs.replace(rejection, model_version=model_version)
        )
    every = (*batch.rejections, *refused.values())
    return msgspec.structs.replace(
        batch,
        scored=tuple(item for item in batch.scored if item.position not in refused),
        rejections=tuple(sorted(every, key=lambda rejection: rejection.position.order)),
    )
