from collections.abc import Iterator
from threading import Event
from typing import Any

import msgspec
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sinks.dynamodb import KEPT
from sinks.kinesis import Placed
from sinks.redrive_ledger import Entry, RedriveLedger
from tests.sinks.aws_double import client, create_ledger_table
from tests.sinks.made import NOON
from tests.sinks.trouble import AwsTrouble

RECORD = "shardId-1/4959-0"
MINE = Entry("digest", "shop-1", "mine", NOON)
THEIRS = Entry("other", "shop-2", "theirs", NOON + 5)
PLACE = Placed("shardId-2", "77")


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        made = client("dynamodb")
        create_ledger_table(made)
        yield made


def ledger(dynamodb: Any, stream: str = "tills") -> RedriveLedger:
    return RedriveLedger(
        dynamodb, "ledger", stream, Event(), clock=lambda: NOON, wait_seconds_max=0.001
    )


def test_the_first_claim_wins(dynamodb: Any) -> None:
    made = ledger(dynamodb)
    assert made.entry(RECORD) is None
    assert made.claim(RECORD, MINE)
    assert made.claim(RECORD, MINE), "the answer may have been lost"
    assert not made.claim(RECORD, THEIRS)
    assert made.entry(RECORD) == MINE
    assert ledger(dynamodb, "other").claim(RECORD, THEIRS), "another stream's record"


def test_what_is_sent_stays_sent(dynamodb: Any) -> None:
    made = ledger(dynamodb)
    made.claim(RECORD, MINE)
    assert made.mark_sent(RECORD, "mine", PLACE)
    assert made.mark_sent(RECORD, "mine", PLACE), "the answer may have been lost"
    sent = msgspec.structs.replace(MINE, placed=PLACE)
    assert made.entry(RECORD) == sent
    assert not made.claim(RECORD, THEIRS)
    assert not made.claim(RECORD, THEIRS, MINE)
    made.release(RECORD, "mine")
    assert made.entry(RECORD) == sent
    (item,) = dynamodb.scan(TableName="ledger")["Items"]
    assert item["ledger_key"] == {"S": f"redrive#tills#{RECORD}"}
    assert item["expires_at"] == {"N": str((NOON + KEPT) // 1_000_000)}


def test_a_claim_changes_hands_once(dynamodb: Any) -> None:
    made = ledger(dynamodb)
    made.claim(RECORD, MINE)
    assert made.claim(RECORD, THEIRS, MINE)
    third = Entry("digest", "shop-1", "third", NOON)
    assert not made.claim(RECORD, third, MINE)
    assert not made.mark_sent(RECORD, "mine", PLACE)
    made.release(RECORD, "mine")
    assert made.entry(RECORD) == THEIRS
    made.release(RECORD, "theirs")
    assert made.entry(RECORD) is None


def test_trouble_is_waited_out(dynamodb: Any) -> None:
    trouble = AwsTrouble(dynamodb)
    trouble.left = 2
    assert ledger(dynamodb).claim(RECORD, MINE)
    trouble.left = 2
    assert ledger(dynamodb).entry(RECORD) == MINE
    assert trouble.met == 4


def test_a_table_that_is_not_there_is_an_error_to_hear_of() -> None:
    with mock_aws(), pytest.raises(ClientError, match="ResourceNotFound"):
        ledger(client("dynamodb")).entry(RECORD)
