"""What the supervisor measures, and that nothing that OpenSearch does to it stops the worker."""

import json
import logging
import threading
from collections.abc import Sequence
from typing import Any

import pytest

from consumer.children import Children
from consumer.heartbeat import Bounds
from consumer.measuring import DOCUMENTS_MAX, Measuring, NotWritten, Refused, to_opensearch
from consumer.telemetry import Commit, Totals
from events.instant import SECOND
from sinks.measurement import MAPPING, Measurement, bulk_body
from sinks.opensearch_client import connect
from tests.consumer.reports import Clock, datagram
from tests.sinks.made import NOON

OURS = 42


class World:
    """Children that report when told to, and an OpenSearch that does as told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.children = Children(Bounds(60.0, 600.0), clock=self.clock, session_of=lambda _: OURS)
        self.children.follow(OURS)
        self.sequence = 0
        self.written: list[list[Measurement]] = []
        self.error: Exception | None = None
        self.measuring = Measuring(
            self.write, self.children, worker="w-1", seconds=30.0, now=lambda: NOON
        )

    def write(self, made: Sequence[Measurement]) -> None:
        if self.error is not None:
            raise self.error
        self.written.append(list(made))

    def report(self, **more: Any) -> None:
        self.sequence += 1
        self.children.receive(datagram(sequence=self.sequence, **more))

    def measure(self, after: float = 30.0) -> list[Measurement]:
        self.clock.now += after
        before = len(self.written)
        self.measuring.measure()
        return self.written[-1] if len(self.written) > before else []


@pytest.fixture
def world() -> World:
    return World()


def totals(records: int, **more: Any) -> Totals:
    return Totals(records=records, transactions=records - 1, rejections={"parse/x": 1}, **more)


def test_a_shard_is_measured_by_what_came_since(world: World) -> None:
    world.report(totals=totals(100), lag_seconds=2.0, lag_age=1.0, checkpoint_age=4.0)
    (first,) = world.measure(after=5.0)
    assert first == Measurement(
        measured_at=NOON,
        worker="w-1",
        shard_id="shardId-0",
        seconds=5.0,
        lag_seconds=8.0,
        checkpoint_age_seconds=9.0,
        records=100,
        transactions=99,
        rejections=1,
    )
    world.report(
        totals=totals(150),
        waiting_for="s3",
        last=Commit(position="p", pages_waiting=3),
    )
    (second,) = world.measure()
    assert (second.records, second.transactions, second.rejections) == (50, 50, 0)
    assert (second.waiting_for, second.waiting_pages, second.seconds) == ("s3", 3, 30.0)
    assert second.lag_seconds is None


def test_a_service_is_measured_when_it_was_tried_again(world: World) -> None:
    world.report(totals=totals(1, retries={"opensearch": 2, "sns": 1}))
    _, opensearch, sns = world.measure()
    assert (opensearch.service, opensearch.retries, opensearch.records) == ("opensearch", 2, None)
    assert (sns.service, sns.retries) == ("sns", 1)
    world.report(totals=totals(1, retries={"opensearch": 5, "sns": 1}))
    _, again = world.measure()
    assert (again.service, again.retries) == ("opensearch", 3)
    assert len(world.measure()) == 1


def test_nothing_is_lost_or_counted_twice_while_opensearch_is_away(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tillwatch.measuring")
    world.report(totals=totals(100))
    assert world.measure()
    world.error = NotWritten("OpenSearch answered 503")
    for records in (150, 175, 200):
        world.report(totals=totals(records, retries={"opensearch": records}))
        assert world.measure() == []
    world.error = RuntimeError("whatever else")
    assert world.measure() == []
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "OpenSearch answered 503" in caplog.text
    world.error = None
    shard, service = world.measure()
    assert (shard.records, shard.seconds, service.retries) == (100, 150.0, 200)
    assert caplog.records[-1].message == "measurements are written again"


def test_what_opensearch_took_does_not_come_again_with_what_it_refused(world: World) -> None:
    world.report(totals=totals(100))
    world.error = Refused("strict_dynamic_mapping_exception")
    world.measure()
    world.error = None
    (after,) = world.measure()
    assert after.records == 0


def test_totals_of_a_shard_that_went_away_are_not_measured_as_negative(world: World) -> None:
    world.report(totals=totals(100, retries={"s3": 4}))
    world.measure()
    world.report(totals=totals(110, retries={"s3": 4}), ended="lease lost")
    assert world.measure() == []
    world.sequence = 0
    world.report(pid=8, totals=totals(5, retries={"s3": 1}))
    shard, service = world.measure()
    assert (shard.records, service.retries) == (15, 1)


def test_a_measurement_has_a_bound(world: World) -> None:
    for pid in range(20):
        world.sequence = 0
        retries = {f"service-{n}": 1 for n in range(64)}
        world.report(pid=pid, shard_id=f"shard-{pid}", totals=totals(1, retries=retries))
    many = world.measure()
    assert len(many) == 20 + 20 * 64 < DOCUMENTS_MAX
    # Shards come first: what is left out are services.
    assert all(found.service is None for found in many[:20])


def test_it_measures_by_itself_and_ends_when_asked() -> None:
    world = World()
    world.report(totals=totals(1))
    wrote = threading.Event()
    with Measuring(
        lambda _: wrote.set(), world.children, worker="w", seconds=0.01, now=lambda: NOON
    ) as measuring:
        assert wrote.wait(20)
    assert not measuring._thread.is_alive()


def test_zero_seconds_is_never() -> None:
    world = World()
    with Measuring(world.write, world.children, worker="w", seconds=0.0) as measuring:
        assert not measuring._thread.is_alive()


def test_documents_have_the_fields_of_their_mapping_and_lie_in_their_day() -> None:
    full = Measurement(
        measured_at=NOON,
        worker="w",
        shard_id="s",
        seconds=1.0,
        lag_seconds=1.0,
        checkpoint_age_seconds=1.0,
        waiting_for="s3",
        waiting_pages=0,
        records=0,
        transactions=0,
        rejections=0,
        service="s3",
        retries=1,
    )
    assert set(MAPPING["properties"]) == set(Measurement.__struct_fields__)
    lines = bulk_body(
        [
            full,
            Measurement(
                measured_at=NOON - 13 * 3_600 * SECOND, worker="w", shard_id="s", seconds=1.0
            ),
        ]
    ).splitlines()
    actions, documents = lines[::2], lines[1::2]
    assert [json.loads(line)["index"]["_index"] for line in actions] == [
        "operations-2026.01.05",
        "operations-2026.01.04",
    ]
    assert set(json.loads(documents[0])) == set(MAPPING["properties"])
    assert json.loads(documents[0])["measured_at"] == "2026-01-05T12:00:00Z"
    assert set(json.loads(documents[1])) == {"measured_at", "worker", "shard_id", "seconds"}


def test_an_opensearch_that_is_not_there_is_told_and_not_raised_through() -> None:
    write = to_opensearch(lambda: connect("http://127.0.0.1:9"))
    measurement = Measurement(measured_at=NOON, worker="w", shard_id="s", seconds=1.0)
    with pytest.raises(NotWritten, match="no answer from OpenSearch"):
        write([measurement])
