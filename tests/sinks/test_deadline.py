import threading

from sinks.deadline import Deadline


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_it_sets_itself_when_the_time_is_up() -> None:
    clock = Clock()
    deadline = Deadline(5, clock=clock)
    assert not deadline.is_set()
    clock.now = 4.9
    assert not deadline.is_set()
    clock.now = 5.0
    assert deadline.is_set()
    assert deadline.wait()


def test_it_is_set_by_hand_and_by_the_one_around_it() -> None:
    outer = threading.Event()
    inner = Deadline(1_000, outer)
    by_hand = Deadline(1_000, outer)
    by_hand.set()
    assert by_hand.is_set()
    assert by_hand.wait(1_000)
    assert not inner.is_set()
    outer.set()
    assert inner.is_set()


def test_a_wait_ends_at_the_deadline_or_before() -> None:
    clock = Clock()
    deadline = Deadline(5, clock=clock)
    assert not deadline.wait(0.001)
    clock.now = 6.0
    assert deadline.wait(1_000), "it is over: nothing is waited for"
