"""
The shapes of the risk interface's answers, for the OpenAPI description. Answers are built by selectors.
"""

from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from rtx.kernel import openapi

LINE = {
    "positions": 2,
    "buy_lots": "0.4",
    "sell_lots": "0.1",
    "net_lots": "0.3",
    "net": "33300.00",
    "gross": "55500.00",
    "house": "-120.00",
}  # part of an example

Text = Annotated[str, Meta(pattern=r"^-?[0-9]+(\.[0-9]+)?$", description="An exact decimal number.")]
Instant = Annotated[datetime, Meta(tz=True)]


class ExposureLineOut(Struct):
    """Exposure of the clients; amounts in the reporting currency, null without a price. House: opposite."""

    positions: int
    buy_lots: Text
    sell_lots: Text
    net_lots: Text
    net: Text | None
    gross: Text | None
    house: Text | None


class SymbolExposureOut(ExposureLineOut):
    """Of one symbol."""

    symbol: str


class GroupExposureOut(ExposureLineOut):
    """Of one group; `_own` in its accounts' currency."""

    group: str
    currency: str
    accounts: int
    margin: Text
    net_own: Text | None
    gross_own: Text | None


class BookExposureOut(ExposureLineOut):
    """Of one book: `a` is passed on, `b` is the house's."""

    book: str


class CurrencyExposureOut(Struct):
    """What clients hold of a currency, in units of it; `_shown` in the reporting currency."""

    currency: str
    long: Text
    short: Text
    net: Text
    gross: Text
    net_shown: Text | None
    gross_shown: Text | None


@openapi.example(
    {
        "at": "2026-11-20T14:30:00.250Z",
        "currency": "USD",
        "total": LINE,
        "symbols": [{"symbol": "EURUSD", **LINE}],
        "currencies": [
            {
                "currency": "EUR",
                "long": "40000",
                "short": "10000",
                "net": "30000",
                "gross": "50000",
                "net_shown": "33300.00",
                "gross_shown": "55500.00",
            }
        ],
        "groups": [
            {
                "group": "standard",
                "currency": "USD",
                "accounts": 2,
                "margin": "555.00",
                "net_own": "33300.00",
                "gross_own": "55500.00",
                **LINE,
            }
        ],
        "books": [{"book": "b", **LINE}],
        "unpriced": [],
    }
)
class ExposureOut(Struct):
    """Exposure within reach, in every cut."""

    at: Instant
    currency: str
    total: ExposureLineOut
    symbols: list[SymbolExposureOut]
    currencies: list[CurrencyExposureOut]
    groups: list[GroupExposureOut]
    books: list[BookExposureOut]
    unpriced: list[str]


class FiguresOut(Struct):
    """One account at one side of a what-if."""

    state: Literal["free", "called", "closed"]
    equity: Text | None
    margin: Text
    level_pct: Text | None


class WorstOut(Struct):
    """One account that a what-if concerns, exactly."""

    id: int
    account: int
    group: str
    currency: str
    before: FiguresOut
    after: FiguresOut


class CountsOut(Struct):
    """How many accounts are called, closed or owe money; the clients' floating result in USD."""

    called: int
    closed: int
    negative: int
    clients_floating: Text | None


class ChangeOut(Struct):
    """The house's floating result before and after, in USD; null without a rate."""

    before: Text | None
    after: Text | None
    change: Text | None


class SymbolChangeOut(ChangeOut):
    """Of one symbol; `passed_on_change` is what LPs would bear."""

    symbol: str
    passed_on_change: Text | None
    price_before: Text | None
    price_after: Text | None


class ProtectionOut(Struct):
    """What making good debts would cost, in USD, and what stays owed where no group protects."""

    accounts: int
    cost: Text | None
    unprotected_accounts: int
    unprotected_debt: Text | None


class LevelOut(Struct):
    """How many accounts stand up to a margin level; null: above all others."""

    up_to_pct: int | None
    before: int
    after: int


class UnpricedOut(Struct):
    """What cannot be valued."""

    accounts: int
    symbols: list[str]


@openapi.example(
    {
        "at": "2026-11-20T14:30:00.250Z",
        "currency": "USD",
        "accounts": 2,
        "positions": 2,
        "before": {"called": 0, "closed": 0, "negative": 0, "clients_floating": "120.00"},
        "after": {"called": 0, "closed": 1, "negative": 0, "clients_floating": "-1545.00"},
        "newly_called": 0,
        "newly_closed": 1,
        "relieved": 0,
        "house": {"before": "-120.00", "after": "1545.00", "change": "1665.00"},
        "passed_on": {"before": "0.00", "after": "0.00", "change": "0.00"},
        "symbols": [
            {
                "symbol": "EURUSD",
                "before": "-120.00",
                "after": "1545.00",
                "change": "1665.00",
                "passed_on_change": "0.00",
                "price_before": "1.11",
                "price_after": "1.0545",
            }
        ],
        "protection": {"accounts": 0, "cost": "0.00", "unprotected_accounts": 0, "unprotected_debt": "0.00"},
        "levels": [
            {"up_to_pct": 0, "before": 0, "after": 0},
            {"up_to_pct": 50, "before": 0, "after": 1},
            {"up_to_pct": None, "before": 2, "after": 1},
        ],
        "unpriced": {"accounts": 0, "symbols": []},
        "worst": [
            {
                "id": 1,
                "account": 100001,
                "group": "standard",
                "currency": "USD",
                "before": {"state": "free", "equity": "2100.00", "margin": "1100.00", "level_pct": "190.91"},
                "after": {"state": "closed", "equity": "435.00", "margin": "1100.00", "level_pct": "39.55"},
            }
        ],
        "estimated": ["Results are those of the shocked prices, before any liquidation."],
    }
)
class WhatIfOut(Struct):
    """What would happen. `estimated` says what is not exact."""

    at: Instant
    currency: str
    accounts: int
    positions: int
    before: CountsOut
    after: CountsOut
    newly_called: int
    newly_closed: int
    relieved: int
    house: ChangeOut
    passed_on: ChangeOut
    symbols: list[SymbolChangeOut]
    protection: ProtectionOut
    levels: list[LevelOut]
    unpriced: UnpricedOut
    worst: list[WorstOut]
    estimated: list[str]
