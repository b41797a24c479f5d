import pytest

from events.instant import HOUR, MINUTE, SECOND, Instant
from events.page import Entity
from sinks import page_text
from tests.sinks.made import NOON, page

WHOLE = """\
CRITICAL: 14 refunds, 1,284.00 GBP, in 26 minutes at shop-001

Where:    shop-001, cashier c-1
When:     Mon 5 Jan 2026, 11:58 to 12:24 UTC
Refunded: 1,284.00 GBP in 14 refunds
Unusual:  14 in 50 minutes, where 0.5 is usual (28 times); score 0.98
Status:   new (page p-0001, revision 0)

Evidence, worst first (2 of 14 refunds):
  t-000001
  t-000008

What to do next:
  1. Look at the first three transactions above: same card, same item, no receipt?
  2. Ask the manager of shop-001 who works as c-1, and have that person's refunds approved by \
somebody else until this is explained.
  3. If there is a cause, say so: `tillwatch verdict p-0001 ok`, or the buttons in the live view. \
If there is none, have the shop keep its video of these times, and tell loss prevention.

Look on:
  Live view:
    http://127.0.0.1:1/#page=p-0001
  This stretch of the stream again:
    tillwatch replay
"""


def test_the_whole_text() -> None:
    links = {"live_view": "http://127.0.0.1:1/#page=p-0001", "replay": "tillwatch replay"}
    one = page(
        window=50 * MINUTE, first_at=NOON - 2 * MINUTE, last_at=NOON + 24 * MINUTE + 30 * SECOND
    )
    assert page_text.text(one, links) == WHOLE


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (NOON, NOON + 20 * SECOND, "Mon 5 Jan 2026, 12:00 UTC"),
        (NOON, NOON + HOUR, "Mon 5 Jan 2026, 12:00 to 13:00 UTC"),
        (NOON, NOON + 30 * HOUR, "Mon 5 Jan 2026, 12:00 to Tue 6 Jan, 18:00 UTC"),
    ],
)
def test_times_are_told_as_people_write_them(first: Instant, last: Instant, words: str) -> None:
    text = page_text.text(page(first_at=first, last_at=last))
    assert f"When:     {words}\n" in text


def test_so_much_evidence_is_named_as_is_read_at_night() -> None:
    text = page_text.text(page(refunds=62, evidence=tuple(f"t-{n}" for n in range(25))))
    assert "worst first (10 of 62 refunds)" in text
    assert "t-9\n" in text
    assert "t-10\n" not in text


def test_one_refund_is_looked_at_as_one() -> None:
    text = page_text.text(page(refunds=1, evidence=("t-1",)))
    assert "Evidence: t-1\n" in text
    assert "Look at that transaction" in text


def test_a_card_is_named_once_and_what_keeps_a_page_back_is_said() -> None:
    text = page_text.text(page(entity=Entity("card", "card-9afb"), suppressed_by="s-1"))
    assert "Where:    shop-001, card-9afb\n" in text
    assert "Not sent: by rule s-1\n" in text
    assert "Where:    shop-001, card k-1\n" in page_text.text(page(entity=Entity("card", "k-1")))


def test_a_page_about_a_shop_names_it_once_and_asks_for_a_cause() -> None:
    text = page_text.text(page(entity=Entity("shop", "shop-001")))
    assert "Where:    shop-001\n" in text
    assert "known cause" in text
    assert "Look on" not in text


def test_what_is_unusual_about_an_amount_is_money() -> None:
    text = page_text.text(
        page(reason="amount", observed=8_099_500.0, expected=4_000.0, refunds=1, currency="JPY")
    )
    assert "8,099,500 JPY, where 4,000 JPY is usual; score" in text
    assert "in 1 refund\n" in text
    text = page_text.text(page(reason="amount", observed=128_400.0, expected=2_000.0))
    assert "1,284.00 GBP, where 20.00 GBP is usual (64 times)" in text


def test_no_ratio_where_nothing_was_expected_or_little_more_was_seen() -> None:
    assert " times)" not in page_text.text(page(expected=0.0))
    assert " times)" not in page_text.text(page(expected=10.0))


def test_a_hostile_name_stays_on_its_line() -> None:
    text = page_text.text(page(shop_id="shop\nCRITICAL: call \x1b[31m0900"))
    assert "\x1b" not in text
    assert text.count("\nCRITICAL") == 0


def test_subject_and_sms() -> None:
    assert (
        page_text.subject(page(1, "updated"))
        == "CRITICAL goes on: shop-001, 15 refunds, 1,284.00 GBP (volume)"
    )
    assert page_text.sms(page()) == (
        "CRITICAL: 14 refunds, 1,284.00 GBP, in 26 minutes at shop-001"
    )
    assert len(page_text.sms(page(summary="x" * 900))) == 140
    assert page_text.subject(page(severity=7)).startswith("SEVERITY 7")
