from events.page import Entity
from sinks import page_text
from tests.sinks.made import page

WHOLE = """\
CRITICAL: 14 refunds, 1,284.00 GBP, in 26 minutes at shop-001

Where:    shop-001, cashier c-1
Since:    2026-01-05T12:00:00.000Z, last seen 2026-01-05T12:30:00.000Z
Refunded: 1284.00 GBP in 14 refunds
Unusual:  14 where 0.5 is expected (28 times); score 0.98
Status:   new (page p-0001, revision 0)

Evidence, worst first (2 of 14 refunds):
  t-000001
  t-000008

What to do next:
  1. Look at the first three transactions above: same card, same item, no receipt?
  2. Ask the manager of shop-001 who works as c-1, and have that person's refunds approved by \
somebody else until this is explained.
  3. If there is a cause, note it with the page. If there is none, have the shop keep its video \
of these times, and tell loss prevention.

Look on:
  live view: http://127.0.0.1:1/?page=p-0001
"""


def test_the_whole_text() -> None:
    assert page_text.text(page(), {"live_view": "http://127.0.0.1:1/?page={page_id}"}) == WHOLE


def test_a_page_about_a_shop_names_it_once_and_asks_for_a_cause() -> None:
    text = page_text.text(page(entity=Entity("shop", "shop-001")))
    assert "Where:    shop-001\n" in text
    assert "known cause" in text
    assert "Look on" not in text


def test_what_is_unusual_about_an_amount_is_money() -> None:
    text = page_text.text(
        page(reason="amount", observed=8_099_500.0, expected=4_000.0, refunds=1, currency="JPY")
    )
    assert "8,099,500 JPY where 4,000 JPY is expected (2,025 times)" in text
    assert "in 1 refund\n" in text
    text = page_text.text(page(reason="amount", observed=128_400.0, expected=2_000.0))
    assert "1,284.00 GBP where 20.00 GBP is expected" in text


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
        == "CRITICAL goes on: unusual refunds (volume) at shop-001, 1284.00 GBP"
    )
    assert page_text.sms(page()) == (
        "CRITICAL shop-001: 14 refunds, 1,284.00 GBP, in 26 minutes at shop-001"
    )
    assert len(page_text.sms(page(summary="x" * 900))) == 140
    assert page_text.subject(page(severity=7)).startswith("SEVERITY 7")
