"""
What the clients' open positions amount to: per symbol, currency, group and book, net and gross. Pure.

Notional is lots x contract x price (x tick price / tick size of an index), in the profit currency, at the
middle of the raw quote. A pair's currency exposure is what the position holds of either side: the base
amount, and the other way round what was paid or received for it (lots x open price x contract), so that it
moves with the market exactly as the position does; a symbol that is no pair exposes its currency by its
floating result alone. The house holds the opposite of its clients.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from apps.market.domain.symbols import SymbolSpec
from apps.risk.domain.rates import SHOWN_CURRENCY, Rates
from apps.trading.domain.orders import ContractTerms
from rtx.kernel.money import ZERO


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """The open positions that have all of this in common. `cost` is the sum of lots x open price."""

    group_id: int
    symbol: str
    is_buy: bool
    book: str
    terms: ContractTerms
    positions: int
    lots: Decimal
    cost: Decimal

    @property
    def unit(self) -> Decimal:
        """What one lot changes by, in the profit currency, when the price moves by one."""
        return self.terms.contract_size * self.terms.tick_factor

    @property
    def sign(self) -> int:
        """1 for a buy, -1 for a sell."""
        return 1 if self.is_buy else -1


@dataclass(slots=True)
class Line:
    """
    Exposure added up. Amounts in the reporting currency; None once anything in it has no price or rate.

    `floating` is the clients' result at mid prices without swaps; the house's is its opposite.
    """

    positions: int = 0
    buy_lots: Decimal = ZERO
    sell_lots: Decimal = ZERO
    net: Decimal | None = ZERO
    gross: Decimal | None = ZERO
    floating: Decimal | None = ZERO

    def add(self, held: Held, *, notional: Decimal | None, floating: Decimal | None) -> None:
        """Take positions in, with their signed notional and their result."""
        self.positions += held.positions
        if held.is_buy:
            self.buy_lots += held.lots
        else:
            self.sell_lots += held.lots
        self.net = _plus(self.net, notional)
        self.gross = _plus(self.gross, None if notional is None else abs(notional))
        self.floating = _plus(self.floating, floating)

    @property
    def net_lots(self) -> Decimal:
        """Bought less sold."""
        return self.buy_lots - self.sell_lots


@dataclass(slots=True)
class CurrencyLine:
    """What the clients hold of one currency, long and short, in units of it; `net_shown` is converted."""

    long: Decimal = ZERO
    short: Decimal = ZERO
    net_shown: Decimal | None = ZERO
    gross_shown: Decimal | None = ZERO

    @property
    def net(self) -> Decimal:
        """Long less short."""
        return self.long - self.short

    @property
    def gross(self) -> Decimal:
        """Long and short together."""
        return self.long + self.short


@dataclass(slots=True)
class Exposure:
    """All of it. `unpriced` names the symbols without a price or a way to the reporting currency."""

    total: Line = field(default_factory=Line)
    symbols: dict[str, Line] = field(default_factory=dict)
    groups: dict[int, Line] = field(default_factory=dict)
    books: dict[str, Line] = field(default_factory=dict)
    currencies: dict[str, CurrencyLine] = field(default_factory=dict)
    unpriced: set[str] = field(default_factory=set)


def exposure(
    holdings: Iterable[Held],
    *,
    symbols: Mapping[str, SymbolSpec],
    rates: Rates,
    currency: str = SHOWN_CURRENCY,
) -> Exposure:
    """Add positions up in every way, in `currency`."""
    found = Exposure()
    for held in holdings:
        mid = rates.mid(held.symbol)
        notional = floating = None
        if mid is not None:
            moved = held.sign * (held.lots * mid - held.cost) * held.unit
            notional = rates.convert(
                held.sign * held.lots * mid * held.unit, held.terms.profit_currency, currency
            )
            floating = rates.convert(moved, held.terms.profit_currency, currency)
        if notional is None:
            found.unpriced.add(held.symbol)
        for line in (
            found.total,
            found.symbols.setdefault(held.symbol, Line()),
            found.groups.setdefault(held.group_id, Line()),
            found.books.setdefault(held.book, Line()),
        ):
            line.add(held, notional=notional, floating=floating)
        for name, amount in _legs(held, symbols[held.symbol], mid):
            _add_leg(found.currencies.setdefault(name, CurrencyLine()), amount)
    for name, money in found.currencies.items():
        money.net_shown = rates.convert(money.net, name, currency)
        money.gross_shown = rates.convert(money.gross, name, currency)
    return found


def _legs(held: Held, spec: SymbolSpec, mid: Decimal | None) -> list[tuple[str, Decimal]]:
    """Return what positions hold of each currency, negative for what is owed."""
    if spec.base_currency != held.terms.profit_currency:
        base = held.sign * held.lots * held.terms.contract_size
        return [(spec.base_currency, base), (held.terms.profit_currency, -held.sign * held.cost * held.unit)]
    if mid is None:
        return []
    return [(held.terms.profit_currency, held.sign * (held.lots * mid - held.cost) * held.unit)]


def _add_leg(line: CurrencyLine, amount: Decimal) -> None:
    if amount > 0:
        line.long += amount
    else:
        line.short -= amount


def _plus(sum_: Decimal | None, amount: Decimal | None) -> Decimal | None:
    return None if sum_ is None or amount is None else sum_ + amount
