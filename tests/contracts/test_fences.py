"""What every Fence promises, in memory and in DynamoDB."""

import threading
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from sinks.dynamodb_fence import DynamoFence
from sinks.fence import Fence, FencedOff, Held
from sinks.memory import MemoryFence
from tests.sinks.aws_double import create_ledger_table
from tests.sinks.trouble import AwsTrouble

if TYPE_CHECKING:
    from local.aws import AwsEndpoint

SHARD = "shardId-000000000007"


@pytest.fixture(params=["memory", pytest.param("dynamodb", marks=pytest.mark.integration)])
def fence(request: pytest.FixtureRequest) -> Iterator[Fence]:
    if request.param == "memory":
        yield MemoryFence()
        return
    aws: AwsEndpoint = request.getfixturevalue("aws")
    client: Any = aws.client("dynamodb")
    table = f"fence-{uuid.uuid4()}"
    create_ledger_table(client, table)
    AwsTrouble(client).left = 1
    yield DynamoFence(client, table, "tillwatch", threading.Event(), wait_seconds_max=0.001)
    client.close()


def test_a_shard_that_nobody_took_says_so(fence: Fence) -> None:
    assert fence.look(SHARD) == Held()


def test_every_taking_gives_a_later_epoch_and_what_was_noted(fence: Fence) -> None:
    first = fence.advance(SHARD)
    assert first.epoch >= 1
    assert first.snapshots == {}
    noted = Held(first.epoch, {"495-0": "snapshots/a", "SHARD_END": "snapshots/b"})
    fence.note(SHARD, noted)
    assert fence.look(SHARD) == noted
    second = fence.advance(SHARD)
    assert second == Held(first.epoch + 1, noted.snapshots)
    assert fence.look(SHARD) == second


def test_an_older_epoch_notes_nothing(fence: Fence) -> None:
    old = fence.advance(SHARD)
    new = fence.advance(SHARD)
    with pytest.raises(FencedOff, match=SHARD):
        fence.note(SHARD, Held(old.epoch, {"1-0": "of a zombie"}))
    fence.note(SHARD, Held(new.epoch, {"1-0": "of its successor"}))
    with pytest.raises(FencedOff):
        fence.note(SHARD, Held(old.epoch, {}))
    assert fence.look(SHARD).snapshots == {"1-0": "of its successor"}


def test_what_nobody_took_nobody_notes(fence: Fence) -> None:
    with pytest.raises(FencedOff):
        fence.note(SHARD, Held(1, {"1-0": "key"}))
    assert fence.look(SHARD) == Held()


def test_shards_have_nothing_to_do_with_each_other(fence: Fence) -> None:
    mine = fence.advance(SHARD)
    fence.advance("another")
    fence.note(SHARD, Held(mine.epoch, {"1-0": "key"}))
    assert fence.look("another").snapshots == {}
