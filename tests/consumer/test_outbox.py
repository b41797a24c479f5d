"""Pages on their way: none lost, none twice, and the shard goes on meanwhile."""

import threading
import time

import pytest
from msgspec.structs import replace

from consumer.outbox import FAILURES_MAX, Outbox
from events.page import Page
from sinks.sink import Stopped
from tests.sinks.made import page

DEADLINE_SECONDS = 30


class Topic:
    """Takes pages unless it is down; some it holds back, as another worker's claim does."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int]] = []
        self.tries = 0
        self.down = False
        self.held: set[str] = set()

    def send(self, one: Page) -> bool:
        self.tries += 1
        if self.down:
            raise ConnectionError("the topic does not answer")
        if one.page_id in self.held:
            return False
        self.sent.append((one.page_id, one.revision))
        return True


def pages(*revisions: tuple[str, int]) -> list[Page]:
    return [replace(page(revision), page_id=name) for name, revision in revisions]


def wait_until(outbox: Outbox, *, waiting: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while len(outbox.waiting()) != waiting:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_what_comes_in_goes_out_at_once_and_in_order() -> None:
    topic, stop = Topic(), threading.Event()
    outbox = Outbox(topic.send, stop, wait_seconds_max=0.01)
    outbox.start()
    for number in range(20):
        outbox.add(pages(("a", number)))
    wait_until(outbox, waiting=0)
    outbox.end()
    assert topic.sent == [("a", number) for number in range(20)]


def test_while_the_topic_is_down_pages_wait_and_the_shard_does_not() -> None:
    topic, stop = Topic(), threading.Event()
    topic.down = True
    counted: list[str] = []
    outbox = Outbox(topic.send, stop, wait_seconds_max=0.002, count_retry=counted.append)
    outbox.start()
    outbox.add(pages(("a", 0), ("a", 1), ("b", 0)))
    assert len(outbox.waiting()) == 3
    deadline = time.monotonic() + DEADLINE_SECONDS
    while topic.tries < 5:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert set(counted) == {"sns"}
    topic.down = False
    wait_until(outbox, waiting=0)
    outbox.end()
    assert topic.sent == [("a", 0), ("a", 1), ("b", 0)]


def test_one_page_holds_up_only_its_own_later_revisions() -> None:
    topic = Topic()
    topic.held = {"a"}
    outbox = Outbox(topic.send, threading.Event(), pages(("a", 0), ("b", 0), ("a", 1), ("c", 0)))
    assert not outbox.flush()
    assert topic.sent == [("b", 0), ("c", 0)]
    assert outbox.waiting() == pages(("a", 0), ("a", 1))
    topic.held = set()
    assert outbox.flush()
    assert topic.sent[2:] == [("a", 0), ("a", 1)]


def test_what_waited_in_the_state_is_sent_by_who_restores_it() -> None:
    topic, dead = Topic(), threading.Event()
    topic.down = True
    first = Outbox(topic.send, dead, wait_seconds_max=0.001)
    first.add(pages(("a", 0)))
    assert not first.flush()
    topic.down = False
    second = Outbox(topic.send, threading.Event(), first.waiting())
    assert second.flush()
    assert topic.sent == [("a", 0)]


def test_too_many_that_wait_are_backpressure_and_end_with_the_shard() -> None:
    topic, stop = Topic(), threading.Event()
    outbox = Outbox(topic.send, stop, pages_waiting_max=2, wait_seconds_max=0.01)
    outbox.add(pages(("a", 0), ("b", 0)))
    adding = threading.Thread(target=outbox.add, args=(pages(("c", 0)),))
    adding.start()
    adding.join(0.05)
    assert adding.is_alive()
    assert outbox.flush()
    adding.join(DEADLINE_SECONDS)
    assert outbox.waiting() == pages(("c", 0))
    outbox.add(pages(("d", 0)))
    stop.set()
    with pytest.raises(Stopped):
        outbox.add(pages(("e", 0)))
    assert not outbox.flush(), "a shard that is given up sends no more"
    assert topic.sent == [("a", 0), ("b", 0)]


def test_a_topic_that_fails_ends_the_round_and_the_next_begins_behind() -> None:
    topic, bad = Topic(), {f"bad-{number}" for number in range(FAILURES_MAX)}

    def send(one: Page) -> bool:
        if one.page_id in bad:
            topic.tries += 1
            raise ConnectionError("never")
        return topic.send(one)

    names = [(name, 0) for name in sorted(bad)] + [("a", 0), ("a", 1), ("b", 0)]
    outbox = Outbox(send, threading.Event(), pages(*names))
    assert not outbox.flush()
    assert topic.tries == FAILURES_MAX
    assert topic.sent == []
    assert not outbox.flush()
    assert topic.sent == [("a", 0), ("a", 1), ("b", 0)]
    bad.clear()
    assert outbox.flush()
    assert outbox.count() == 0
