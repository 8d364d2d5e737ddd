"""Writes of the symbol catalog: the demo broker's sessions and symbols. Changes no symbol that exists."""

from dataclasses import dataclass
from datetime import time
from decimal import Decimal
from typing import Any

from django.db import transaction

from apps.market.models import SessionHours, Symbol, TradingSession

MIDNIGHT = time(0)


@dataclass(frozen=True, slots=True)
class SessionPlan:
    """
    A session to be: hours are (weekday, opens, closes) in local time; `exchange` names its holidays.
    """

    name: str
    timezone: str
    hours: tuple[tuple[int, time, time], ...] = ()
    always_open: bool = False
    exchange: str = ""


def _week_from_sunday(
    evening: time, close: time, pause: time | None = None
) -> tuple[tuple[int, time, time], ...]:
    """Return a week from Sunday evening to Friday's close, with a daily pause from `pause` to `evening`."""
    days: list[tuple[int, time, time]] = [(6, evening, MIDNIGHT)]
    for day in range(4):
        if pause is None:
            days.append((day, MIDNIGHT, MIDNIGHT))
        else:
            days += [(day, MIDNIGHT, pause), (day, evening, MIDNIGHT)]
    return (*days, (4, MIDNIGHT, close))


FOREX = SessionPlan("Forex 24/5", "America/New_York", _week_from_sunday(time(17), time(17)), exchange="24/5")
METALS = SessionPlan(
    "Metals and oil", "America/New_York", _week_from_sunday(time(18), time(17), time(17)), exchange="CMES"
)
CRYPTO = SessionPlan("Crypto 24/7", "UTC", always_open=True)
NEW_YORK = SessionPlan(
    "New York stocks",
    "America/New_York",
    tuple((day, time(9, 30), time(16)) for day in range(5)),
    exchange="XNYS",
)
FRANKFURT = SessionPlan(
    "Frankfurt index",
    "Europe/Berlin",
    tuple((day, time(1, 15), time(22)) for day in range(5)),
    exchange="XETR",
)
SESSIONS = (FOREX, METALS, CRYPTO, NEW_YORK, FRANKFURT)

_CFD = Symbol.MarginMode.CFD_LEVERAGE


# Days charged at the rollover of Monday to Sunday: three for the weekend, or every day.
WEDNESDAY_TRIPLE = [1, 1, 3, 1, 1, 0, 0]
FRIDAY_TRIPLE = [1, 1, 1, 1, 3, 0, 0]
EVERY_DAY = [1] * 7


def _swap(mode: str, long: str, short: str, days: list[int]) -> dict[str, Any]:
    return {
        "swap_mode": mode,
        "swap_long": Decimal(long),
        "swap_short": Decimal(short),
        "swap_multipliers": days,
    }


def _forex(name: str, description: str, long: str, short: str, digits: int = 5) -> dict[str, Any]:
    """Return a pair; its swaps are points per lot and night."""
    base, profit = name[:3], name[3:]
    return {
        **_swap(Symbol.SwapMode.POINTS, long, short, WEDNESDAY_TRIPLE),
        "name": name,
        "description": description,
        "asset_class": Symbol.AssetClass.FOREX,
        "base_currency": base,
        "profit_currency": profit,
        "margin_currency": base,
        "digits": digits,
        "contract_size": Decimal(100_000),
        "session": FOREX.name,
    }


def _cfd(
    name: str, description: str, asset_class: str, *, currency: str = "USD", unit: str = "", **values: Any
) -> dict[str, Any]:
    return {
        "name": name,
        "description": description,
        "asset_class": asset_class,
        "base_currency": unit or currency,
        "profit_currency": currency,
        "margin_currency": currency,
        "margin_mode": _CFD,
        **values,
    }


SYMBOLS: tuple[dict[str, Any], ...] = (
    _forex("EURUSD", "Euro vs US Dollar", "-7.2", "2.9"),
    _forex("GBPUSD", "British Pound vs US Dollar", "-3.1", "-2.4"),
    _forex("USDJPY", "US Dollar vs Japanese Yen", "8.6", "-18.4", digits=3),
    _forex("NZDUSD", "New Zealand Dollar vs US Dollar", "-1.9", "-1.6"),
    _forex("EURGBP", "Euro vs British Pound", "-6.1", "1.7"),
    _forex("USDCHF", "US Dollar vs Swiss Franc", "6.8", "-12.3"),
    _forex("AUDUSD", "Australian Dollar vs US Dollar", "-2.4", "-1.1"),
    _cfd(
        "XAUUSD", "Gold vs US Dollar", Symbol.AssetClass.METAL, unit="XAU",
        digits=3, contract_size=Decimal(100), volume_max=Decimal(50), session=METALS.name,
        **_swap(Symbol.SwapMode.POINTS, "-320", "180", WEDNESDAY_TRIPLE),
    ),
    _cfd(
        "DE30EUR", "Germany 30 index", Symbol.AssetClass.INDEX, currency="EUR",
        digits=1, contract_size=Decimal(1), volume_min=Decimal("0.1"), volume_max=Decimal(500),
        volume_step=Decimal("0.1"), session=FRANKFURT.name,
        **_swap(Symbol.SwapMode.PERCENT, "-5.9", "-0.4", FRIDAY_TRIPLE),
    ),
    _cfd(
        "BTCUSD", "Bitcoin vs US Dollar", Symbol.AssetClass.CRYPTO, unit="BTC",
        digits=2, contract_size=Decimal(1), volume_max=Decimal(20), spike_max_pct=Decimal(5),
        margin_rate_buy=Decimal(5), margin_rate_sell=Decimal(5), session=CRYPTO.name,
        **_swap(Symbol.SwapMode.PERCENT, "-18", "-6", EVERY_DAY),
    ),
    _cfd(
        "AAPL", "Apple Inc. (CFD)", Symbol.AssetClass.STOCK,
        digits=2, contract_size=Decimal(1), volume_min=Decimal(1), volume_max=Decimal(5_000),
        volume_step=Decimal(1), margin_mode=Symbol.MarginMode.CFD, margin_rate_buy=Decimal("0.2"),
        margin_rate_sell=Decimal("0.2"),
        spike_max_pct=Decimal(5), session=NEW_YORK.name,
        **_swap(Symbol.SwapMode.PERCENT, "-7.5", "-1.5", FRIDAY_TRIPLE),
    ),
    _cfd(
        "WTI", "US crude oil", Symbol.AssetClass.COMMODITY,
        digits=3, contract_size=Decimal(1_000), volume_max=Decimal(50), spike_max_pct=Decimal(4),
        session=METALS.name, **_swap(Symbol.SwapMode.MONEY, "-9.50", "3.20", FRIDAY_TRIPLE),
    ),
)  # fmt: skip


@transaction.atomic
def seed_demo_symbols() -> list[Symbol]:
    """Create the demo broker's sessions and symbols where missing and return them. Safe to repeat."""
    sessions = {plan.name: _seed_session(plan) for plan in SESSIONS}
    seeded = []
    for plan in SYMBOLS:
        values = {**plan, "session": sessions[plan["session"]]}
        symbol, _ = Symbol.objects.get_or_create(name=values.pop("name"), defaults=values)
        seeded.append(symbol)
    return seeded


def _seed_session(plan: SessionPlan) -> TradingSession:
    session, is_new = TradingSession.objects.get_or_create(
        name=plan.name,
        defaults={"timezone": plan.timezone, "always_open": plan.always_open, "exchange": plan.exchange},
    )
    if is_new:
        SessionHours.objects.bulk_create(
            SessionHours(session=session, weekday=day, opens_at=opens, closes_at=closes)
            for day, opens, closes in plan.hours
        )
    return session
