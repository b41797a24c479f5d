import threading
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from sinks.dynamodb import KEPT, Ledger
from sinks.sink import Stopped
from tests.sinks.aws_double import client, create_ledger_table
from tests.sinks.made import NOON
from tests.sinks.trouble import AwsTrouble


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        made = client("dynamodb")
        create_ledger_table(made)
        yield made


def ledger(dynamodb: Any, stop: threading.Event | None = None) -> Ledger:
    return Ledger(
        dynamodb, "ledger", stop or threading.Event(), clock=lambda: NOON, wait_seconds_max=0.001
    )


def test_what_was_sent_is_not_claimed_again(dynamodb: Any) -> None:
    assert ledger(dynamodb).claim("p-1", 0)
    ledger(dynamodb).mark_sent("p-1", 0)
    assert not ledger(dynamodb).claim("p-1", 0)
    assert ledger(dynamodb).claim("p-1", 1)
    assert ledger(dynamodb).claim("p-10", 0)


def test_what_was_claimed_and_never_sent_is_claimed_again(dynamodb: Any) -> None:
    assert ledger(dynamodb).claim("p-1", 0)
    assert ledger(dynamodb).claim("p-1", 0)


def test_an_entry_says_when_and_when_it_may_go(dynamodb: Any) -> None:
    ledger(dynamodb).claim("p-1", 3)
    ledger(dynamodb).mark_sent("p-1", 3)
    (item,) = dynamodb.scan(TableName="ledger")["Items"]
    seconds = NOON // 1_000_000
    assert item == {
        "ledger_key": {"S": "p-1#3"},
        "state": {"S": "sent"},
        "claimed_at": {"N": str(seconds)},
        "sent_at": {"N": str(seconds)},
        "expires_at": {"N": str(seconds + KEPT // 1_000_000)},
    }


def test_trouble_is_waited_out(dynamodb: Any) -> None:
    trouble = AwsTrouble(dynamodb)
    trouble.left = 3
    assert ledger(dynamodb).claim("p-1", 0)
    trouble.left = 2
    ledger(dynamodb).mark_sent("p-1", 0)
    trouble.left = 2
    assert not ledger(dynamodb).claim("p-1", 0)
    assert trouble.met == 7


def test_it_stops_when_asked(dynamodb: Any) -> None:
    stop = threading.Event()
    stop.set()
    AwsTrouble(dynamodb).left = 9
    with pytest.raises(Stopped):
        ledger(dynamodb, stop).claim("p-1", 0)


def test_a_table_that_is_not_there_is_an_error_to_hear_of() -> None:
    with mock_aws(), pytest.raises(ClientError, match="ResourceNotFound"):
        ledger(client("dynamodb")).claim("p-1", 0)
