"""The feed: every line is one record as it is; samples come when they fall due."""

import gzip
from pathlib import Path

import pytest

from events.instant import HOUR, MINUTE, SECOND, Instant
from local.feed import paced, wire_lines
from local.samples import Sample


def sample(arrives_at: Instant) -> Sample:
    return Sample(b"{}", "shop-1", arrives_at, arrives_at, f"t-{arrives_at}", None)


class HandClock:
    def __init__(self) -> None:
        self.seconds = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> bool:
        self.waits.append(seconds)
        self.seconds += seconds
        return False


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_every_line_is_a_record_as_it_is(tmp_path: Path, pack: type[bytes]) -> None:
    lines = [
        b'{"shop_id":"shop-1","total":"1"}',
        b"",
        b"not json\r",
        b'{"shop_id":7}',
        b"\xff\xfe",
        b'{"shop_id":"%s"}' % (b"x" * 300),
        b"[" * 100_000,
        b'{"shop_id":"shop-2"}',
    ]
    path = tmp_path / "input"
    path.write_bytes(pack(b"\n".join(lines)))
    records = list(wire_lines(path))
    assert [data for _, data in records] == lines
    assert [key for key, _ in records] == ["shop-1", "2", "3", "4", "5", "6", "7", "shop-2"]


def test_last_newline_makes_no_record(tmp_path: Path) -> None:
    path = tmp_path / "input"
    path.write_bytes(b'{"shop_id":"a"}\n\n')
    assert list(wire_lines(path)) == [("a", b'{"shop_id":"a"}'), ("2", b"")]


def test_samples_come_at_the_speed_up() -> None:
    clock = HandClock()
    stream = [sample(0), sample(1), sample(MINUTE), sample(2 * MINUTE)]
    parts = paced(stream, 120.0, clock=clock, wait=clock.wait)
    assert [(clock.seconds, len(part)) for part in parts] == [(0.0, 2), (0.5, 1), (1.0, 1)]


def test_nights_are_cut_short_and_days_keep_their_pace() -> None:
    clock = HandClock()
    stream = [sample(0), sample(10 * HOUR), sample(10 * HOUR + 30 * SECOND)]
    list(paced(stream, 60.0, clock=clock, wait=clock.wait, pause_seconds_max=2.0))
    assert clock.waits == [2.0, 0.5]


def test_late_feeder_catches_up_without_waiting() -> None:
    clock = HandClock()
    got = []
    for part in paced([sample(n * MINUTE) for n in range(4)], 60.0, clock=clock, wait=clock.wait):
        got.append(len(part))
        clock.seconds += 2.5
    assert clock.waits == [1.0]
    assert got == [1, 3]


def test_stop_ends_the_stream() -> None:
    parts = list(paced([sample(0), sample(HOUR)], 1.0, clock=lambda: 0.0, wait=lambda _: True))
    assert [len(part) for part in parts] == [1]


def test_feeder_that_never_catches_up_holds_no_more_than_a_slice() -> None:
    parts = list(paced([sample(0)] * 1_200, 1.0, clock=lambda: 0.0, wait=lambda _: False))
    assert [len(part) for part in parts] == [500, 500, 200]
