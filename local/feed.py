"""What the demo puts onto the stream: the lines of a file, or samples as time goes by."""

import gzip
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, cast

import msgspec

from events.instant import SECOND, Instant
from local.samples import Sample

_KEY_CHARACTERS_MAX = 256
_GZIP_MAGIC = b"\x1f\x8b"
_PAUSE_SECONDS_MAX = 1.0
"""How long the pace lets a quiet stretch last: nights pass in a moment."""
_SLICE_SECONDS = 0.1
"""Samples due within one slice go out together: a request each would be all overhead."""
_SLICE_SAMPLES_MAX = 500

Keyed = tuple[str, bytes]
"""Partition key and record, as the producer takes them."""


class _Shop(msgspec.Struct):
    shop_id: str


_shop_of = msgspec.json.Decoder(_Shop).decode


def wire_lines(path: Path) -> Iterator[Keyed]:
    """Each line of `path` (JSONL, gzipped or not) as one record, its bytes put as they are.

    The partition key is the record's shop_id; a line without a usable one, such as garbage, goes
    under its number. The newline that ends a line is no part of it.
    """
    with _opened(path) as lines:
        for number, line in enumerate(lines, start=1):
            data = line.removesuffix(b"\n")
            yield _key(data) or str(number), data


def keyed(samples: Iterable[Sample]) -> Iterator[Keyed]:
    """Samples as the producer takes them."""
    for sample in samples:
        yield sample.shop_id, sample.data


def paced(
    samples: Iterable[Sample],
    speedup: float,
    *,
    clock: Callable[[], float],
    wait: Callable[[float], bool],
    pause_seconds_max: float = _PAUSE_SECONDS_MAX,
) -> Iterator[list[Sample]]:
    """Samples as they fall due when `speedup` seconds of theirs pass in one second of `clock`.

    What falls due within one slice comes as one list. Waits for longer than `pause_seconds_max` are
    cut short. `wait` sleeps for so many seconds; when it returns true, someone asked to stop, and
    nothing comes after.
    """
    due: list[Sample] = []
    lead: Instant | None = None
    """Event time minus what the clock stands for: fixed, but for pauses that are cut short."""
    for sample in samples:
        now = _event_time(clock(), speedup)
        if lead is None:
            lead = sample.arrives_at - now
        ahead = (sample.arrives_at - lead - now) / SECOND / speedup
        if ahead > _SLICE_SECONDS:
            if due:
                yield due
                due = []
            if wait(min(ahead, pause_seconds_max)):
                return
            if ahead > pause_seconds_max:
                lead = sample.arrives_at - _event_time(clock(), speedup)
        due.append(sample)
        if len(due) >= _SLICE_SAMPLES_MAX:
            yield due
            due = []
    if due:
        yield due


def _event_time(seconds: float, speedup: float) -> Instant:
    return round(seconds * speedup * SECOND)


def _key(data: bytes) -> str | None:
    try:
        shop_id = _shop_of(data).shop_id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return shop_id if 0 < len(shop_id) <= _KEY_CHARACTERS_MAX else None


def _opened(path: Path) -> IO[bytes]:
    with path.open("rb") as file:
        zipped = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    return cast("IO[bytes]", gzip.open(path)) if zipped else path.open("rb")
