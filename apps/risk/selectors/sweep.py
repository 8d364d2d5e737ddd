"""
Equity against margin of every account in one SQL statement, at the present prices. Reads only.

The prices go in as arrays, one cell per group, symbol and account currency: what a buy and a sell would close
at after markup, and what a unit of profit and of loss is worth. Computed in double precision and widened by a
cent: it finds who may be below; the account book decides. Positions whose contract is not the symbol's any
more (it was edited while they were open) cannot be valued by cells: their accounts are found without a level.
"""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from psycopg import Cursor

from apps.market.domain.quotes import Quote
from apps.market.domain.symbols import MarginMode, SymbolSpec
from apps.trading.domain.pricing import MarketView
from apps.trading.selectors.markets import Markets
from rtx.kernel.money import plain

Number = float | None
CENT = 0.01
WORK_MEM = "128MB"  # for joins and sums of one run

CURRENCIES = """
    SELECT DISTINCT group_id, currency FROM accounts_tradingaccount
    WHERE group_id = ANY(SELECT id FROM groups_tradinggroup)
"""
STATEMENT = """
    WITH cell AS NOT MATERIALIZED (
        SELECT * FROM unnest(
            %(group_id)s::bigint[], %(symbol_id)s::bigint[], %(currency)s::text[], %(buy_close)s::float8[],
            %(sell_close)s::float8[], %(size)s::float8[], %(gain)s::float8[], %(loss)s::float8[],
            %(time_ms)s::bigint[], %(contract)s::text[], %(contract_end)s::text[], %(factor)s::text[]
        ) AS c(group_id, symbol_id, currency, buy_close, sell_close, size, gain, loss, time_ms, contract,
               contract_end, factor)
    ), valued AS (
        SELECT p.account_id, CASE WHEN p.swap = 0 THEN 0 ELSE p.swap::float8 END AS swap, c.gain, c.loss,
               c.time_ms,
               CASE WHEN p.side = 'buy' THEN (c.buy_close * p.volume::float8 - p.cost::float8) * c.size
                    ELSE (p.cost::float8 - c.sell_close * p.volume::float8) * c.size END AS gross,
               p.terms >= c.contract COLLATE "C" AND p.terms < c.contract_end COLLATE "C" -- starts with it
                   AND (c.factor = '' OR strpos(p.terms, c.factor) > 0) AS is_same
        FROM trading_position p
        JOIN accounts_tradingaccount a ON a.id = p.account_id
        LEFT JOIN cell c ON c.group_id = a.group_id AND c.symbol_id = p.symbol_id AND c.currency = a.currency
        OFFSET 0 -- each position's gross profit is computed once
    ), floating AS MATERIALIZED (
        SELECT account_id,
               count(*) AS positions,
               sum(CASE WHEN gross > 0 THEN gross * gain ELSE gross * loss END) AS profit,
               sum(swap) AS swap,
               count(*) FILTER (WHERE gross IS NULL OR gain IS NULL OR loss IS NULL) AS unpriced,
               count(*) FILTER (WHERE NOT is_same) AS odd,
               max(time_ms) AS time_ms
        FROM valued GROUP BY account_id
    ), standing AS (
        SELECT a.id, s.updated_at,
               coalesce(f.positions, 0) AS positions,
               coalesce(f.unpriced, 0) AS unpriced,
               coalesce(f.odd, 0) AS odd,
               f.time_ms,
               (s.balance + s.credit)::float8 + coalesce(f.swap, 0) + coalesce(f.profit, 0) AS equity,
               s.margin::float8 AS held,
               s.balance < 0 AND f.account_id IS NULL AND g.protects_balance AS owes,
               g.stop_out_pct::float8 AS stop_out_pct
        FROM accounts_accountstate s
        JOIN accounts_tradingaccount a ON a.id = s.account_id
        JOIN groups_tradinggroup g ON g.id = a.group_id
        LEFT JOIN floating f ON f.account_id = s.account_id
        WHERE f.account_id IS NOT NULL OR s.margin <> 0 OR s.balance < 0
        OFFSET 0 -- likewise each account's equity
    ), found AS (
        SELECT *, CASE WHEN held > 0 THEN equity / held * 100 END AS level_pct
        FROM standing
        WHERE unpriced > 0 OR odd > 0 OR owes
           OR (held > 0 AND (equity - %(cent)s) * 100 <= held * stop_out_pct)
           OR (held = 0 AND positions > 0 AND equity - %(cent)s <= 0)
    )
    SELECT t.positions, t.accounts, f.id, f.positions, f.unpriced, f.odd, f.owes, f.equity, f.held,
           f.level_pct, f.time_ms, f.updated_at
    FROM (SELECT coalesce(sum(positions), 0)::bigint AS positions, count(*) AS accounts FROM floating) t
    LEFT JOIN found f ON true
    ORDER BY f.level_pct NULLS FIRST, f.equity, f.id
"""


@dataclass(frozen=True, slots=True)
class Found:
    """One account that the sweep came upon. `level_pct` is None without margin."""

    account_id: int
    positions: int
    unpriced: int
    odd: int
    owes: bool
    equity: float
    margin: float
    level_pct: Number
    quote_time_ms: int | None
    updated_at: datetime

    @property
    def is_unvalued(self) -> bool:
        """Whether a position has no price or no conversion."""
        return self.unpriced > 0


@dataclass(slots=True)
class Swept:
    """What one look at all accounts gave, worst first."""

    positions: int = 0
    accounts: int = 0
    found: list[Found] = field(default_factory=list)


@dataclass(slots=True)
class Cells:
    """Prices as the statement takes them: one entry per group, symbol and account currency."""

    group_id: list[int] = field(default_factory=list)
    symbol_id: list[int] = field(default_factory=list)
    currency: list[str] = field(default_factory=list)
    buy_close: list[Number] = field(default_factory=list)
    sell_close: list[Number] = field(default_factory=list)
    size: list[float] = field(default_factory=list)
    gain: list[Number] = field(default_factory=list)
    loss: list[Number] = field(default_factory=list)
    time_ms: list[int | None] = field(default_factory=list)
    contract: list[str] = field(default_factory=list)
    contract_end: list[str] = field(default_factory=list)
    factor: list[str] = field(default_factory=list)

    def add(self, *, group_id: int, currency: str, spec: SymbolSpec, view: MarketView) -> None:
        """Add what one symbol's positions close at in one group, in one account currency."""
        quote: Quote | None = view.client(spec.name)
        self.group_id.append(group_id)
        self.symbol_id.append(spec.id)
        self.currency.append(currency)
        self.buy_close.append(float(quote.bid) if quote else None)
        self.sell_close.append(float(quote.ask) if quote else None)
        factor = _tick_factor(spec)
        self.size.append(float(spec.contract_size * factor))
        self.gain.append(_number(view.rate(spec.profit_currency, currency, selling=True)))
        self.loss.append(_number(view.rate(spec.profit_currency, currency, selling=False)))
        self.time_ms.append(_newest_ms(quote, view, spec.profit_currency, currency))
        contract = f'{{"mode":"{spec.margin_mode.value}","contract_size":"{plain(spec.contract_size)}"'
        self.contract.append(f"{contract},")
        self.contract_end.append(f"{contract}-")  # the sign after the comma: whatever starts so lies between
        self.factor.append("" if factor == 1 else f'"tick_factor":"{plain(factor)}"')

    def parameters(self) -> dict[str, Any]:
        """Return the arrays by name."""
        return {name: getattr(self, name) for name in self.__slots__}


def cells(views: Markets) -> Cells:
    """Return the present prices of everything that accounts may hold."""
    made = Cells()
    with connection.cursor() as cursor:
        cursor.execute(CURRENCIES)
        wanted = cursor.fetchall()
    for group_id, currency in wanted:
        view = views.of_group(group_id)
        for spec in views.book.symbols.values():
            made.add(group_id=group_id, currency=currency, spec=spec, view=view)
    return made


def below_stop_out(views: Markets) -> Swept:
    """
    Return the accounts that may be at or below their stop-out level, owe what their group makes good, or
    cannot be valued.
    """
    given = {**cells(views).parameters(), "cent": CENT}
    swept = Swept()
    with transaction.atomic(), Cursor(connection.connection) as cursor:
        cursor.execute(f"SET LOCAL work_mem = '{WORK_MEM}'")
        cursor.execute("SET LOCAL jit = off")
        cursor.execute(STATEMENT, given)
        for positions, accounts, *row in cursor:
            swept.positions, swept.accounts = positions, accounts
            if row[0] is not None:
                swept.found.append(Found(*row))
    return swept


def _newest_ms(quote: Quote | None, view: MarketView, source: str, target: str) -> int | None:
    """Return when a position's value moved last: by its own price or by one that converts it."""
    if quote is None:
        return None
    legs = [view.raw(leg.symbol) for leg in view.path(source, target) or ()]
    return max([quote.time_ms, *(raw.time_ms for raw in legs if raw is not None)])


def _tick_factor(spec: SymbolSpec) -> Decimal:
    """Return what the contract terms of a new position would say."""
    indexed = spec.margin_mode is MarginMode.INDEX and spec.tick_size
    return spec.tick_price / spec.tick_size if indexed else Decimal(1)


def _number(value: Decimal | None) -> Number:
    return None if value is None else float(value)
