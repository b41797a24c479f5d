"""The ledger: one process at a time sends a page, and each page once."""

from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from events.instant import DAY, SECOND, Instant
from sinks.dynamodb import CLAIM_SECONDS_MAX, FRESH_SECONDS_MAX, KEPT, Claim, Ledger
from tests.sinks.aws_double import client, create_ledger_table
from tests.sinks.made import NOON


@pytest.fixture
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        made = client("dynamodb")
        create_ledger_table(made)
        yield made


def ledger(dynamodb: Any, owner: str = "worker-1", *, now: Instant = NOON) -> Ledger:
    return Ledger(dynamodb, "ledger", owner, clock=lambda: now)


def test_what_was_sent_is_not_claimed_again(dynamodb: Any) -> None:
    assert ledger(dynamodb).claim("p-1", 0) is Claim.MINE
    ledger(dynamodb).mark_sent("p-1", 0)
    much_later = NOON + 10 * CLAIM_SECONDS_MAX * SECOND
    for owner in ("worker-1", "worker-2"):
        assert ledger(dynamodb, owner).claim("p-1", 0) is Claim.SENT
        assert ledger(dynamodb, owner, now=much_later).claim("p-1", 0) is Claim.SENT
    assert ledger(dynamodb).claim("p-1", 1) is Claim.MINE
    assert ledger(dynamodb).claim("p-10", 0) is Claim.MINE


def test_a_claim_holds_for_its_time_and_as_long_as_it_is_renewed(dynamodb: Any) -> None:
    assert ledger(dynamodb).claim("p-1", 0) is Claim.MINE
    within = NOON + CLAIM_SECONDS_MAX * SECOND
    assert ledger(dynamodb, "worker-2", now=within).claim("p-1", 0) is Claim.HELD
    assert ledger(dynamodb, now=within).claim("p-1", 0) is Claim.MINE
    again = within + CLAIM_SECONDS_MAX * SECOND
    assert ledger(dynamodb, "worker-2", now=again).claim("p-1", 0) is Claim.HELD
    assert ledger(dynamodb, "worker-2", now=again + SECOND).claim("p-1", 0) is Claim.MINE
    assert ledger(dynamodb, now=again + SECOND).claim("p-1", 0) is Claim.HELD


def test_a_worker_that_stood_still_while_it_claimed_does_not_send_on_the_old_claim(
    dynamodb: Any,
) -> None:
    # Its clock was read, its claim written, and then it froze; meanwhile another sent the page.
    late = NOON + 2 * CLAIM_SECONDS_MAX * SECOND
    looks = iter([NOON, late, late, late])

    def clock() -> Instant:
        at = next(looks)
        if at == late and ledger(dynamodb, "worker-2", now=late).claim("p-1", 0) is Claim.MINE:
            ledger(dynamodb, "worker-2", now=late).mark_sent("p-1", 0)
        return at

    assert Ledger(dynamodb, "ledger", "worker-1", clock=clock).claim("p-1", 0) is Claim.SENT


def test_a_claim_that_took_long_and_is_still_one_s_own_is_made_anew(dynamodb: Any) -> None:
    late = NOON + (FRESH_SECONDS_MAX + 1) * SECOND
    looks = iter([NOON, late, late, late])
    slow = Ledger(dynamodb, "ledger", "worker-1", clock=lambda: next(looks))
    assert slow.claim("p-1", 0) is Claim.MINE
    (item,) = dynamodb.scan(TableName="ledger")["Items"]
    assert item["claimed_at"] == {"N": str(late // SECOND)}


def test_claims_that_always_take_long_are_given_up_for_now(dynamodb: Any) -> None:
    looks = iter(range(NOON, NOON + DAY, (FRESH_SECONDS_MAX + 1) * SECOND))
    slow = Ledger(dynamodb, "ledger", "worker-1", clock=lambda: next(looks))
    assert slow.claim("p-1", 0) is Claim.HELD


def test_an_entry_says_whose_it_is_and_when_it_may_go(dynamodb: Any) -> None:
    ledger(dynamodb).claim("p-1", 3)
    ledger(dynamodb).mark_sent("p-1", 3)
    (item,) = dynamodb.scan(TableName="ledger")["Items"]
    seconds = NOON // SECOND
    assert item == {
        "ledger_key": {"S": "p-1#3"},
        "state": {"S": "sent"},
        "owner": {"S": "worker-1"},
        "claimed_at": {"N": str(seconds)},
        "sent_at": {"N": str(seconds)},
        "expires_at": {"N": str(seconds + KEPT // SECOND)},
    }


def test_a_table_that_is_not_there_is_an_error_to_hear_of() -> None:
    with mock_aws(), pytest.raises(ClientError, match="ResourceNotFound"):
        ledger(client("dynamodb")).claim("p-1", 0)
