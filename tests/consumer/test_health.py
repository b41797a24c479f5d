"""Health and metrics over real HTTP on a free loopback port."""

import json
import socket
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from consumer.children import Children
from consumer.health import REQUESTS_MAX, Health, HealthError
from consumer.heartbeat import Bounds
from consumer.metrics import Metrics
from consumer.telemetry import HALTED, LISTENING, RESTORING, STARTING
from consumer.vitals import BEAT_LATE_SECONDS, FIRST_SHARD_SECONDS, TURN_SECONDS_MAX, Vitals
from tests.consumer.reports import Clock, datagram

DEADLINE_SECONDS = 30
DAEMON = 5


class Served:
    def __init__(self) -> None:
        bounds = Bounds(60, 600)
        self.clock = Clock()
        self.sessions = {7: DAEMON, 8: DAEMON}
        self.children = Children(bounds, clock=self.clock, session_of=self.sessions.get)
        self.vitals = Vitals(bounds, self.clock)
        metrics = Metrics(self.children, self.vitals, lambda: 0)
        self.health = Health("127.0.0.1", 0, self.children, self.vitals, metrics)

    def get(self, path: str) -> tuple[int, str, bytes]:
        connection = HTTPConnection("127.0.0.1", self.health.port, timeout=DEADLINE_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.getheader("Content-Type") or "", answer.read()
        finally:
            connection.close()

    def ready(self) -> tuple[int, dict[str, Any]]:
        status, kind, body = self.get("/readyz")
        assert kind == "application/json"
        said: dict[str, Any] = json.loads(body)
        assert said["ready"] is (status == 200)
        return status, said

    def up(self) -> None:
        self.children.follow(DAEMON)
        self.vitals.daemon_started(DAEMON)


@pytest.fixture
def served() -> Iterator[Served]:
    made = Served()
    with made.health:
        yield made


def test_the_worker_lives_while_its_loop_turns(served: Served) -> None:
    served.clock.now += TURN_SECONDS_MAX
    assert served.get("/healthz")[0] == 200
    served.clock.now += 1
    status, _, body = served.get("/healthz")
    assert status == 503
    assert json.loads(body)["loop_age_seconds"] == TURN_SECONDS_MAX + 1
    served.vitals.turn()
    assert served.get("/healthz")[0] == 200


def test_the_worker_is_ready_when_the_daemon_runs_and_every_child_beats(served: Served) -> None:
    assert served.ready() == (
        503,
        {
            "ready": False,
            "why": ["the daemon is not running", "no shard yet"],
            "daemon": {"pid": None, "starts": 0},
            "shards": {},
        },
    )
    served.up()
    assert served.ready()[1]["why"] == ["no shard yet"]
    served.children.receive(datagram(position="12-0", waiting_for="opensearch", beat_age=0.5))
    served.children.receive(datagram(pid=8, shard_id="shardId-1", doing=LISTENING))
    status, said = served.ready()
    assert status == 200
    assert said == {
        "ready": True,
        "why": [],
        "daemon": {"pid": DAEMON, "starts": 1},
        "shards": {
            "shardId-0": {
                "pid": 7,
                "doing": "records",
                "beat_age_seconds": 0.5,
                "waiting_for": "opensearch",
                "position": "12-0",
            },
            "shardId-1": {
                "pid": 8,
                "doing": "listening",
                "beat_age_seconds": 0.0,
                "waiting_for": None,
                "position": None,
            },
        },
    }
    served.vitals.stopping = True
    assert served.ready()[1]["why"] == ["the worker was told to stop"]


def test_it_says_which_child_does_not_beat_and_which_is_gone(served: Served) -> None:
    served.up()
    served.children.receive(datagram())
    served.children.receive(datagram(pid=8, shard_id="shardId-1", doing=LISTENING))
    served.clock.now += BEAT_LATE_SECONDS + 1
    served.children.receive(datagram(sequence=2, beat_age=61))
    del served.sessions[8]
    assert served.ready()[1]["why"] == [
        "shardId-0: has been at 'records' for 61 s without a beat",
        "shardId-1: has said nothing for 11 s",
    ]
    served.children.ill()
    assert served.ready()[1]["why"][1] == "shardId-1: its process ended"


def test_a_child_that_still_takes_its_shard_is_not_ready(served: Served) -> None:
    served.up()
    served.children.receive(datagram(shard_id=None, doing=STARTING))
    served.children.receive(datagram(pid=8, shard_id="shardId-1", doing=RESTORING))
    assert served.ready()[1]["why"] == ["shardId-1: restoring", "unknown (7): starting"]


def test_a_shard_that_stands_still_is_not_ready(served: Served) -> None:
    served.up()
    served.children.receive(datagram(doing=HALTED))
    assert served.ready()[1]["why"] == ["shardId-0: halted"]


def test_a_worker_without_shards_is_ready_once_the_daemon_had_its_time(served: Served) -> None:
    served.up()
    served.clock.now += FIRST_SHARD_SECONDS
    assert served.ready()[0] == 200


def test_metrics_are_served_as_prometheus_reads_them(served: Served) -> None:
    status, kind, body = served.get("/metrics?name=ignored")
    assert status == 200
    assert kind == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\ntillwatch_daemon_up 0.0\n" in body


def test_another_address_is_not_found_and_another_method_refused(served: Served) -> None:
    assert served.get("/")[0] == 404
    connection = HTTPConnection("127.0.0.1", served.health.port, timeout=DEADLINE_SECONDS)
    connection.request("POST", "/metrics", body=b"x")
    assert connection.getresponse().status == 501
    connection.close()


def test_a_slow_asker_holds_nobody_up(served: Served) -> None:
    slow = [
        socket.create_connection(("127.0.0.1", served.health.port)) for _ in range(REQUESTS_MAX - 1)
    ]
    for one in slow:
        one.sendall(b"GET /metr")
    assert served.get("/healthz")[0] == 200
    for one in slow:
        one.close()


def test_it_ends_though_somebody_still_asks() -> None:
    made = Served()
    with made.health:
        asking = [
            socket.create_connection(("127.0.0.1", made.health.port))
            for _ in range(REQUESTS_MAX + 2)
        ]
        time.sleep(0.1)
        for one in asking:
            one.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", made.health.port)).close()


def test_an_address_that_is_not_here_is_said_in_plain_words() -> None:
    bounds = Bounds(60, 600)
    children, vitals = Children(bounds), Vitals(bounds, time.monotonic)
    metrics = Metrics(children, vitals, lambda: 0)
    with pytest.raises(HealthError, match="TILLWATCH_METRICS_HOST"):
        Health("203.0.113.7", 0, children, vitals, metrics)
