import msgspec
import pytest

from anomaly.state import Incident
from anomaly.words import duration, money, number, sentence, weekday_hour
from events.instant import DAY, HOUR, MINUTE, SECOND

INCIDENT = Incident(
    page_id="p-1",
    reason="volume",
    entity_kind="shop",
    entity_id="shop-017",
    currency="GBP",
    opened_at=0,
    first_at=0,
    last_at=50 * MINUTE,
    alive_at=0,
    window=2 * HOUR,
    after="t-1",
    observed=14.0,
    expected=1.2,
    usual="usual for Tuesday 14:00 is 1.2",
    score=1.0,
    receipts_known=True,
    refunds=14,
    refunded=128_400,
    cashiers={"c-7": 3, "c-41": 11},
)


def test_the_summary_speaks_in_the_words_of_the_shop() -> None:
    assert sentence(INCIDENT, "shop-017") == (
        "14 refunds, 1,284 GBP, in 50 minutes at shop-017; usual for Tuesday 14:00 is 1.2; "
        "11 of 14 by cashier c-41, none with a receipt"
    )


def test_it_says_nothing_of_what_is_not_known_or_not_striking() -> None:
    spread = msgspec.structs.replace(INCIDENT, cashiers={"c-1": 6, "c-2": 5}, with_receipt=10)
    assert sentence(spread, "s").endswith("usual for Tuesday 14:00 is 1.2")
    halves = msgspec.structs.replace(spread, cashiers={"c-1": 7, "c-2": 7})
    assert "cashier" not in sentence(halves, "s")
    bare = msgspec.structs.replace(INCIDENT, cashiers={}, receipts_known=False, usual="", window=0)
    assert sentence(bare, "s") == "14 refunds, 1,284 GBP, in 50 minutes at s"


def test_a_register_is_not_called_a_cashier() -> None:
    till = msgspec.structs.replace(
        INCIDENT, entity_kind="register", entity_id="r2", cashiers={"r2": 14}, with_receipt=14
    )
    assert sentence(till, "s").endswith("; all by register r2")


def test_what_is_usual_is_told_of_the_stretch_that_gave_it_away() -> None:
    slow = msgspec.structs.replace(INCIDENT, usual="", cashiers={}, receipts_known=False)
    assert sentence(slow, "s").endswith("; usual in 2 hours is 1.2")
    grown = msgspec.structs.replace(slow, refunds=40, last_at=3 * DAY, expected=0.02)
    assert sentence(grown, "s") == (
        "40 refunds, 1,284 GBP, in 3 days at s; "
        "it began with 14 in 2 hours, where next to none is usual"
    )


def test_an_hour_s_expectation_is_told_as_one_where_the_incident_is_longer() -> None:
    longer = msgspec.structs.replace(INCIDENT, last_at=5 * HOUR, cashiers={}, receipts_known=False)
    assert sentence(longer, "s").endswith("; usual for Tuesday 14:00 is 1.2 an hour")
    rare = msgspec.structs.replace(longer, usual="usual for Tuesday 14:00 is next to none")
    assert sentence(rare, "s").endswith("; usual for Tuesday 14:00 is next to none")


def test_more_that_gave_it_away_than_belong_to_it_are_told_as_others() -> None:
    some = msgspec.structs.replace(
        INCIDENT, refunds=5, usual="", cashiers={}, receipts_known=False, observed=11.0
    )
    assert sentence(some, "s").endswith("; with others 11 in 2 hours, where 1.2 is usual")


def test_an_amount_that_others_joined_is_told_apart() -> None:
    amount = msgspec.structs.replace(
        INCIDENT,
        reason="amount",
        refunds=2,
        refunded=60_000,
        observed=56_000.0,
        expected=3_565.0,
        usual="a usual refund there is 35.65 GBP",
        window=0,
        cashiers={"c-1": 1, "c-2": 1},
        receipts_known=False,
    )
    assert sentence(amount, "s") == (
        "2 refunds, 600 GBP, in 50 minutes at s; "
        "one of 560 GBP, where a usual refund there is 35.65 GBP"
    )


def test_one_refund_is_told_as_one() -> None:
    one = msgspec.structs.replace(INCIDENT, refunds=1, cashiers={"c-1": 1}, usual="", window=0)
    assert sentence(one, "s") == ("one refund of 1,284 GBP at s; by cashier c-1, without a receipt")


def test_a_card_is_named_and_some_without_receipt_are_counted() -> None:
    card = msgspec.structs.replace(
        INCIDENT, entity_kind="card", entity_id="k-1", with_receipt=4, cashiers={"c-1": 14}
    )
    assert sentence(card, "s").endswith("all by cashier c-1, to card k-1, 10 without a receipt")


@pytest.mark.parametrize(
    ("kind", "id_", "words"),
    [
        ("card", "card-9afb7f127b966c414005d649", "to card 9afb7f12…"),
        ("customer", "u-5521", "to customer u-5521"),
        ("receipt", "t-000017", "over receipt t-000017"),
    ],
)
def test_whoever_it_is_about_is_named(kind: str, id_: str, words: str) -> None:
    about = msgspec.structs.replace(
        INCIDENT, entity_kind=kind, entity_id=id_, cashiers={}, receipts_known=False
    )
    assert sentence(about, "s").endswith(f"; {words}")


def test_money_has_the_currency_s_decimals() -> None:
    assert money(1_284_00, "GBP") == "1,284 GBP"
    assert money(1_284_50, "GBP") == "1,284.50 GBP"
    assert money(1_284, "JPY") == "1,284 JPY"
    assert money(1_284_005, "BHD") == "1,284.005 BHD"


def test_local_hours_have_their_weekday() -> None:
    assert weekday_hour(0) == "Thursday 00:00"
    assert weekday_hour(20_459 * 24 + 14) == "Tuesday 14:00"
    assert weekday_hour(-1) == "Wednesday 23:00"


def test_durations_take_their_largest_fitting_unit() -> None:
    assert duration(20 * SECOND) == "a minute"
    assert duration(119 * MINUTE) == "119 minutes"
    assert duration(120 * MINUTE) == "2 hours"
    assert duration(3 * DAY) == "3 days"


def test_small_expectations_keep_a_figure_that_says_something() -> None:
    assert (number(1.24), number(0.0412)) == ("1.2", "next to none")
