"""Amounts as integers: currency exponents, and decimals read without ever being a float."""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from events.parse_reason import ParseReason

AMOUNT_MAX: Final = 10**15
"""Every scaled amount, price and quantity lies strictly between -AMOUNT_MAX and AMOUNT_MAX."""

AMOUNT_TEXT_MAX: Final = 64
"""Characters of one decimal at most; whatever is longer is out of range or too precise."""

AMOUNTS_CACHED_MAX: Final = 16_384
"""Distinct decimals remembered for each number of decimals: a shop's price list repeats."""

_DECIMAL: Final = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")

_POWERS: Final = tuple(int(10**power) for power in range(AMOUNT_TEXT_MAX + 1))

UNIT_PRICE_DECIMALS: Final = 4
QUANTITY_DECIMALS: Final = 3

_CODES_BY_EXPONENT: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: (
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD "
        "CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP "
        "GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK "
        "LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO "
        "NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS "
        "SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST "
        "XAD XCD XCG YER ZAR ZMW ZWG"
    ),
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}

# Withdrawn since 2020. What was money then still is when old records are read again.
_CODES_WITHDRAWN: Final = "ANG BGN CUC HRK SLL ZWL"

EXPONENTS: Final[dict[str, int]] = {
    code: exponent for exponent, codes in _CODES_BY_EXPONENT.items() for code in codes.split()
} | dict.fromkeys(_CODES_WITHDRAWN.split(), 2)
"""Decimals of each currency: ISO 4217 list one of 2026-01-01, and what it lost since 2020.

Codes without minor units (gold, special drawing rights, tests) are no currency of a till.
"""


class AmountError(ValueError):
    """A decimal that is none, or that does not fit; `reason` says which, the value is not quoted.

    `reason` is WRONG_TYPE, AMOUNT_NOT_DECIMAL, AMOUNT_TOO_PRECISE or AMOUNT_OUT_OF_RANGE.
    """

    def __init__(self, reason: ParseReason) -> None:
        super().__init__(reason.meaning)
        self.reason = reason


def scaled(value: object, decimals: int) -> int:
    """`value` times 10 to the power of `decimals`, exactly.

    `value` is what the wire carried: a whole number as int, any other number or a string as its
    text. Texts follow JSON's grammar of numbers, except that leading zeros are let through;
    trailing zeros do not count as precision ("24.990" is 24.99).

    Raises:
        AmountError: not a decimal, more precise than `decimals`, or not within AMOUNT_MAX.
    """
    if isinstance(value, str):
        return OF_TEXT[decimals](value)
    if type(value) is int:
        amount = value * _POWERS[decimals]
        if -AMOUNT_MAX < amount < AMOUNT_MAX:
            return amount
        raise AmountError(ParseReason.AMOUNT_OUT_OF_RANGE)
    raise AmountError(ParseReason.WRONG_TYPE)


def minor_units(value: object, exponent: int) -> int:
    """An amount in the minor units of a currency with `exponent` decimals.

    Raises:
        AmountError: as `scaled`.
    """
    return scaled(value, exponent)


def unit_price_e4(value: object) -> int:
    """The price of one unit in ten-thousandths of the currency's unit; zero and less are prices.

    Raises:
        AmountError: as `scaled`.
    """
    return scaled(value, UNIT_PRICE_DECIMALS)


def quantity_thousandths(value: object) -> int:
    """A quantity times 1,000; corrections are negative.

    Raises:
        AmountError: as `scaled`.
    """
    return scaled(value, QUANTITY_DECIMALS)


def _scaled_text(text: str, decimals: int) -> int:
    if len(text) > AMOUNT_TEXT_MAX:
        raise AmountError(ParseReason.AMOUNT_OUT_OF_RANGE)
    parts = _DECIMAL.fullmatch(text)
    if parts is None:
        raise AmountError(ParseReason.AMOUNT_NOT_DECIMAL)
    sign, whole, fraction, power = parts.groups(default="")
    coefficient = int(whole + fraction)
    shift = decimals - len(fraction) + int(power or "0")
    if coefficient == 0:
        return 0
    amount = _shifted(coefficient, shift)
    return -amount if sign else amount


def _reader(decimals: int) -> Callable[[str], int]:
    @lru_cache(maxsize=AMOUNTS_CACHED_MAX)
    def read(text: str) -> int:
        return _scaled_text(text, decimals)

    return read


OF_TEXT: Final = tuple(map(_reader, range(max(_CODES_BY_EXPONENT) + 1)))
"""By number of decimals, what reads a text as `scaled` does.

A cache whose key is the text itself answers in half the time of one whose key is a pair.
"""


def _shifted(coefficient: int, shift: int) -> int:
    """A positive `coefficient` times 10 to the power of `shift`, which may be huge either way."""
    if shift > AMOUNT_TEXT_MAX:
        raise AmountError(ParseReason.AMOUNT_OUT_OF_RANGE)
    if shift < -AMOUNT_TEXT_MAX:
        raise AmountError(ParseReason.AMOUNT_TOO_PRECISE)
    amount, rest = divmod(coefficient * _POWERS[max(shift, 0)], _POWERS[max(-shift, 0)])
    if rest:
        raise AmountError(ParseReason.AMOUNT_TOO_PRECISE)
    if amount >= AMOUNT_MAX:
        raise AmountError(ParseReason.AMOUNT_OUT_OF_RANGE)
    return amount
