from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.money import AMOUNT_MAX, EXPONENTS
from sinks.amount import decimal_text, money_json, money_text, quantity_json, unit_price_json

amounts = st.integers(1 - AMOUNT_MAX, AMOUNT_MAX - 1)


@given(amounts, st.sampled_from(sorted(EXPONENTS)))
def test_money_is_exact_and_has_the_decimals_of_its_currency(value: int, currency: str) -> None:
    text = money_text(value, currency)
    assert Decimal(text) == Decimal(value).scaleb(-EXPONENTS[currency])
    assert len(text.partition(".")[2]) == EXPONENTS[currency]
    assert bytes(money_json(value, currency)) == text.encode()


@given(amounts)
def test_prices_and_quantities_are_exact_json_numbers(value: int) -> None:
    for raw, decimals in ((unit_price_json(value), 4), (quantity_json(value), 3)):
        number = msgspec.json.decode(raw, type=Decimal)
        assert number == Decimal(value).scaleb(-decimals)


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(0, 2, "0.00"), (5, 2, "0.05"), (-5, 2, "-0.05"), (2490, 2, "24.90"), (7, 0, "7")],
)
def test_texts(value: int, decimals: int, text: str) -> None:
    assert decimal_text(value, decimals) == text


def test_trailing_zeros_of_whole_numbers_stay() -> None:
    assert bytes(quantity_json(10_000)) == b"10"
    assert bytes(quantity_json(0)) == b"0"
    assert bytes(unit_price_json(1_005_000)) == b"100.5"


def test_what_is_no_currency_has_no_text() -> None:
    with pytest.raises(KeyError):
        money_text(1, "XXX")
