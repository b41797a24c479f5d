"""Integer amounts as exact decimal text, as JSON and people write them."""

from functools import lru_cache

import msgspec

from events.money import EXPONENTS, QUANTITY_DECIMALS, UNIT_PRICE_DECIMALS

TEXTS_CACHED_MAX = 16_384
"""Distinct amounts whose text is remembered: prices and quantities repeat."""


def decimal_text(value: int, decimals: int) -> str:
    """`value` over 10 to the power of `decimals`, with all of its decimals: 2490, 2 is "24.90"."""
    if not decimals:
        return str(value)
    digits = str(abs(value)).rjust(decimals + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def money_text(minor_units: int, currency: str) -> str:
    """An amount in `currency` with as many decimals as it has.

    Raises:
        KeyError: no currency of ISO 4217.
    """
    return decimal_text(minor_units, EXPONENTS[currency])


@lru_cache(maxsize=TEXTS_CACHED_MAX)
def money_json(minor_units: int, currency: str) -> msgspec.Raw:
    """An amount as a JSON number; raises as `money_text`."""
    return msgspec.Raw(money_text(minor_units, currency).encode())


@lru_cache(maxsize=TEXTS_CACHED_MAX)
def unit_price_json(unit_price_e4: int) -> msgspec.Raw:
    """The price of one unit as a JSON number without trailing zeros."""
    return msgspec.Raw(_trimmed(decimal_text(unit_price_e4, UNIT_PRICE_DECIMALS)).encode())


@lru_cache(maxsize=TEXTS_CACHED_MAX)
def quantity_json(quantity_thousandths: int) -> msgspec.Raw:
    """A quantity as a JSON number without trailing zeros."""
    return msgspec.Raw(_trimmed(decimal_text(quantity_thousandths, QUANTITY_DECIMALS)).encode())


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".")
