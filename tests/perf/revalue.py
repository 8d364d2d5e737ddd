"""
Revaluing a large house in memory: `revalue_all_ms` and `revalue_one_ms`.

500,000 positions of 100,000 accounts over 50 symbols, in two currencies and four groups with markups, as the
margin monitor holds them. Measured is all that it does with a tick batch: prices, conversions, values, sums,
the comparison of every touched account with its levels, and its marks. One account in a hundred stands at its
margin-call level, so that most batches find some. One batch moves every symbol, the other one of fifty (each
of them in turn). Medians of many batches are reported.
"""

import time
from decimal import Decimal
from typing import Any

import numpy as np

from tests.perf.broker import Broker, NotMeasured, Say
from tests.perf.figures import Figure

NAMES = ("revalue_all_ms", "revalue_one_ms")
POSITIONS, ACCOUNTS, SYMBOLS = 500_000, 100_000, 50
NEAR_EVERY, BALANCE = 100, 1_000_000.0
SHORT_OF_CALL = 18.0  # what spreads and markups cost an account, about: its equity is its margin then
ALL_BATCHES, ONE_BATCHES, WARMUP = 60, 300, 10
FIRST = ("EURUSD", "GBPUSD", "USDJPY", "USDCHF", "EURGBP", "EURJPY", "AUDUSD", "NZDUSD", "USDCAD", "GBPJPY")


def run(broker: Broker, say: Say) -> list[Figure]:
    """Build the house, then move its prices."""
    book = _book()
    house = _house(book)
    if (house.positions, house.accounts.count) != (POSITIONS, ACCOUNTS):
        raise NotMeasured("the house is not as large as it should be")
    names = list(book.symbols)
    called: list[int] = []
    every = [_spent(house, names, number, called) for number in range(ALL_BATCHES + WARMUP)][WARMUP:]
    single = [
        _spent(house, [names[number % SYMBOLS]], number, called) for number in range(ONE_BATCHES + WARMUP)
    ][WARMUP:]
    if sorted(called)[len(called) // 10] == 0:
        raise NotMeasured("most batches should find accounts at their margin-call level")
    drift = house.recompute()
    if drift > 0.005:
        raise NotMeasured(f"the sums have drifted by {drift}")
    all_ms, one_ms = _median(every), _median(single)
    say(f"  all {all_ms:.2f} ms (worst {max(every):.1f}), one {one_ms:.2f} ms (worst {max(single):.1f})")
    size = (
        f"{POSITIONS:,} positions of {ACCOUNTS:,} accounts, {SYMBOLS} symbols, {len(house.blocks)} blocks, "
        f"{ACCOUNTS // NEAR_EVERY:,} accounts at their call level"
    )
    return [
        Figure(
            "revalue_all_ms",
            all_ms,
            "ms",
            "<= 15",
            all_ms <= 15,
            f"{size}; every symbol moved; median of {ALL_BATCHES} batches, worst {max(every):.1f} ms",
        ),
        Figure(
            "revalue_one_ms",
            one_ms,
            "ms",
            "<= 2",
            one_ms <= 2,
            f"{size}; one symbol moved, each in turn; median of {ONE_BATCHES} batches, "
            f"worst {max(single):.1f} ms",
        ),
    ]


def _median(spent: list[float]) -> float:
    return sorted(spent)[len(spent) // 2]


def _spent(house: Any, names: list[str], number: int, called: list[int]) -> float:
    """Let symbols move a little, note how many are to be called and return how long the batch took, in ms."""
    from apps.market.domain.quotes import Quote

    step = Decimal(number % 7 - 3)
    latest = {}
    for name in names:
        bid, point = _price(name), house.prices.book.symbols[name].point
        latest[name] = Quote(name, bid + step * point, bid + (step + 15) * point, number + 1)
    started = time.perf_counter()
    found = house.tick(latest, names, now_ms=number)
    seconds = time.perf_counter() - started
    if found.stop:
        raise NotMeasured("the house is not as healthy as it should be")
    called.append(len(found.call))
    return seconds * 1000


def _price(name: str) -> Decimal:
    return Decimal("150.000") if name.endswith("JPY") else Decimal("1.10000")


def _book() -> Any:
    """Return terms of 50 symbols in four groups: three in USD with markups of their own, one in EUR."""
    from apps.groups.domain.terms import Override, resolve
    from apps.groups.selectors import TermsBook
    from tests.factories.books import GROUP, spec

    names = [*FIRST, *(f"U{number:02d}USD" for number in range(SYMBOLS - len(FIRST)))]
    symbols = {
        name: spec(name, name[:3], name[3:], digits=3 if name.endswith("JPY") else 5, id=number)
        for number, name in enumerate(names, start=1)
    }
    from dataclasses import replace

    groups = {
        number: replace(
            GROUP,
            id=number,
            name=f"bench-{number}",
            currency="EUR" if number == 4 else "USD",
            markup_bid_points=Decimal(number),
            markup_ask_points=Decimal(number),
        )
        for number in range(1, 5)
    }
    terms = {
        number: {
            name: resolve(symbol=one, group=group, override=Override(), version=1)
            for name, one in symbols.items()
        }
        for number, group in groups.items()
    }
    return TermsBook(version=1, symbols=symbols, groups=groups, terms=terms, profiles={})


def _house(book: Any) -> Any:
    """Return the portfolio: positions at random over accounts and symbols, well funded."""
    from apps.risk.services.portfolio import Bulk, Portfolio
    from apps.risk.services.portfolio_accounts import Facts

    chance = np.random.default_rng(20140508)
    house = Portfolio(book)
    names = list(book.symbols)
    profit_currencies = sorted({one.profit_currency for one in book.symbols.values()})
    symbol = chance.integers(0, SYMBOLS, POSITIONS)
    is_buy = chance.random(POSITIONS) < 0.5
    lots = chance.integers(1, 100, POSITIONS) / 100.0
    price = np.array([float(_price(name)) for name in names])[symbol]
    sign = np.where(is_buy, 1.0, -1.0)
    currency = np.array([profit_currencies.index(book.symbols[name].profit_currency) for name in names])
    groups = [1, 2, 3, 1, 2, 3, 1, 2, 3, 4]
    house.load(
        [
            Facts(
                id=number,
                group_id=groups[number % 10],
                currency="EUR" if groups[number % 10] == 4 else "USD",
                balance=BALANCE,
                credit=0.0,
                margin=1_000.0 if number % NEAR_EVERY else BALANCE - SHORT_OF_CALL,
                seq=1,
            )
            for number in range(1, ACCOUNTS + 1)
        ],
        Bulk(
            ids=np.arange(1, POSITIONS + 1),
            accounts=chance.integers(1, ACCOUNTS + 1, POSITIONS),
            symbol=symbol,
            profit_currency=currency[symbol],
            is_buy=is_buy,
            slope=sign * lots * 100_000.0,
            base=-sign * lots * 100_000.0 * price,
            swap=np.zeros(POSITIONS),
            is_own=np.ones(POSITIONS, np.bool_),
            symbols=names,
            profit_currencies=profit_currencies,
        ),
    )
    return house
