"""The protocol, held against what amazon_kclpy itself reads and writes."""

import base64
import io
import json
import os
from contextlib import suppress

import pytest
from amazon_kclpy import dispatch, kcl

from consumer.multilang import (
    CheckpointRefusedError,
    Conversation,
    DaemonGone,
    Initialize,
    LeaseLost,
    ProcessRecords,
    ProtocolError,
    ShardEnded,
    Shutdown,
    ShutdownRequested,
)

LINES = [
    {
        "action": "initialize",
        "shardId": "shardId-000000000000",
        "sequenceNumber": "49590338271490256608559692538361571095921575989136588898",
        "subSequenceNumber": 3,
    },
    {
        "action": "processRecords",
        "millisBehindLatest": 1200,
        "records": [
            {
                "action": "record",
                "data": base64.b64encode(b'{"a":1}').decode(),
                "partitionKey": "shop-001",
                "sequenceNumber": "49590338271490256608559692540925702759324208523137515618",
                "subSequenceNumber": 7,
                "approximateArrivalTimestamp": 1767609067250,
            }
        ],
    },
    {"action": "leaseLost"},
    {"action": "shardEnded"},
    {"action": "shutdownRequested"},
]


def conversation(*messages: object) -> tuple[Conversation, io.BytesIO]:
    source = io.BytesIO(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
    target = io.BytesIO()
    return Conversation(source, target), target


def answers(target: io.BytesIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in target.getvalue().splitlines() if line]


def test_reads_each_action_as_amazon_kclpy_does() -> None:
    talk, _ = conversation(*LINES)
    actions = []
    while (action := talk.next_action()) is not None:
        actions.append(action)
    assert [type(action) for action in actions] == [
        Initialize,
        ProcessRecords,
        LeaseLost,
        ShardEnded,
        ShutdownRequested,
    ]
    theirs = [json.loads(json.dumps(line), object_hook=dispatch.message_decode) for line in LINES]
    assert actions[0].shard_id == theirs[0].shard_id
    assert actions[0].sequence_number == theirs[0].sequence_number
    assert actions[0].sub_sequence_number == theirs[0].sub_sequence_number
    ours, record = actions[1].records[0], theirs[1].records[0]
    assert ours.data == record.binary_data
    assert ours.partition_key == record.partition_key
    assert ours.sequence_number == record.sequence_number
    assert ours.sub_sequence_number == record.sub_sequence_number
    assert ours.approximate_arrival_timestamp == record.timestamp_millis
    assert actions[1].millis_behind_latest == theirs[1].millis_behind_latest


def test_answers_byte_for_byte_what_amazon_kclpy_means() -> None:
    talk, target = conversation(*LINES)
    while (action := talk.next_action()) is not None:
        talk.done(action)
    theirs = io.StringIO()
    handler = kcl._IOHandler(io.StringIO(), theirs, io.StringIO())
    for line in LINES:
        handler.write_action({"action": "status", "responseFor": line["action"]})
    assert answers(target) == [json.loads(line) for line in theirs.getvalue().splitlines() if line]


def test_the_older_shutdown_carries_its_reason() -> None:
    talk, _ = conversation({"action": "shutdown", "reason": "ZOMBIE"})
    assert talk.next_action() == Shutdown("ZOMBIE")


def test_a_checkpoint_names_its_position_and_waits_for_the_answer() -> None:
    talk, target = conversation(
        {"action": "checkpoint", "sequenceNumber": "12", "subSequenceNumber": 1}
    )
    talk.checkpoint("12", 1)
    assert answers(target) == [
        {"action": "checkpoint", "sequenceNumber": "12", "subSequenceNumber": 1}
    ]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ShutdownException", (True, False)),
        ("ThrottlingException", (False, True)),
        ("KinesisClientLibDependencyException", (False, True)),
        ("InvalidStateException", (False, False)),
    ],
)
def test_a_refused_checkpoint_says_which_kind(name: str, kind: tuple[bool, bool]) -> None:
    talk, _ = conversation({"action": "checkpoint", "error": name})
    with pytest.raises(CheckpointRefusedError) as refused:
        talk.checkpoint("12", 0)
    assert (refused.value.lease_lost, refused.value.transient) == kind


@pytest.mark.parametrize("line", [b"garbage\n", b'{"action":"dance"}\n', b'{"no":"action"}\n'])
def test_what_is_no_action_ends_the_conversation(line: bytes) -> None:
    with pytest.raises(ProtocolError):
        Conversation(io.BytesIO(line), io.BytesIO()).next_action()


def test_a_checkpoint_answered_with_something_else_ends_the_conversation() -> None:
    talk, _ = conversation({"action": "leaseLost"})
    with pytest.raises(ProtocolError):
        talk.checkpoint("12", 0)
    talk, _ = conversation({"action": "checkpoint", "sequenceNumber": "1"})
    with pytest.raises(ProtocolError):
        talk.next_action()


def test_a_closed_pipe_is_the_end() -> None:
    talk, _ = conversation()
    assert talk.next_action() is None
    with pytest.raises(DaemonGone):
        talk.checkpoint("12", 0)


def test_a_daemon_that_reads_no_more_is_gone() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as target:
        talk = Conversation(io.BytesIO(), target)
        with pytest.raises(DaemonGone):
            talk.done(LeaseLost())
        with pytest.raises(DaemonGone):
            talk.checkpoint("12", 0)
        with suppress(BrokenPipeError):  # of what the buffer still holds
            target.close()


def test_empty_lines_are_no_actions() -> None:
    source = io.BytesIO(b"\n\r\n" + json.dumps(LINES[0]).encode() + b"\n\n")
    talk = Conversation(source, io.BytesIO())
    assert isinstance(talk.next_action(), Initialize)
    assert talk.next_action() is None
