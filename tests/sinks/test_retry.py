import logging
import threading

import pytest

from sinks.retry import Retry, Transient
from sinks.sink import Stopped


def test_what_works_is_called_once() -> None:
    calls = iter(range(9))
    assert Retry("s", threading.Event()).call(lambda: next(calls)) == 0
    assert next(calls) == 1


def test_trouble_that_passes_is_waited_out_counted_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: list[str] = []
    left = [3]

    def attempt() -> str:
        if left[0]:
            left[0] -= 1
            raise Transient("busy")
        return "done"

    retry = Retry("sqs", threading.Event(), count=counted.append, wait_seconds_max=0.001)
    with caplog.at_level(logging.WARNING):
        assert retry.call(attempt) == "done"
    assert counted == ["sqs"] * 3
    assert [record.attempt for record in caplog.records] == [1, 2, 3]  # type: ignore[attr-defined]
    assert {record.service for record in caplog.records} == {"sqs"}  # type: ignore[attr-defined]
    assert "busy" in caplog.text


def test_other_errors_are_raised_as_they_are() -> None:
    def attempt() -> None:
        raise ZeroDivisionError("ours")

    with pytest.raises(ZeroDivisionError, match="ours"):
        Retry("s", threading.Event()).call(attempt)


def test_stop_ends_the_wait_at_once_however_long_it_is() -> None:
    stop = threading.Event()
    tried = threading.Event()
    ended: list[BaseException] = []

    def attempt() -> None:
        tried.set()
        raise Transient("down")

    def run() -> None:
        try:
            Retry("s", stop, wait_seconds_max=3_600).call(attempt)
        except Stopped as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    assert tried.wait(10)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert "down" in str(ended[0])
    assert isinstance(ended[0].__cause__, Transient)


def test_a_stopped_retry_still_tries_once() -> None:
    stop = threading.Event()
    stop.set()
    assert Retry("s", stop).call(lambda: "done") == "done"

    def attempt() -> None:
        raise Transient("down")

    with pytest.raises(Stopped):
        Retry("s", stop, wait_seconds_max=3_600).call(attempt)


def test_waits_are_random_below_a_ceiling_that_doubles_up_to_the_maximum() -> None:
    retry = Retry("s", threading.Event(), wait_seconds_max=2.0)

    class State:
        attempt_number = 0

    waits: dict[int, list[float]] = {}
    for attempt in (1, 2, 3, 4, 30):
        State.attempt_number = attempt
        waits[attempt] = [retry._wait(State) for _ in range(400)]  # type: ignore[arg-type]
    for attempt, ceiling in ((1, 0.25), (2, 0.5), (3, 1.0), (4, 2.0), (30, 2.0)):
        assert 0 <= min(waits[attempt]) < 0.2 * ceiling
        assert 0.8 * ceiling < max(waits[attempt]) <= ceiling
