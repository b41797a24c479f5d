"""The dead-letter queue read and handed back, over a real SQS endpoint."""

import threading
import uuid
from contextlib import suppress
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local.aws import AwsEndpoint
from sinks.dead_letters import DeadLetters
from sinks.deadline import Deadline
from sinks.dlq import DeadLetterSink
from sinks.memory import MemoryObjectStore
from sinks.sink import Stopped
from tests.sinks.made import rejection
from tests.sinks.trouble import AwsTrouble

pytestmark = pytest.mark.integration


class Queue:
    def __init__(self, aws: AwsEndpoint) -> None:
        self.aws = aws
        # It tries nothing twice: the waiting is what is tested.
        self.client = boto3.client(
            "sqs",
            region_name=aws.region,
            endpoint_url=aws.url,
            aws_access_key_id="made-up",
            aws_secret_access_key="made-up",
            config=Config(proxies={}, retries={"total_max_attempts": 1}),
        )
        self.url = self.client.create_queue(QueueName=f"letters-{uuid.uuid4().hex}")["QueueUrl"]

    def write(self, *numbers: int) -> None:
        sink = DeadLetterSink(self.client, self.url, MemoryObjectStore(), threading.Event())
        sink.write_rejections([rejection(number) for number in numbers])

    def reader(self, **options: Any) -> DeadLetters:
        stop = options.pop("stop", threading.Event())
        options = {"poll_seconds": 0, "wait_seconds_max": 0.001} | options
        return DeadLetters(self.client, self.url, stop, **options)

    def counts(self) -> tuple[int, int]:
        state = self.reader().state()
        return state.messages, state.hidden


@pytest.fixture
def queue(aws: AwsEndpoint) -> Queue:
    return Queue(aws)


def test_every_message_is_read_once_and_handed_back(queue: Queue) -> None:
    queue.write(*range(43))
    for _ in range(2):
        with queue.reader() as letters:
            got = [held.letter.record_id for held in letters.messages()]
            assert queue.counts() == (0, 43)
        assert len(got) == len(set(got)) == 43
        assert letters.read == 43
        assert letters.cut is None
    assert queue.counts() == (43, 0)


def test_what_is_removed_is_gone_and_the_rest_comes_back(queue: Queue) -> None:
    queue.write(*range(25), *range(5))
    with queue.reader() as letters:
        held = list(letters.messages())
        assert letters.remove(held[:12]) == 0
    assert queue.counts() == (18, 0)


def test_an_error_on_the_way_hands_back_what_was_read(queue: Queue) -> None:
    queue.write(*range(12))
    with suppress(KeyboardInterrupt), queue.reader() as letters:
        next(letters.messages())
        raise KeyboardInterrupt
    assert queue.counts() == (12, 0)


def test_the_bound_cuts_and_says_so(queue: Queue) -> None:
    queue.write(*range(25))
    with queue.reader(messages_max=7) as letters:
        assert len(list(letters.messages())) == 7
        assert letters.cut == "the bound of 7 messages was reached"
    with queue.reader(messages_max=25) as letters:
        assert len(list(letters.messages())) == 25
        assert letters.cut is None
    assert queue.counts() == (25, 0)


def test_the_deadline_cuts_and_says_so(queue: Queue) -> None:
    queue.write(*range(25))
    now = [0.0]
    with queue.reader(stop=Deadline(60, clock=lambda: now[0])) as letters:
        for number, _ in enumerate(letters.messages()):
            now[0] = 10.0 * number
        assert letters.cut == "the time was up"
        assert letters.read < 25
    assert queue.counts() == (25, 0)


def test_what_others_hold_does_not_show_and_is_counted(queue: Queue) -> None:
    queue.write(*range(4))
    with queue.reader() as first:
        held = list(first.messages())
        with queue.reader() as second:
            assert second.state().hidden == 4
            assert list(second.messages()) == []
            assert second.cut is None
        assert first.remove(held) == 0
    assert queue.counts() == (0, 0)


def test_what_somebody_else_took_meanwhile_is_left_and_counted(queue: Queue) -> None:
    queue.write(1, 2)
    with queue.reader() as slow, queue.reader() as other:
        held = list(slow.messages())
        slow_handles = dict(slow._handles)
        slow.hand_back()  # as if they had been held for too long
        slow._handles = slow_handles
        assert len(list(other.messages())) == 2
        assert slow.remove(held) == 2
    assert queue.counts() == (2, 0)


def test_messages_that_come_back_while_reading_are_read_once_and_end_it(queue: Queue) -> None:
    queue.write(*range(8))
    with queue.reader() as letters:
        got = []
        for held in letters.messages():
            got.append(held.letter.record_id)
            letters._show([held.message_id])
        assert len(got) == len(set(got))
        assert letters.cut == "messages came back faster than new ones were read" or len(got) == 8


def test_what_is_no_letter_is_read_and_kept(queue: Queue) -> None:
    queue.client.send_message(QueueUrl=queue.url, MessageBody="hello")
    queue.write(1)
    with queue.reader() as letters:
        assert sorted(held.letter.stage for held in letters.messages()) == ["parse", "unreadable"]
    assert queue.counts() == (2, 0)


def test_trouble_is_waited_out_and_the_deadline_ends_that(queue: Queue) -> None:
    queue.write(*range(3))
    trouble = AwsTrouble(queue.client)
    trouble.left = 3
    with queue.reader() as letters:
        held = list(letters.messages())
        trouble.left = 2
        assert letters.remove(held) == 0
    assert trouble.met >= 5
    trouble.left = 10**6
    now = iter(range(1_000))
    stop = Deadline(50, clock=lambda: float(next(now)))
    with pytest.raises(Stopped, match="sqs"):
        queue.reader(stop=stop).state()
    trouble.left = 0
    assert queue.counts() == (0, 0)


def test_a_queue_that_moves_messages_away_says_so(queue: Queue) -> None:
    other = queue.client.create_queue(QueueName=f"other-{uuid.uuid4().hex}")["QueueUrl"]
    arn = queue.client.get_queue_attributes(QueueUrl=other, AttributeNames=["QueueArn"])
    policy = f'{{"deadLetterTargetArn":"{arn["Attributes"]["QueueArn"]}","maxReceiveCount":"3"}}'
    queue.client.set_queue_attributes(QueueUrl=queue.url, Attributes={"RedrivePolicy": policy})
    state = queue.reader().state()
    assert state.receives_max == 3
    assert state.retention_seconds == 345_600


def test_a_queue_that_is_not_there_is_an_error_to_hear_of(queue: Queue) -> None:
    queue.url += "-not"
    with pytest.raises(ClientError, match="NonExistentQueue"), queue.reader() as letters:
        list(letters.messages())


def test_what_cannot_be_handed_back_comes_back_by_itself(
    queue: Queue, caplog: pytest.LogCaptureFixture
) -> None:
    queue.write(*range(30))
    trouble = AwsTrouble(queue.client)
    with queue.reader() as letters:
        assert len(list(letters.messages())) == 30
        trouble.left = 2
    assert "20 messages show again within 120 s only" in caplog.text
    assert queue.counts() == (10, 20)
    now = iter(range(0, 1_000, 31))
    with queue.reader(clock=lambda: float(next(now))) as letters:
        assert len(list(letters.messages())) == 10
    assert queue.counts() == (0, 30)
