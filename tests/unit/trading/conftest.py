"""A market of a few symbols at one instant, and books on it."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from apps.groups.domain.terms import Override, PositionMode, resolve
from apps.market.domain.quotes import Quote
from apps.trading.domain.book import AccountBook
from apps.trading.domain.holdings import Account
from apps.trading.domain.pricing import ConversionTable, MarketView
from tests.factories.books import GROUP, NOON, QUOTES, SYMBOLS


@pytest.fixture
def make_market() -> Callable[..., MarketView]:
    """Return a factory of market views: quotes as (bid, ask) texts, group and symbol changes by keyword."""

    def make(
        *,
        quotes: dict[str, tuple[str, str]] | None = None,
        group: dict[str, Any] | None = None,
        symbols: dict[str, dict[str, Any]] | None = None,
        age_ms: int = 0,
        overrides: dict[str, Override] | None = None,
        now: datetime = NOON,
    ) -> MarketView:
        specs = {name: replace(s, **(symbols or {}).get(name, {})) for name, s in SYMBOLS.items()}
        terms_group = replace(GROUP, **(group or {}))
        resolved = {
            name: resolve(symbol=s, group=terms_group, override=(overrides or {}).get(name), version=1)
            for name, s in specs.items()
        }
        now_ms = int(now.timestamp() * 1000)
        shown = {**QUOTES, **(quotes or {})}
        return MarketView(
            quotes={
                name: Quote(symbol=name, bid=Decimal(bid), ask=Decimal(ask), time_ms=now_ms - age_ms)
                for name, (bid, ask) in shown.items()
            },
            terms=resolved,
            symbols=specs,
            conversions=ConversionTable(specs.values()),
            now=now,
            now_ms=now_ms,
            version=1,
        )

    return make


@pytest.fixture
def market(make_market: Callable[..., MarketView]) -> MarketView:
    """Return the plain market."""
    return make_market()


@pytest.fixture
def make_book() -> Callable[..., AccountBook]:
    """Return a factory of books with money and no positions."""

    def make(
        *,
        balance: str = "10000",
        currency: str = "USD",
        leverage: int = 100,
        mode: PositionMode = PositionMode.HEDGING,
        **facts: Any,
    ) -> AccountBook:
        account = Account(
            id=1,
            login=100001,
            group_id=1,
            currency=currency,
            position_mode=mode,
            leverage=leverage,
            balance=Decimal(balance),
            seq=1,
            **facts,
        )
        return AccountBook(account=account, tickets=count(1))

    return make
