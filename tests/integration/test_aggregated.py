"""A record that the Kinesis Producer Library aggregated: each user record has its Position."""

import hashlib
from typing import Any

import pytest

from local.drained import wait_until_drained
from local.stack import Stack
from local.stream_reading import contents
from local.worker import WORKER_STOP_SECONDS_MAX, start_worker
from tests.consumer.world import wire

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

MAGIC = bytes.fromhex("F3899AC2")
USER_RECORDS = 40


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def aggregated(key: str, records: list[bytes]) -> bytes:
    """The aggregation format of the Kinesis Producer Library: magic, protobuf message, MD5."""
    message = _field(1, key.encode())
    for data in records:
        message += _field(3, _varint(1 << 3) + _varint(0) + _field(3, data))
    return MAGIC + message + hashlib.md5(message, usedforsecurity=False).digest()


def test_user_records_of_one_kinesis_record_are_told_apart(stack: Stack) -> None:
    made = stack.renew()
    kinesis = stack.aws.client("kinesis")
    records = [wire(number, shop="shop-1") for number in range(USER_RECORDS)]
    records[7] = b"not a transaction"
    kinesis.put_record(
        StreamName=made.stream, PartitionKey="shop-1", Data=aggregated("shop-1", records)
    )
    worker = start_worker(stack, {"TILLWATCH_HOURS_CLOSE_IDLE_SECONDS": "2"})
    try:
        tips = contents(kinesis, made.stream, made.shards).tips

        def alive() -> None:
            assert worker.exit_code is None, worker.log_tail()

        wait_until_drained(stack.aws, made, tips, check=alive)
    finally:
        worker.stop(WORKER_STOP_SECONDS_MAX)
    documents = _positions(stack)
    assert len(documents) == USER_RECORDS - 1
    assert {sub for _, sub in documents.values()} == set(range(USER_RECORDS)) - {7}
    assert {sequence for sequence, _ in documents.values()} == {tips[made.shards[0]]}
    letters = stack.aws.client("sqs").receive_message(QueueUrl=made.dead_letter_queue_url)
    assert len(letters["Messages"]) == 1
    assert '"sub_sequence_number":7' in letters["Messages"][0]["Body"].replace(" ", "")


def _positions(stack: Stack) -> dict[str, tuple[str, int]]:
    client = stack.search_client()
    client.indices.refresh(index="transactions-*")
    body: dict[str, Any] = {"query": {"match_all": {}}, "size": 1_000}
    hits = client.search(index="transactions-*", body=body)["hits"]["hits"]
    client.close()
    return {
        hit["_id"]: (
            hit["_source"]["position"]["sequence_number"],
            hit["_source"]["position"]["sub_sequence_number"],
        )
        for hit in hits
    }
