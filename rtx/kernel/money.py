"""
Money and exact numbers: rounding, currency digits, text form. Pure; never touches float.

Importing this module sets Decimal precision to 38 digits for every thread started afterwards.
"""

import decimal
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

PRECISION_DIGITS = 38
ZERO = Decimal(0)

decimal.DefaultContext.prec = PRECISION_DIGITS
decimal.setcontext(decimal.Context(prec=PRECISION_DIGITS))

_DIGITS = {"JPY": 0, "KRW": 0, "HUF": 0, "CLP": 0, "BTC": 8, "ETH": 8, "USDT": 6, "KWD": 3, "BHD": 3}


@lru_cache(maxsize=256)
def digits(currency: str) -> int:
    """Return how many decimals amounts in `currency` carry (ISO 4217 minor unit; crypto by convention)."""
    return _DIGITS.get(currency, 2)


@lru_cache(maxsize=64)
def quantum(decimals: int) -> Decimal:
    """Return the smallest step with that many decimals: 2 -> 0.01."""
    return Decimal(1).scaleb(-decimals)


def booked(amount: Decimal, currency: str) -> Decimal:
    """Round an amount half away from zero to the currency's digits: done once, when it is booked."""
    return amount.quantize(quantum(digits(currency)), rounding=ROUND_HALF_UP)


def rounded(value: Decimal, decimals: int) -> Decimal:
    """Round half away from zero to that many decimals."""
    return value.quantize(quantum(decimals), rounding=ROUND_HALF_UP)


def text(value: Decimal) -> str:
    """Return the plain decimal text of a value: never an exponent, never a negative zero."""
    if not value:
        value = abs(value)
    return format(value, "f")


def plain(value: Decimal) -> str:
    """Return the shortest plain text of a value: trailing zeros of a quantity are dropped."""
    shown = text(value)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown
