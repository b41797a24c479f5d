from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.money import (
    AMOUNT_MAX,
    EXPONENTS,
    AmountError,
    minor_units,
    quantity_thousandths,
    scaled,
    unit_price_e4,
)
from events.parse_reason import ParseReason


@pytest.mark.parametrize(
    ("value", "exponent", "units"),
    [
        ("24.99", 2, 2499),
        ("24.990", 2, 2499),
        ("24.9", 2, 2490),
        ("24", 2, 2400),
        (24, 2, 2400),
        (-24, 0, -24),
        ("007.50", 2, 750),
        ("-0.01", 2, -1),
        ("-0", 2, 0),
        ("0e999999", 2, 0),
        ("1e2", 2, 10_000),
        ("1E+2", 0, 100),
        ("1250e-1", 0, 125),
        ("0.5e1", 0, 5),
        ("1234.567", 3, 1_234_567),
        ("0.1", 4, 1000),
        ("0." + "1" + "0" * 60, 1, 1),
        (AMOUNT_MAX - 1, 0, AMOUNT_MAX - 1),
        (f"-{AMOUNT_MAX - 1}", 0, 1 - AMOUNT_MAX),
    ],
)
def test_decimals_become_whole_units(value: object, exponent: int, units: int) -> None:
    assert minor_units(value, exponent) == units


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", ParseReason.AMOUNT_NOT_DECIMAL),
        (".5", ParseReason.AMOUNT_NOT_DECIMAL),
        ("5.", ParseReason.AMOUNT_NOT_DECIMAL),
        ("+5", ParseReason.AMOUNT_NOT_DECIMAL),
        ("1,50", ParseReason.AMOUNT_NOT_DECIMAL),
        ("1 000", ParseReason.AMOUNT_NOT_DECIMAL),
        ("1_000", ParseReason.AMOUNT_NOT_DECIMAL),
        (" 1", ParseReason.AMOUNT_NOT_DECIMAL),
        ("1\n", ParseReason.AMOUNT_NOT_DECIMAL),
        ("£5", ParseReason.AMOUNT_NOT_DECIMAL),
        ("٥", ParseReason.AMOUNT_NOT_DECIMAL),
        ("NaN", ParseReason.AMOUNT_NOT_DECIMAL),
        ("Infinity", ParseReason.AMOUNT_NOT_DECIMAL),
        ("-inf", ParseReason.AMOUNT_NOT_DECIMAL),
        ("1e", ParseReason.AMOUNT_NOT_DECIMAL),
        ("0x10", ParseReason.AMOUNT_NOT_DECIMAL),
        ("0.001", ParseReason.AMOUNT_TOO_PRECISE),
        ("24.999", ParseReason.AMOUNT_TOO_PRECISE),
        ("1e-400", ParseReason.AMOUNT_TOO_PRECISE),
        ("1e400", ParseReason.AMOUNT_OUT_OF_RANGE),
        ("1e40", ParseReason.AMOUNT_OUT_OF_RANGE),
        ("1e" + "9" * 50, ParseReason.AMOUNT_OUT_OF_RANGE),
        ("10000000000000", ParseReason.AMOUNT_OUT_OF_RANGE),
        ("-10000000000000.00", ParseReason.AMOUNT_OUT_OF_RANGE),
        (10**13, ParseReason.AMOUNT_OUT_OF_RANGE),
        (-(10**400), ParseReason.AMOUNT_OUT_OF_RANGE),
        ("0" * 65, ParseReason.AMOUNT_OUT_OF_RANGE),
        (True, ParseReason.WRONG_TYPE),
        (1.5, ParseReason.WRONG_TYPE),
        (None, ParseReason.WRONG_TYPE),
        ([], ParseReason.WRONG_TYPE),
    ],
)
def test_what_is_no_amount_says_why(value: object, reason: ParseReason) -> None:
    with pytest.raises(AmountError) as caught:
        minor_units(value, 2)
    assert caught.value.reason is reason
    assert str(value) not in str(caught.value) or value == ""


def test_lines_have_decimals_of_their_own_and_may_be_negative() -> None:
    assert unit_price_e4("-1.2345") == -12_345
    assert unit_price_e4(0) == 0
    assert quantity_thousandths("-0.125") == -125
    with pytest.raises(AmountError):
        unit_price_e4("1.23456")
    with pytest.raises(AmountError):
        quantity_thousandths("0.0001")


@given(
    units=st.integers(1 - AMOUNT_MAX, AMOUNT_MAX - 1),
    exponent=st.integers(0, 4),
    form=st.sampled_from(["f", "e"]),
)
def test_every_amount_survives_the_wire(units: int, exponent: int, form: str) -> None:
    # Decimal counts the places by itself; the parser under test does not know it.
    exact = Decimal(units).scaleb(-exponent)
    assert scaled(format(exact, form), exponent) == units


@given(text=st.text(alphabet="0123456789+-.eE ", max_size=70), decimals=st.integers(0, 4))
def test_any_text_is_its_exact_value_or_refused(text: str, decimals: int) -> None:
    try:
        units = scaled(text, decimals)
    except AmountError:
        return
    mantissa, _, power = text.lower().partition("e")
    if units == 0:
        assert Decimal(mantissa) == 0
    else:
        assert Decimal(mantissa).scaleb(int(power or 0) + decimals) == units


def test_the_exponents_are_those_of_the_standard() -> None:
    by_exponent = {
        exponent: sorted(code for code, places in EXPONENTS.items() if places == exponent)
        for exponent in set(EXPONENTS.values())
    }
    assert by_exponent[3] == ["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"]
    assert by_exponent[4] == ["CLF", "UYW"]
    assert " ".join(by_exponent[0]) == (
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
    )
    assert set(by_exponent) == {0, 2, 3, 4}
    # List one of 2026-01-01 has 165 codes with minor units; six were withdrawn since 2020.
    assert len(EXPONENTS) == 165 + 6
    assert all(len(code) == 3 and code.isupper() and code.isascii() for code in EXPONENTS)
    assert not {"XAU", "XDR", "XTS", "XXX"} & EXPONENTS.keys()
